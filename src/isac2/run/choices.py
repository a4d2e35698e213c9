"""Values that the program chooses where the user leaves them to it, each with its reason.

Before a run four may be: the particle's radius, the sizes of groups and classes, and the pixel
error threshold; whether noise is whitened is decided in the run (`isac2.run.whitening`). Everything
else keeps the default of the option table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from isac2.errors import InputError
from isac2.run.directory import RunDirectory
from isac2.run.option import AUTOMATIC
from isac2.run.options import Settings, option_default, option_table, smallest_class_for
from isac2.run.record import read_record
from isac2.stacks import Stack, open_stack

__all__ = [
    "Choice",
    "choose_settings",
    "group_size_for",
]

_SAMPLE = 500  # images that the radius is measured on
_GROUPS, _SMALLEST_GROUP, _LARGEST_GROUP = 20, 50, 200

Words = Mapping[str, Any]


@dataclass(frozen=True)
class Choice:
    """A value that the user left out.

    Attributes
    ----------
    option : str
        Historical name.
    value : int, float or str
    reason : str
    """

    option: str
    value: int | float | str
    reason: str

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, str) else f"{self.value:g}"
        return f"--{self.option}={value}: {self.reason}"


def choose_settings(
    stack: str | os.PathLike[str] | Stack,
    words: Words,
    outdir: str | os.PathLike[str] | None = None,
) -> tuple[Settings, tuple[Choice, ...]]:
    """Choose what is left open among a user's words: settings in which nothing is, and the choices.

    Parameters
    ----------
    stack : path-like or Stack
        Is only looked at for what depends on the images.
    words : mapping
        Values by Python name; None (left out) or ``auto`` where the table has an automatic value.
    outdir : path-like, optional
        Folder of the run; what was chosen for a run that is in it stays as it is.

    Raises
    ------
    InputError
        The stack or a value cannot be used, or ``auto`` was given where it means nothing.

    Examples
    --------
    >>> words = {"radius": 30, "images_per_group": 80}
    >>> settings, choices = choose_settings("particles.star", words)
    >>> settings.minimum_group_size
    48
    >>> print(choices[0])
    --minimum_grp_size=48: 60 % of --img_per_grp=80
    """
    table = option_table()
    for name, value in words.items():
        if value == AUTOMATIC and name in table and not table[name].automatic:
            raise InputError(f"--{table[name].name}={AUTOMATIC} means nothing: give a value.")
    values = {name: value for name, value in words.items() if value is not None}
    before = {} if outdir is None else _chosen_before(Path(outdir))
    choices = []
    for name, choose in _CHOOSERS.items():
        if not _is_open(name, words):
            continue
        option = table[name].name
        if option in before:
            choice = before[option]
        else:
            if name in _OF_THE_IMAGES and not isinstance(stack, Stack):
                stack = open_stack(stack)
            choice = Choice(option, *choose(stack, values))
        choices.append(choice)
        values[name] = choice.value
    return Settings(**values), tuple(choices)


def _chosen_before(outdir: Path) -> dict[str, Choice]:
    """Return what was chosen for the run in a folder, by option; nothing where there is none."""
    path = RunDirectory(outdir).run_json
    if not path.exists():
        return {}
    return {row["option"]: Choice(**row) for row in read_record(path).choices}


def group_size_for(count: int) -> int:
    """Return a size that leaves twenty groups of so many images: in tens, from 50 to 200.

    Examples
    --------
    >>> group_size_for(2608), group_size_for(240), group_size_for(100_000)
    (130, 50, 200)
    """
    size = count // _GROUPS // 10 * 10
    return min(max(size, _SMALLEST_GROUP), _LARGEST_GROUP)


def _is_open(name: str, words: Words) -> bool:
    """Whether a value is to be chosen: ``auto`` was given, or nothing and there is no default."""
    given = words.get(name)
    return option_default(name) in (MISSING, None) if given is None else bool(given == AUTOMATIC)


def _radius(stack: Any, values: Words) -> tuple[int, str]:
    from isac2.run.suggestion import read_sample, suggest

    sample = read_sample(stack, _SAMPLE)
    found = suggest(stack, sample)
    measured = f"measured on {len(sample.rows)} images"
    if found.filament_width is not None:
        return found.settings.radius, f"{measured} of filaments, as much as the box allows"
    return (
        found.settings.radius,
        f"{measured}, likely between {found.least:.0f} and {found.most:.0f} "
        "('isac2 suggest' draws it)",
    )


def _images_per_group(stack: Any, values: Words) -> tuple[int, str]:
    size = group_size_for(len(stack))
    groups = max(1, len(stack) // size)
    return size, f"{groups} groups of {len(stack)} images; from {_SMALLEST_GROUP} to " + str(
        _LARGEST_GROUP
    )


def _minimum_group_size(stack: Any, values: Words) -> tuple[int, str]:
    group = values.get("images_per_group", option_default("images_per_group"))
    return smallest_class_for(group), f"60 % of --img_per_grp={group}"


def _pixel_error_threshold(stack: Any, values: Words) -> tuple[float, str]:
    default, radius = option_default("pixel_error_threshold"), option_default("target_radius")
    target = values.get("target_radius", radius)
    reason = (
        f"{default:g} for a target radius of {radius}, in proportion to --target_radius={target}, "
        "so that it is the same length in the particle"
    )
    return round(default * target / radius, 3), reason


_CHOOSERS: Mapping[str, Callable[[Any, Words], tuple[int | float, str]]] = {
    "radius": _radius,
    "images_per_group": _images_per_group,
    "minimum_group_size": _minimum_group_size,
    "pixel_error_threshold": _pixel_error_threshold,
}
_OF_THE_IMAGES = ("radius", "images_per_group")
