"""Ten students at once on this machine, as SHARED.md says: every kernel runs notebook 03 to its end within its memory.

    python bench/shared.py [KERNELS]        (part of: make bench)

Learner's copies with the short live training of CI, one thread for each kernel; memory is the kernel's resident peak.
"""

import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # not this folder, which has a notebooks.py of its own
from notebooks.run import PEAK, execute, peak_of  # noqa: E402

NOTEBOOK = ROOT / "notebooks" / "03_vae_beta.ipynb"
LIMIT_MB = 1000 * int(re.search(r'mem_limit = "(\d+)G"', (ROOT / "SHARED.md").read_text(encoding="utf-8"))[1])


def student(number: int) -> tuple[float, float]:
    """Run the notebook in a kernel and an empty folder of its own; return seconds, and its resident peak in MB."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        execute(notebook, Path(folder), seconds=3600, OMP_NUM_THREADS="1", COURSE_FAST="1")
    return time.perf_counter() - began, peak_of(notebook)


def main(kernels: int) -> int:
    with ThreadPoolExecutor(kernels) as room:
        seconds, peaks = zip(*room.map(student, range(kernels)))
    print(f"{kernels} kernels ran {NOTEBOOK.stem} at once and finished in {min(seconds):.0f} to {max(seconds):.0f} s; "
          f"the largest took {max(peaks):.0f} MB (limit {LIMIT_MB})")
    return 0 if max(peaks) <= LIMIT_MB else 1


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
