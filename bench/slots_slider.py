"""Hand to picture in JupyterLab: the slot slider of `SlotExplorer` between 9 and 10 slots, at 64 px and 3 iterations.

    python bench/slots_slider.py [MOVES]        (part of: make bench)

The clock is that of `slider.py`. The model has the size of that for Multi-dSprites, the larger one, and the weights that a model begins with: every
weight takes the same time.
"""

import statistics
import sys

from slider import latencies, notebook_of

AIM, WORST = 150, 500  # milliseconds: the median, and any one move
EXPLORER = """
from course_lib.slots.autoencoder import SlotAutoencoder
from course_lib.slots.explorer import SlotExplorer
SlotExplorer(SlotAutoencoder(decoder_dim=256, decoder_layers=2).eval(), slots=9).show()
"""


def main(moves: int) -> int:
    with notebook_of(EXPLORER) as page:
        latencies(page, ".explorer-slots", ".explorer-picture", ["ArrowRight", "ArrowLeft"])  # warm up
        taken = latencies(page, ".explorer-slots", ".explorer-picture", ["ArrowRight", "ArrowLeft"] * (-(-moves // 2)))
    middle = statistics.median(taken)
    print(f"slot slider in JupyterLab, 9 and 10 slots at 64 px, hand to picture, median of {len(taken)} moves: "
          f"{middle:.0f} ms (limit {AIM}), slowest {max(taken):.0f} ms (limit {WORST})")
    return 0 if middle <= AIM and max(taken) <= WORST else 1


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 30))
