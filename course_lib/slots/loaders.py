"""One door to every data set of Part II: `create_datasets` for training code, `create_dataloader` for everyone."""

from collections.abc import Iterator
from pathlib import Path

from torch.utils.data import DataLoader, Dataset

from course_lib.core.errors import BadInput
from course_lib.core.randomness import EpochOrder, as_it_is
from course_lib.slots.clevr import CLEVR6
from course_lib.slots.scenes import MultiDSprites, Shapes

GENERATED = {"shapes": Shapes, "multi_dsprites": MultiDSprites}
DATASETS = (*GENERATED, "clevr6")
HELD_OUT = 2**40  # held-out scenes are numbered from here on; no training is that long
SAMPLES = 6400  # generated scenes in an epoch


def create_datasets(dataset_type: str = "shapes", resolution: int = 64, max_objects: int = 6, min_objects: int = 2,
                    seed: int = 0, samples: int | None = None, held_out: int = 128, folder: str | Path | None = None,
                    progress: bool = True, **special) -> tuple[Dataset, Dataset]:
    """Return (training, held-out) data of one kind; they share no scene, and the held-out are the same for every seed.

    samples: training scenes in an epoch; None for 6400 of the generated, and for all there are of clevr6.
    folder: where CLEVR lies, see `clevr_files.find_files`. progress: whether its first reading is shown.
    special: `background` of multi_dsprites, `cache` of clevr6.
    """
    if dataset_type not in DATASETS:
        raise BadInput(f"dataset_type must be one of {', '.join(DATASETS)}, not {dataset_type!r}.")
    sizes = {"resolution": resolution, "max_objects": max_objects, "min_objects": min_objects, **special}
    if dataset_type == "clevr6":
        sizes["progress"] = progress
        return CLEVR6(folder, samples=samples, **sizes), CLEVR6(folder, samples=held_out, split="val", **sizes)
    if folder is not None:
        raise BadInput(f"{dataset_type} is drawn on the fly and has no folder; leave it out.")
    cls = GENERATED[dataset_type]
    samples = SAMPLES if samples is None else samples
    return cls(samples=samples, seed=seed, **sizes), cls(samples=held_out, seed=HELD_OUT, **sizes)


def create_dataloader(dataset_type: str = "shapes", batch_size: int = 32, resolution: int = 64, max_objects: int = 6,
                      min_objects: int = 2, seed: int = 0, samples: int | None = None, held_out: int = 128,
                      folder: str | Path | None = None, workers: int = 0, **special) -> tuple[DataLoader, DataLoader]:
    """Return (train_loader, val_loader) of batches as `scenes.SceneDataset` describes them; options: `create_datasets`.

    Each pass of the training loader has an order of its own, and of generated data scenes of its own, all from `seed`.
    The held-out scenes come in order. workers: processes that draw or read batches ahead; the batches are the same.
    """
    if batch_size < 1 or workers < 0:
        raise BadInput(f"batch_size must be at least 1 and workers at least 0, not {batch_size} and {workers}.")
    data, rest = create_datasets(dataset_type, resolution, max_objects, min_objects, seed, samples, held_out, folder,
                                 **special)
    order = NextEpoch(len(data), seed, data.endless)
    return (DataLoader(data, batch_size, sampler=order, num_workers=workers, collate_fn=as_it_is),
            DataLoader(rest, batch_size, num_workers=workers, collate_fn=as_it_is))


class NextEpoch(EpochOrder):
    """Goes on to the next epoch by itself at each pass, so that a plain `for scenes in loader` sees nothing twice."""

    def __iter__(self) -> Iterator[int]:
        self.epoch += 1
        return super().__iter__()
