"""`run.json`: what was run on what, how long it took, what came out.

The keys are those of the dataclasses below; ``program`` marks the file as ours. `options` has the
historical names. `seed` is the one used, also when none was given.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from isac2 import __version__
from isac2.errors import InputError
from isac2.files import write_text_atomic
from isac2.run.options import Settings, option_table

__all__ = [
    "GenerationRecord",
    "InputRecord",
    "RunRecord",
    "differences",
    "new_record",
    "options_as_given",
    "read_record",
    "time_now",
    "write_record",
]

_PROGRAM = "isac2"
_ADDED_LATER = (
    "ranks",
    "provenance",
    "choices",
    "random_groups",
    "pools",
)  # records without these are read too
_PACKAGES = ("numpy", "scipy", "numba", "h5py", "torch")


@dataclass(frozen=True)
class InputRecord:
    """The input stack; the fingerprint is that of `isac2.stacks.Stack.fingerprint`."""

    path: str
    kind: str
    images: int
    box_size: int
    pixel_size_in_angstroms: float | None
    fingerprint: str


@dataclass(frozen=True)
class GenerationRecord:
    """What one generation did.

    Attributes
    ----------
    main_iteration, generation : int
        Counted from 1.
    images, groups : int
        It worked on, and made.
    classes, accounted : int
        New classes, and by how many the images in a class, also in an older one, have become more;
        less than 0 where the end of a main iteration sent back more than was found.
    rounds : int
        SAC rounds it took.
    agreement : float
        Of its last two stability tests.
    seconds : float
    """

    main_iteration: int
    generation: int
    images: int
    groups: int
    classes: int
    accounted: int
    rounds: int
    agreement: float
    seconds: float


@dataclass
class RunRecord:
    """All of `run.json`.

    Attributes
    ----------
    version : str
        Of isac2.
    versions : dict of str to str
        Of Python and of what computes.
    platform : str
    options : dict of str to value
        By historical name, as given.
    seed : int
    input : InputRecord
    shrink_ratio : float
        Working pixels in an input pixel.
    working_box_size : int
    started, finished : str
        ISO 8601; empty until it has.
    threads, ranks : int
        Of the last start: threads of each rank.
    phases : list of dict
        ``name``, ``seconds``, ``peak_memory_in_bytes`` (of the first rank), processor time of the
        ranks (``mean_core_seconds``, ``most_core_seconds``); with several also what the first rank
        received (``received_bytes``, in how many ``exchanges``) and how long it waited
        (``waited_seconds``). Of a run that was stopped, all its starts.
    generations : list of GenerationRecord
    unusable_images : list of int
        Ids of images that are constant or hold a value that is no number.
    warnings : list of str
    classes, accounted : int
        At the end.
    provenance : dict
        Of a run that was made from another: ``verb``, ``run`` (its directory), what was taken from
        it, and its own ``provenance``; else empty.
    choices : list of dict
        What the program chose: ``option``, ``value`` and ``reason``.
    pools : list of dict
        A row for each time that pools were brought together: their number, their classes before
        and after, how many are of several pools, the particles accounted for.
    random_groups : dict
        Unrelated particles put to the classes' test: ``size`` of the groups, ``stable`` particles
        in each, how many ``passed``, ``highest_rate`` (upper 95 % limit); empty when not done.
    """

    version: str
    versions: dict[str, str]
    platform: str
    options: dict[str, Any]
    seed: int
    input: InputRecord
    shrink_ratio: float
    working_box_size: int
    started: str
    finished: str = ""
    threads: int = 1
    ranks: int = 1
    phases: list[dict[str, Any]] = field(default_factory=list)
    generations: list[GenerationRecord] = field(default_factory=list)
    unusable_images: list[int] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    classes: int = 0
    accounted: int = 0
    provenance: dict[str, Any] = field(default_factory=dict)
    choices: list[dict[str, Any]] = field(default_factory=list)
    random_groups: dict[str, Any] = field(default_factory=dict)
    pools: list[dict[str, Any]] = field(default_factory=list)


def new_record(settings: Settings, stack: InputRecord, seed: int) -> RunRecord:
    """Begin the record of a run."""
    return RunRecord(
        version=__version__,
        versions=_versions(),
        platform=platform.platform(),
        options=options_as_given(settings),
        seed=seed,
        input=stack,
        shrink_ratio=settings.shrink_ratio,
        working_box_size=settings.working_box_size,
        started=time_now(),
    )


def options_as_given(settings: Settings) -> dict[str, Any]:
    """Return the values of all options by their historical names."""
    return {option.name: getattr(settings, name) for name, option in option_table().items()}


def differences(record: RunRecord, settings: Settings, stack: InputRecord) -> list[str]:
    """Say in which options and in which input another start differs from a run, if it matters.

    A start without ``--rand_seed`` takes the run's own seed.
    """
    found = []
    for option in option_table().values():
        before = record.options.get(option.name)
        now = options_as_given(settings)[option.name]
        if option.name == "rand_seed":
            before, now = record.seed, record.seed if now is None else now
        if option.changes_result and before != now:
            found.append(f"--{option.name} was {before} and is {now}")
    if record.input.fingerprint != stack.fingerprint:
        found.append(
            f"the input was {record.input.path} ({record.input.images} images) and {stack.path} "
            f"({stack.images} images) is not the same"
        )
    return found


def write_record(path: Path, record: RunRecord) -> None:
    """Write the record, whole or not at all."""
    document = {"program": _PROGRAM, **asdict(record)}
    write_text_atomic(path, json.dumps(document, indent=2) + "\n")


def read_record(path: Path) -> RunRecord:
    """Read a record.

    Raises
    ------
    InputError
        When the file is missing, or from another program or version.
    """
    try:
        document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if document["program"] != _PROGRAM:
            raise ValueError("another program wrote it")
        values = {
            entry.name: document[entry.name]
            for entry in fields(RunRecord)
            if entry.name in document or entry.name not in _ADDED_LATER
        }
        values["input"] = InputRecord(**values["input"])
        values["generations"] = [GenerationRecord(**row) for row in values["generations"]]
        return RunRecord(**values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not the record of a run that this version can read ({error}): give the "
            "name of a new folder for the output."
        ) from None


def time_now() -> str:
    """Return the local time as ISO 8601, to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
