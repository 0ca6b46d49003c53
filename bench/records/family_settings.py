"""Does the quick family end where Gen_Study's setting ends? Writes data/runs/latents_family_settings.json.

    python bench/records/family_settings.py

Gen_Study trains 2000 epochs of 8 batches at a constant learning rate of 1e-3; the live family takes a quarter of those steps
with a falling rate. Both are trained here with the same seeds, and their KL and MSE compared with the spread over seeds.
"""

import json
import time

import numpy as np
from trained import machine

from course_lib.core.paths import DATA, write_json
from course_lib.latents.family import train_family
from course_lib.latents.metrics import rate_and_distortion
from course_lib.latents.mixture import Mixture

BETAS, SEEDS = (0.1, 1.0, 2.0, 5.0, 10.0), (0, 1, 2)
STUDY_STEPS = 16_000  # 2000 epochs of ⌈500 / 64⌉ batches
RECORD = DATA / "runs" / "latents_family_settings.json"


def ends(mixture: Mixture, **options) -> tuple[np.ndarray, np.ndarray, float]:
    """Train; return the final rate and distortion, each (seeds, betas), and the seconds it took."""
    started = time.perf_counter()
    family, _ = train_family(mixture.sample(), BETAS, SEEDS, progress=False, **options)
    seconds = time.perf_counter() - started
    rate, distortion = (value.reshape(len(SEEDS), len(BETAS)).numpy() for value in rate_and_distortion(family, mixture))
    return rate, distortion, seconds


def compare(name: str, seed_setting: np.ndarray, live: np.ndarray) -> dict[str, float]:
    """Largest difference of the means over seeds, and the largest range over seeds at one β."""
    return {f"largest_difference_{name}": float(np.abs(seed_setting.mean(0) - live.mean(0)).max()),
            f"spread_over_seeds_{name}": float(np.ptp(seed_setting, axis=0).max()),
            f"spread_over_seeds_{name}_live": float(np.ptp(live, axis=0).max())}


def main() -> None:
    mixture = Mixture()
    rate, distortion, slow = ends(mixture, steps=STUDY_STEPS, lr=1e-3, anneal=False)
    live_rate, live_distortion, quick = ends(mixture)
    measured = {**compare("kl", rate, live_rate), **compare("mse", distortion, live_distortion),
                "seconds": slow, "seconds_live": quick}
    record = {
        "what": "β-VAE family, 16,000 steps at a constant 1e-3 (Gen_Study) against the live setting",
        "command": "python bench/records/family_settings.py", "seeds": SEEDS, "betas": BETAS,
        **machine(), "measured": measured,
        "values": {"kl": rate.tolist(), "kl_live": live_rate.tolist(), "mse": distortion.tolist(),
                   "mse_live": live_distortion.tolist()},
    }
    write_json(RECORD, record)
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
