"""Several processes on CPUs under `accelerate launch --num_processes N --cpu`.

For CPUs without MPI Accelerate's launcher starts a single process, whatever N is, and says nothing
(github.com/huggingface/accelerate/issues/2741). Here that one process hands over to torchrun, which starts N.
"""

import os
import sys
from typing import NoReturn

import psutil

from course_lib.core.errors import BadInput

KNOWS_ITS_RANK = ("LOCAL_RANK", "WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def leave(status: int) -> NoReturn:
    """End this process with an exit status; one of several ends at once, its output flushed.

    Gloo's threads outlive their group, and one that asks for the interpreter while it is taken down aborts the process: now and
    then a finished training ended so (github.com/pytorch/pytorch/pull/179291).
    """
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def start_missing_processes(module: str) -> None:
    """Replace this process by torchrun with all processes that `accelerate launch --cpu` was asked for, if any lack."""
    launched = os.environ.get("ACCELERATE_USE_CPU") == "True" and "MASTER_ADDR" in os.environ
    if not launched or any(name in os.environ for name in KNOWS_ITS_RANK):
        return
    processes = _wanted(psutil.Process().parent().cmdline())
    port = os.environ["MASTER_PORT"]  # Accelerate's default is one fixed port, which a second training would find taken
    meeting = ["--standalone"] if port == "29500" else ["--master-port", port]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes), *meeting, "-m", module, *sys.argv[1:]]
    os.execv(sys.executable, torchrun)


def _wanted(command: list[str]) -> int:
    """The N of the launcher's own command line, where it stands before anything of ours."""
    for option, following in zip(command, [*command[1:], ""]):
        name, _, inline = option.partition("=")
        if name in ("--num_processes", "--num-processes"):
            return int(inline or following)
    raise BadInput("cannot tell how many processes were asked for; use torchrun --nproc-per-node 2 instead.")


def is_main_process() -> bool:
    """True in the one process that writes files and prints; before and after training as well as during it."""
    return os.environ.get("RANK", "0") == "0"
