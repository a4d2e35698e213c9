"""A run that tests launch by mpirun, and in which one rank may come to harm.

Arguments: stack, folder, settings (pickled, as hexadecimal digits), which rank comes to harm, and
how: ``none``, ``raises``, ``stops``, ``killed SECONDS`` after the run has begun, or
``writes NUMBER``: killed with half of that file written. Threads are as many as asked for, also
when there are fewer cores.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from pathlib import Path

from isac2 import files
from isac2.cli.main import explain
from isac2.errors import RunError
from isac2.run import job
from isac2.run.communication import Ranks, open_ranks
from isac2.run.displays import SilentDisplay
from isac2.run.progress import Progress
from isac2.run.runner import run_isac
from isac2.run.stopping import stopping_on_signals


def end_at_once() -> None:
    """End this process as the kernel does that has no memory left."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_inside_write(number: int) -> None:
    """Be killed with half of a file on the disk."""
    flush, left = files._flush_to_disk, number

    def kill(path: Path) -> None:
        nonlocal left
        left -= path.is_file()
        if left == 0:
            os.truncate(path, path.stat().st_size // 2)
            end_at_once()
        flush(path)

    files._flush_to_disk = kill


def do_at_first_round(harm: str) -> None:
    """Raise an error, or be told to stop, when the clustering begins."""
    begin = Progress.begin_round

    def begin_round(self: Progress, place: tuple[int, int, int], *more: int) -> None:
        if harm == "stops":
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            raise RunError("The sky fell on this rank: stay inside.")
        begin(self, place, *more)

    Progress.begin_round = begin_round  # type: ignore[assignment,method-assign]


def do_harm(harm: list[str]) -> None:
    """Prepare what shall happen to this rank."""
    if harm[0] == "killed":
        timer = threading.Timer(float(harm[1]), end_at_once)
        timer.daemon = True
        timer.start()
    elif harm[0] == "writes":
        kill_inside_write(int(harm[1]))
    elif harm[0] != "none":
        do_at_first_round(harm[0])


def threads_as_asked(asked: int, ranks: Ranks) -> int:
    """Return what was asked for."""
    return asked


if __name__ == "__main__":
    stack, folder, settings, who, *harm = sys.argv[1:]
    vars(job)["threads_of_rank"] = threads_as_asked
    with open_ranks(explain) as ranks, stopping_on_signals():
        if ranks.rank == int(who):
            do_harm(harm)
        options = pickle.loads(bytes.fromhex(settings))
        run_isac(stack, folder, options, SilentDisplay(), ranks)
    sys.exit(0)
