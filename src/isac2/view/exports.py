"""What the viewer's export buttons write: as `isac2 select` does, into the run's selections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isac2.errors import InputError
from isac2.report.choosable import open_choosable
from isac2.run.chosen_files import is_id_list, write_chosen_particles
from isac2.view.selections import SelectionFolder

__all__ = ["KINDS", "Export", "export_selection"]

KINDS = {
    "ids": "_ids.txt",
    "star": ".star",
    "cs": ".cs",
    "lst": ".lst",
    "averages": "_averages.hdf",
}
"""What can be written, and how the names end."""


@dataclass(frozen=True)
class Export:
    """A file that was written, how many classes are in it, and how many particles."""

    file: Path
    classes: int
    particles: int


def export_selection(
    run: Path,
    folder: SelectionFolder,
    name: str,
    kind: str,
    others: bool = False,
    stack: str | None = None,
) -> Export:
    """Write the particles, or the averages, of a selection; an older export of it is replaced.

    While the run goes on, these are the members that its classes have so far.

    Parameters
    ----------
    run : pathlib.Path
    folder : SelectionFolder
    name, kind : str
        A saved selection, and one of `KINDS`.
    others : bool
        Write the classes that are not chosen instead.
    stack : str, optional
        The particles, where the run does not say (SPHIRE's).

    Raises
    ------
    InputError
        When nothing is chosen, or it cannot be written.
    """
    if kind not in KINDS:
        raise InputError(
            f"'{kind[:20]}' is nothing that can be exported: take one of {', '.join(KINDS)}."
        )
    found = open_choosable(run)
    table = found.classes.table
    numbers = folder.read(name).chosen
    chosen = np.isin(np.arange(1, len(table) + 1), numbers) != others
    ids = table.ids(chosen)
    if not len(ids):
        raise InputError(f"No class is {'left over' if others else 'chosen'}: choose some first.")
    target = folder.path / f"{name}{'_others' if others else ''}{KINDS[kind]}"
    with folder.alone():
        if kind == "averages":
            found.write_averages(str(target), chosen, keep_existing=False)
        else:
            needed = stack is not None or not is_id_list(target.name)
            particles = found.particles(stack) if needed else None
            write_chosen_particles(str(target), particles, ids, keep_existing=False)
    return Export(target, int(chosen.sum()), len(ids))
