"""One row of the option table, and the check of one value against it."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import Any, Literal

from isac2.errors import InputError

__all__ = ["AUTOMATIC", "Group", "Option", "checked_value", "range_text"]

Group = Literal["main", "advanced", "machine"]

AUTOMATIC = "auto"
"""What is typed to leave a value to the program."""


@dataclass(frozen=True)
class Option:
    """One row of the table.

    Attributes
    ----------
    name : str
        The historical name, typed after ``--``.
    value_type : type
        `bool` (a flag), `int`, `float` or `str`.
    help : str
        What it means, one or two sentences.
    group : {"main", "advanced", "machine"}
        Where the help shows it; "machine" options are about the computer, not the method.
    unit : str
        Unit of the value, empty for a flag or a number without one.
    minimum, maximum : float
        Closed range of the value.
    special : tuple of (value, meaning)
        Values with a meaning of their own, inside the range or outside it.
    changes_result : bool
        Whether a run that was started with another value would come out differently.
    automatic : str
        What the word ``auto`` stands for on the command line; empty where it is not understood.
    pattern : str
        Of a text, the regular expression that it matches.
    words : str
        Of a text, the same for people.
    """

    name: str
    value_type: type
    help: str
    group: Group = "advanced"
    unit: str = ""
    minimum: float = -math.inf
    maximum: float = math.inf
    special: tuple[tuple[int | None, str], ...] = ()
    changes_result: bool = True
    automatic: str = ""
    pattern: str = ""
    words: str = ""


def checked_value(option: Option, value: Any) -> Any:
    """Return `value` as the option's type, or say what is wrong with it."""
    if any(value == special for special, _ in option.special):
        return value
    if option.value_type is bool:
        if isinstance(value, bool):
            return value
        raise InputError(f"--{option.name} is a flag: set it to True or False, not {value!r}.")
    if option.value_type is str:
        if isinstance(value, str) and re.fullmatch(option.pattern, value):
            return value
        raise InputError(f"--{option.name}={value} is unknown: give {option.words}.")
    number = _as_number(option, value)
    if not option.minimum <= number <= option.maximum:
        raise InputError(f"--{option.name}={number} is out of range: give {range_text(option)}.")
    return number


def _as_number(option: Option, value: Any) -> int | float:
    try:
        if isinstance(value, bool | str):
            raise TypeError
        number = operator.index(value) if option.value_type is int else float(value)
    except (TypeError, ValueError):
        raise InputError(
            f"--{option.name}={value!r} is not a number it can take: give {range_text(option)}."
        ) from None
    return number


def range_text(option: Option) -> str:
    """Say in words which values an option takes."""
    kind = "a whole number" if option.value_type is int else "a number"
    unit = f" ({option.unit})" if option.unit else ""
    if option.maximum < math.inf:
        text = f"{kind} from {option.minimum:.15g} to {option.maximum:.15g}{unit}"
    else:
        text = f"{kind} of at least {option.minimum:.15g}{unit}"
    specials = [
        f"{value} for '{meaning}'" for value, meaning in option.special if value is not None
    ]
    return " or ".join([text, *specials])
