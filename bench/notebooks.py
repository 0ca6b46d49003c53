"""What `make claims` last measured of every notebook, beside the limits: two minutes, and the memory that SHARED.md gives to a kernel."""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 120
MEGABYTES = 1000 * int(re.search(r'mem_limit = "(\d+)G"', (ROOT / "SHARED.md").read_text(encoding="utf-8"))[1])
timings = json.loads((ROOT / "data" / "timings.json").read_text(encoding="utf-8"))
for name, seconds in timings["seconds"].items():
    print(f"{name}: {seconds:.0f} s (limit {SECONDS}), {timings['peak_mb'][name]} MB (limit {MEGABYTES})")
print(f"all: {sum(timings['seconds'].values()) / 60:.1f} minutes (limit 15)")
sys.exit(max(timings["seconds"].values()) > SECONDS or sum(timings["seconds"].values()) > 900 or max(timings["peak_mb"].values()) > MEGABYTES)
