"""How far a run is, from what it has left on the disk: for another terminal, while it goes."""

from __future__ import annotations

import os
import shlex
import socket
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from isac2.errors import InputError
from isac2.run.directory import RunDirectory, open_run_directory
from isac2.run.lock import LockOwner, read_owner
from isac2.run.option import Option
from isac2.run.options import is_default, option_table
from isac2.run.progress import duration_text
from isac2.run.record import RunRecord, read_record
from isac2.run.standing import Standing, are_pools_done, read_standing

__all__ = ["RunStatus", "command_line", "read_status", "status_text"]

_LONGEST_SILENCE_IN_SECONDS = 60.0
_LOG_END_BYTES = 4096  # enough for the last line of a log


@dataclass(frozen=True)
class RunStatus:
    """How far a run is.

    Attributes
    ----------
    directory : RunDirectory
    record : RunRecord
        What is in ``run.json``.
    owner : LockOwner or None
        Who works on it now; None when nobody does.
    phase : str
        The phase it is in, or would go on with; empty when it is finished.
    main_iteration, generation : int
        Where the clustering is, counted from 1; 0 before and after it, and between pools.
    rounds : int
        Finished rounds of that generation.
    classes, accounted : int
        Found so far.
    last_message : str
        Last line of the log.
    pools : str
        In words, which pool it works on; empty where all images are sorted together.
    """

    directory: RunDirectory
    record: RunRecord
    owner: LockOwner | None
    phase: str
    main_iteration: int = 0
    generation: int = 0
    rounds: int = 0
    classes: int = 0
    accounted: int = 0
    last_message: str = ""
    pools: str = ""


def read_status(path: str | os.PathLike[str]) -> RunStatus:
    """Read how far the run in a folder is; nothing is changed, also not while it goes on.

    Raises
    ------
    InputError
        There is no run.
    RunError
        Its saved state is damaged.
    """
    directory = open_run_directory(path)
    if directory.is_new():
        raise InputError(f"There is no run in {directory.path}: give the folder of a run.")
    record = read_record(directory.run_json)
    owner, message = _living_owner(directory.lock), _last_line(directory.log)
    if directory.finished.exists():
        return RunStatus(
            directory,
            record,
            owner,
            "",
            classes=record.classes,
            accounted=record.accounted,
            last_message=message,
        )
    phase = _phase_before_clustering(directory, record)
    standing = None if phase else read_standing(directory)
    if standing is None:
        return RunStatus(directory, record, owner, phase or "clustering", last_message=message)
    classes = standing.classes
    if standing.finished:
        phase = _phase_after_clustering(record, bool(classes), owner is not None)
    return RunStatus(
        directory,
        record,
        owner,
        phase or "clustering",
        *standing.place,
        len(classes),
        sum(len(group.members) for group in classes),
        message,
        "" if standing.finished else _pools_text(standing),
    )


def status_text(status: RunStatus) -> str:
    """Say in a few lines how far a run is, and how it goes on when nobody works on it."""
    record = status.record
    lines = [_state_line(status)]
    if status.phase:
        lines.append(f"Phase:     {status.phase}")
    if status.pools:
        lines.append(f"Pools:     {status.pools}")
    if status.main_iteration:
        lines.append(
            f"Place:     main iteration {status.main_iteration}, generation {status.generation}, "
            f"rounds finished: {status.rounds}"
        )
    lines.append(
        f"Particles: {status.accounted} of {record.input.images} accounted for, in "
        f"{status.classes} classes"
    )
    worked = sum(float(phase["seconds"]) for phase in record.phases)
    lines.append(f"Time:      begun {record.started}; finished phases took {duration_text(worked)}")
    if status.last_message:
        lines.append(f"Last said: {status.last_message}")
    if status.phase and status.owner is None:
        lines.append(f"Go on:     {command_line(record, status.directory.path)}")
    return "\n".join(lines)


def command_line(record: RunRecord, folder: Path) -> str:
    """Return the command that goes on with a run: its stack, and the options that are no defaults.

    A seed is only named where it was given; ``--restart`` never is, since it would go back. What
    would be chosen anew if it were left out is named, too.
    """
    words = ["isac2", "run", record.input.path, str(folder)]
    for name, option in option_table().items():
        value = record.options.get(option.name)
        if option.name != "restart" and value is not None and not is_default(name, record.options):
            words.append(_option_word(option, value))
    return shlex.join(words)


def _option_word(option: Option, value: object) -> str:
    return f"--{option.name}" if option.value_type is bool else f"--{option.name}={value}"


def _state_line(status: RunStatus) -> str:
    path = status.directory.path
    if not status.phase:
        return f"The run in {path} is finished since {status.record.finished}."
    if status.owner is None:
        return f"The run in {path} has stopped."
    begun = datetime.fromisoformat(status.owner.started)
    since = (datetime.now().astimezone() - begun).total_seconds()
    owner = status.owner
    return (
        f"The run in {path} is going on, for {duration_text(max(since, 0.0))} now (process "
        f"{owner.process} on {owner.host})."
    )


def _phase_before_clustering(directory: RunDirectory, record: RunRecord) -> str:
    options = record.options
    may_whiten = options.get("noise_whitening", "no") != "no" and options["filament_width"] <= 0
    if (options.get("VPP") or may_whiten) and not directory.spectrum_state.exists():
        return "power spectra"
    if not directory.prealignment_state.exists():
        return "pre-alignment"
    return "" if directory.working_images.exists() else "preparation"


def _phase_after_clustering(record: RunRecord, has_classes: bool, goes_on: bool) -> str:
    """The first phase at the end that is not on record; the report is the last one.

    A run that was stopped does all of them again.
    """
    done = {phase["name"] for phase in record.phases} if goes_on else set()
    judged = has_classes and not record.options.get("skip_confidence")
    names = [
        *(["confidence"] if judged else []),
        "results",
        *([] if record.options.get("skip_ordering") else ["ordering"]),
    ]
    return next((name for name in names if name not in done), "report")


def _pools_text(standing: Standing) -> str:
    pools = standing.pools
    if pools is None:
        return ""
    if are_pools_done(pools):
        return f"all {pools.count} are sorted, and brought together (splitting {pools.splitting})"
    return f"pool {pools.done + 1} of {pools.count} (splitting {pools.splitting})"


def _living_owner(path: Path) -> LockOwner | None:
    """Who has the lock, unless that process is gone or has given no sign of life for long.

    The lock itself is not asked for: that would refuse a run that begins in the same moment.
    """
    owner = read_owner(path)
    if owner is None:
        return None
    if owner.host == socket.gethostname():
        return owner if _exists(owner.process) else None
    try:
        silence = time.time() - path.stat().st_mtime
    except OSError:
        return None
    return owner if silence < _LONGEST_SILENCE_IN_SECONDS else None


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_END_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
