"""One door to the data of Part III: the rule world, and the scenes of Part II."""

from torch.utils.data import Dataset

from course_lib.codes.world import RuleWorld
from course_lib.core.errors import BadInput
from course_lib.slots import loaders

WORLDS = ("rules", *loaders.GENERATED)


def create_datasets(name: str = "rules", resolution: int = 64, seed: int = 0, samples: int | None = None, held_out: int = 128,
                    **special) -> tuple[Dataset, Dataset]:
    """Return (training, held-out) data of one kind; they share no scene number, and the held-out are the same for every seed.

    name: "rules", or what Part II can draw. samples: training scenes in an epoch. special: options of that world.
    """
    if name not in WORLDS:
        raise BadInput(f"dataset.name must be one of {', '.join(WORLDS)}, not {name!r}.")
    if name != "rules":
        return loaders.create_datasets(name, resolution, seed=seed, samples=samples, held_out=held_out, **special)
    samples = loaders.SAMPLES if samples is None else samples
    return (RuleWorld(resolution, samples=samples, seed=seed, **special),
            RuleWorld(resolution, samples=held_out, seed=loaders.HELD_OUT, **special))
