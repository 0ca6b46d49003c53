"""What `make claims` last measured of every notebook, beside the limits: two minutes, and the memory that SHARED.md gives to a kernel."""

import json
import sys

from shared import LIMIT_MB, ROOT

SECONDS, TOGETHER = 120, 900
timings = json.loads((ROOT / "data" / "timings.json").read_text(encoding="utf-8"))
for name, seconds in timings["seconds"].items():
    print(f"{name}: {seconds:.0f} s (limit {SECONDS}), {timings['peak_mb'][name]} MB (limit {LIMIT_MB})")
together = sum(timings["seconds"].values())
print(f"all: {together:.0f} s (limit {TOGETHER})")
sys.exit(max(timings["seconds"].values()) > SECONDS or together > TOGETHER or max(timings["peak_mb"].values()) > LIMIT_MB)
