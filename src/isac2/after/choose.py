"""Which particles of a run are meant: those of chosen classes, of all others, or of none."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.classes.select import Limits, classes_within, parse_numbers
from isac2.classes.select_files import RunClasses, saved_classes
from isac2.errors import InputError
from isac2.run.text_tables import read_ids

__all__ = ["Choice", "chosen_classes", "chosen_particles"]


@dataclass(frozen=True)
class Choice:
    """What is asked for; classes have to meet all of it.

    Attributes
    ----------
    classes : str or None
        Numbers from 1, as in ``1,4-6``.
    saved : str or None
        A saved selection: averages in any format, or a text file of numbers.
    limits : Limits
    reject : bool
        Take all other classes instead.
    unaccounted : bool
        Take the particles in no class: alone when no classes are asked for, else with them.
    """

    classes: str | None = None
    saved: str | None = None
    limits: Limits = field(default_factory=Limits)
    reject: bool = False
    unaccounted: bool = False

    @property
    def all_classes(self) -> bool:
        """Whether no classes are asked for, which means all."""
        asked = self.classes, self.saved
        return self.limits == Limits() and asked == (None, None) and not self.reject

    def as_dict(self) -> dict[str, Any]:
        """Return what was asked for, without what was not."""
        words = {**asdict(self), **asdict(self.limits)}
        words.pop("limits")
        return {name: value for name, value in words.items() if value not in (None, False)}


def chosen_classes(found: RunClasses, choice: Choice) -> NDArray[np.bool_]:
    """Say which classes are chosen, bool (K,).

    Raises
    ------
    InputError
        When there is no such class, or something asked about is not known.
    """
    keep = classes_within(found.table, choice.limits, str(found.path))
    places = np.arange(len(found.table))
    if choice.classes is not None:
        keep &= np.isin(places, parse_numbers(choice.classes, len(found.table)))
    if choice.saved is not None:
        keep &= np.isin(places, saved_classes(found, Path(choice.saved)))
    if choice.reject:
        keep = ~keep
    if choice.unaccounted and choice.all_classes:
        keep &= False
    return keep


def chosen_particles(
    found: RunClasses, choice: Choice, particle_count: int | None
) -> NDArray[np.int64]:
    """Return the ids of the chosen particles, ascending.

    Parameters
    ----------
    found : RunClasses
    choice : Choice
    particle_count : int or None
        Particles of the run; None where nobody knows.

    Raises
    ------
    InputError
        When there is none, or as `chosen_classes`.
    """
    ids = found.table.ids(chosen_classes(found, choice))
    if choice.unaccounted:
        ids = np.union1d(ids, _unaccounted(found, particle_count))
    if not len(ids):
        raise InputError(f"no particle of {found.path} meets what was asked for: ask for less.")
    return ids


def _unaccounted(found: RunClasses, particle_count: int | None) -> NDArray[np.int64]:
    """Return the ids of the particles in no class."""
    if particle_count is not None:
        members = found.table.ids(np.ones(len(found.table), bool))
        return np.setdiff1d(np.arange(particle_count), members)
    listed = found.averages.with_name("not_processed_images.txt")
    if not listed.is_file():
        raise InputError(
            f"{found.path} does not say which particles are in no class: give all of them as "
            "--stack."
        )
    return read_ids(listed)
