"""How a run begins: as a new one, where it was stopped, or at an earlier main iteration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from isac2.clustering.state import IsacState
from isac2.errors import InputError, RunError
from isac2.run.checkpoint import DamagedStateError, load_state, save_state
from isac2.run.directory import RunDirectory
from isac2.run.options import Settings
from isac2.run.record import (
    InputRecord,
    RunRecord,
    differences,
    new_record,
    read_record,
    write_record,
)
from isac2.stacks import Stack

__all__ = [
    "TooFewImagesError",
    "begin_run",
    "last_good_state",
    "leaving_nothing_without_images",
    "read_same_run",
    "saying_how_to_go_on",
]

_NO_RESTART = -1


class TooFewImagesError(InputError):
    """The stack has not even one group of images that can be used."""


@contextmanager
def leaving_nothing_without_images(directory: RunDirectory | None) -> Iterator[None]:
    """Remove a run that is refused inside: only its pixels said that it can never begin.

    None is for those who share a run with the one that removes it.
    """
    try:
        yield
    except TooFewImagesError:
        if directory is not None:
            directory.remove_beginning()
        raise


@contextmanager
def saying_how_to_go_on(directory: RunDirectory) -> Iterator[None]:
    """Turn what the system refuses inside into one sentence: a full disk, a lost file, a quota."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # the HDF5 library also raises RuntimeError for what the system said
        if isinstance(error, RuntimeError) and "errno" not in str(error):
            raise
        raise RunError(
            f"The run in {directory.path} cannot go on ({error}): mend that, and give the same "
            "command again, which goes on from the last saved point."
        ) from error


def begin_run(directory: RunDirectory, stack: Stack, settings: Settings) -> RunRecord:
    """Make the run's folder, or take up the run that is in it.

    Parameters
    ----------
    directory : RunDirectory
        From `isac2.run.directory.open_run_directory`.
    stack : Stack
    settings : Settings
        `restart` says where to go on.

    Returns
    -------
    RunRecord
        As it is in ``run.json``. The folder has the marker ``finished`` when nothing is left to do.

    Raises
    ------
    InputError
        When the run in the folder is of another stack or of other settings, or there is nothing to
        restart.
    """
    if directory.is_new():
        if settings.restart != _NO_RESTART:
            raise InputError(
                f"--restart={settings.restart}: there is no run in {directory.path} to restart, so "
                "leave the option out."
            )
        return _make_new(directory, settings, describe_input(stack))
    record = read_same_run(directory, stack, settings)
    _remove_leftovers(directory)
    if settings.restart != _NO_RESTART:
        _go_back(directory, record, settings.restart)
    return record


def read_same_run(directory: RunDirectory, stack: Stack, settings: Settings) -> RunRecord:
    """Read the record of a run; refuse one of another stack or of other settings.

    Nothing is written, so that a finished run may lie where nothing can be.
    """
    record = read_record(directory.run_json)
    changed = differences(record, settings, describe_input(stack))
    if changed:
        raise InputError(
            f"The run in {directory.path} was started differently ({'; '.join(changed)}): give the "
            "same again, or a new folder for the output."
        )
    return record


def describe_input(stack: Stack) -> InputRecord:
    """Say what stack a run is of."""
    return InputRecord(
        path=str(stack.path),
        kind=stack.kind,
        images=len(stack),
        box_size=stack.box_size,
        pixel_size_in_angstroms=stack.pixel_size_in_angstroms,
        fingerprint=stack.fingerprint(),
    )


def _make_new(directory: RunDirectory, settings: Settings, given: InputRecord) -> RunRecord:
    """Make the folder and its ``run.json``."""
    seed = settings.seed
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0]) % 2**31
    record = new_record(settings, given, seed)
    if given.pixel_size_in_angstroms is None:
        record.warnings.append(
            "The stack gives no pixel size, or several: lengths in A are for the mean of those "
            "that are known, with 1 A for the others."
        )
    try:
        directory.state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{directory.path} cannot be made ({error.strerror}): give another folder for the "
            "output."
        ) from None
    write_record(directory.run_json, record)
    return record


def _remove_leftovers(directory: RunDirectory) -> None:
    """Remove what `isac2.files.atomic_path` had not yet renamed when a run was killed."""
    for path in directory.path.rglob(".*.tmp*"):
        path.unlink(missing_ok=True)


def last_good_state(directory: RunDirectory) -> IsacState | None:
    """Return the last saved point that is good, and remove what came after it; None for none.

    The method comes from any saved point to the same end, so that only time is lost.
    """
    for main_iteration in range(directory.last_finished_main(), 0, -1):
        try:
            state = load_state(directory.state_after_main(main_iteration))
        except DamagedStateError:
            continue
        directory.remove_after_main(main_iteration)
        return state
    directory.remove_after_main(0)
    return None


def _go_back(directory: RunDirectory, record: RunRecord, restart: int) -> None:
    """Take a run back to the end of a main iteration; 0 is the last one that is complete."""
    last = directory.last_finished_main()
    if not 1 <= max(restart, 1) <= last:
        complete = f"only {last} are" if last else "none is"
        raise InputError(
            f"--restart={restart}: of the main iterations in {directory.path} {complete} complete, "
            "so it cannot go on from there."
        )
    target = restart or last
    state = load_state(directory.state_after_main(target))
    directory.remove_after_main(target)
    save_state(directory.clustering_state, state)
    record.finished = ""
    record.generations[:] = [row for row in record.generations if row.main_iteration <= target]
    write_record(directory.run_json, record)
