"""What a training run records (`History`) and where it keeps logs and checkpoints (`Run`)."""

import importlib.util
import json
import math
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from accelerate import Accelerator
from omegaconf import DictConfig, OmegaConf

from course_lib.core import checkpoints
from course_lib.core.errors import BadInput

TRACKERS = ("tensorboard", "wandb", "none")
PRECISIONS = (None, "no", "bf16", "fp16")
NOT_SETTINGS = ("out", "resume", "tracker", "checkpoint_every", "pictures_every", "progress", "hardware")  # do not change a run's numbers


@dataclass
class History:
    """What happened: `history["loss"]` is a list with one number per recorded step, `history.step` their counts."""

    step: list[int] = field(default_factory=list)  # updates made so far at each record, from 1
    steps: dict[str, list[float]] = field(default_factory=dict)  # every measure of the objective at those steps
    epochs: dict[str, list[float]] = field(default_factory=dict)  # its mean over the steps of each epoch; validation
    epoch: int = 0  # epochs completed
    updates: int = 0
    best_epoch: int = 0  # the epoch with the lowest value of the chosen measure
    seconds: float = 0.0  # wall time of the training itself, over all pieces of a resumed run

    def __getitem__(self, measure: str) -> list[float]:
        return self.steps[measure]

    def add_epoch(self, measures: dict[str, list[float]], log_every: int, good: Path | None = None) -> None:
        """Append the per-step `measures` of one epoch; raises `BadInput` if they are not those of the epochs before, or if the loss
        stopped being finite, naming `good`, the last checkpoint before that."""
        for offset, loss in enumerate(measures["loss"]):
            if not math.isfinite(loss):
                raise BadInput(f"the loss became {loss} at step {self.updates + offset + 1} (epoch {self.epoch + 1}); "
                               "use a smaller learning rate or gradient clipping, and check the data"
                               + (f"; the last good checkpoint is {good}." if good else "."))
        if self.epoch and (odd := measures.keys() ^ self.steps.keys()):
            raise BadInput(f"{', '.join(sorted(odd))}: not measured in every epoch; make each epoch long enough for every kind of turn.")
        count = len(measures["loss"])
        kept = [i for i in range(count) if (self.updates + i + 1) % log_every == 0]
        self.step += [self.updates + i + 1 for i in kept]
        for name, values in measures.items():
            self.steps.setdefault(name, []).extend(values[i] for i in kept)
            self.epochs.setdefault(name, []).append(math.fsum(values) / count)
        self.updates += count
        self.epoch += 1

    def add_validation(self, measures: dict[str, float]) -> None:
        """Append what was measured of held-out data after an epoch; raises `BadInput` for a name that the objective has, too."""
        for name, value in measures.items():
            if name in self.steps:
                raise BadInput(f"objective and validation both measure {name!r}; rename one.")
            self.epochs.setdefault(name, []).append(value)

    def note_best(self, measure: str) -> None:
        """Set `best_epoch` if the last epoch has the lowest value of `measure` so far."""
        if measure not in self.epochs:
            raise BadInput(f"best={measure!r} is not measured; there are: {', '.join(self.epochs)}.")
        *earlier, last = self.epochs[measure]
        if last < min(earlier, default=math.inf):
            self.best_epoch = self.epoch


@dataclass
class Run:
    """Where a run called `name` keeps its logs and checkpoints: `folder`/logs/NAME and `folder`/checkpoints/NAME.

    resume: "never" starts afresh and moves older files of the name aside; "auto" goes on from the newest complete
    checkpoint, if there is one; a path goes on from that checkpoint. config: all that decides the run's numbers.
    """

    folder: str | Path
    name: str
    resume: str = "never"
    tracker: str = "tensorboard"
    checkpoint_every: int = 50
    config: dict = field(default_factory=dict)
    precision: str | None = None
    settings: dict = field(default_factory=dict, init=False)

    def __post_init__(self):
        self.folder = Path(self.folder)
        if self.tracker not in TRACKERS:
            raise BadInput(f"tracker must be one of {', '.join(TRACKERS)}, not {self.tracker!r}.")
        if self.precision not in PRECISIONS:
            raise BadInput(f"precision must be null, no, bf16 or fp16, not {self.precision!r}.")
        if self.tracker == "wandb" and importlib.util.find_spec("wandb") is None:
            raise BadInput("tracker=wandb needs the package wandb; install it with: pip install 'course-lib[track]'.")
        if type(self.checkpoint_every) is not int or self.checkpoint_every < 1:
            raise BadInput(f"checkpoint_every must be a whole number from 1 on, not {self.checkpoint_every!r}.")
        if Path(self.name).name != self.name:
            raise BadInput(f"the name of a run must be usable as a folder name, not {self.name!r}.")

    @classmethod
    def from_config(cls, cfg: DictConfig, name: str) -> "Run":
        """The run called `name` of an experiment, with the common keys of configs/train.yaml."""
        return cls(cfg.out, name, cfg.resume, cfg.tracker, cfg.checkpoint_every, settings_of(cfg), cfg.precision)

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints."""
        return self.folder / "checkpoints" / self.name

    @property
    def logs(self) -> Path:
        """The folder of its logs."""
        return self.folder / "logs" / self.name

    def begin(self, accelerator: Accelerator, arguments: dict) -> History:
        """Restore or start the run, open its tracker, and return the history so far."""
        self.settings = json.loads(json.dumps({"train": arguments, "config": self.config}))  # as read from a checkpoint
        if accelerator.is_main_process:
            check_writable(self.folder)
            checkpoints.tidy(self.checkpoints)
        accelerator.wait_for_everyone()
        source, state = self._source()
        history = History(**state["history"]) if source else History()
        if source:
            checkpoints.restore(accelerator, source, state)
            accelerator.wait_for_everyone()
            if accelerator.is_main_process:
                print(f"{self.name} goes on from {source}: epoch {history.epoch} of {arguments['epochs']} is done.", flush=True)
        if accelerator.is_main_process and (source is None or state["settings"] != self.settings
                                            or source.parent.resolve() != self.checkpoints.resolve()):
            checkpoints.set_aside(self.checkpoints)
            checkpoints.set_aside(self.logs)
        accelerator.wait_for_everyone()
        if history.epoch < arguments["epochs"]:
            self._open_tracker(accelerator, history)
        return history

    def after_epoch(self, accelerator: Accelerator, history: History, epochs: int) -> None:
        """Log the epoch; save a checkpoint when it is due, and the best model when it is the best."""
        accelerator.log({name: values[-1] for name, values in history.epochs.items()}, step=history.updates)
        due = ["best_model"] * (history.best_epoch == history.epoch)
        due += [f"checkpoint_epoch_{history.epoch}"] * self.is_due(history.epoch, epochs)
        if due:  # copying a long history every epoch would cost more than the training
            state = {"epoch": history.epoch, "settings": self.settings, "history": asdict(history)}
            for name in due:
                checkpoints.write(accelerator, self.checkpoints / name, state)

    def is_due(self, epoch: int, epochs: int) -> bool:
        """Whether a periodic checkpoint is due after `epoch` of `epochs`."""
        return epoch % self.checkpoint_every == 0 or epoch == epochs

    @property
    def newest(self) -> Path | None:
        """The newest complete checkpoint of this run, if there is one."""
        return checkpoints.newest(self.checkpoints)

    def _source(self) -> tuple[Path | None, dict]:
        """The checkpoint to go on from, if any, and its state."""
        if self.resume == "never":
            return None, {}
        source = self.newest if self.resume == "auto" else Path(self.resume)
        if source is None:
            return None, {}
        state = checkpoints.read(source)
        if self.resume == "auto" and state["settings"] != self.settings:
            raise BadInput(f"the checkpoints in {self.checkpoints} were made with "
                           f"{self._difference(state['settings'])}; repeat those settings, start afresh with "
                           f"resume=never, or go on with the new ones by resume={source}.")
        theirs, ours = (side["config"].get("recipe") for side in (state["settings"], self.settings))
        if theirs and ours and theirs != ours:
            raise BadInput(f"{source} is a checkpoint of {theirs}, and its model is not that of {ours}; name one of the same recipe.")
        return source, state

    def _difference(self, other: dict) -> str:
        ours, theirs = ({**_flat(side["train"]), **_flat(side["config"])} for side in (self.settings, other))
        keys = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
        return ", ".join(f"{key}={theirs.get(key)} (now {ours.get(key)})" for key in keys[:3]) + ", …" * (len(keys) > 3)

    def _open_tracker(self, accelerator: Accelerator, history: History) -> None:
        # on resuming, TensorBoard forgets what a killed run logged after its last checkpoint
        purge = {"purge_step": history.updates + 1} if history.updates else {}
        if self.tracker != "wandb":
            accelerator.init_trackers(self.name, init_kwargs={"tensorboard": purge})
            return
        import wandb  # an extra: only here if asked for

        self.logs.mkdir(parents=True, exist_ok=True)
        options = {"name": self.name, "dir": str(self.logs)}
        try:
            accelerator.init_trackers(self.name, config=_flat(self.settings), init_kwargs={"wandb": options})
        except wandb.errors.Error as error:
            raise BadInput(f"W&B does not start ({str(error).rstrip('.')}); log in, set WANDB_MODE=offline, or choose "
                           "another tracker.") from error


def settings_of(cfg: DictConfig) -> dict:
    """The part of an experiment's configuration that decides its numbers, as plain values: what a card records."""
    return {key: value for key, value in OmegaConf.to_container(cfg, resolve=True).items() if key not in NOT_SETTINGS}


def check_writable(folder: Path) -> None:
    """Create `folder` if need be; raises `BadInput` if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise BadInput(f"cannot write to {folder}: {error.strerror}; name another folder with out=FOLDER.") from error


def _flat(settings: dict, prefix: str = "") -> dict:
    """{"model": {"beta": 1.0}} as {"model.beta": 1.0}."""
    flat = {}
    for key, value in settings.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat
