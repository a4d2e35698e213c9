"""What the historical programs share: names of files, and refusing what is not theirs."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isac2.errors import InputError

if TYPE_CHECKING:
    from isac2.stacks import Stack

__all__ = [
    "HistoricalCommand",
    "find_averages",
    "open_recipe_stack",
    "rewrite_headers",
]


class HistoricalCommand(click.Command):
    """A command that says which program has the options that it lacks.

    Parameters
    ----------
    whole_program : str
        Whose program has the rest: "SPHIRE" or "EMAN2".
    """

    def __init__(self, *arguments: object, whole_program: str, **words: object) -> None:
        super().__init__(*arguments, **words)  # type: ignore[arg-type]
        self.whole_program = whole_program

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and say whose program knows an option that this one does not."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise InputError(
                f"{self.name} of isac2 does what the recipes of the manual need and has no "
                f"{error.option_name}: use the {self.name} of {self.whole_program}."
            ) from None


def open_recipe_stack(name: str) -> Stack:
    """Open the stack that a recipe names.

    The recipes take a run's particles from a BDB ``data`` in the run's folder. isac2 makes none:
    where there is no such stack but a run, its particles are meant.

    Raises
    ------
    InputError
        When there is neither.
    """
    from isac2.stacks import open_stack

    if name.startswith("bdb:"):
        from isac2.stacks.eman_bdb import bdb_file

        file = bdb_file(name)
        if not file.exists() and file.stem == "data":
            star = _particles_of_run(file.parent.parent)
            if star is not None:
                return open_stack(star)
    return open_stack(name)


def _particles_of_run(folder: Path) -> Path | None:
    """Return the particles of the run that a folder is, or is a main iteration or generation of."""
    for place in (folder.resolve(), *folder.resolve().parents[:2]):
        if (place / "class_averages.hdf").is_file() and (place / "particles.star").is_file():
            return place / "particles.star"
    return None


def find_averages(name: str) -> Path:
    """Return a file of averages, with or without the underscore that the manual page leaves out.

    Examples
    --------
    >>> find_averages("class_averages.hdf").name
    'class_averages.hdf'
    """
    path = Path(name)
    if path.exists():
        return path
    other = path.with_name(re.sub(r"generation(\d)", r"generation_\1", path.name))
    return other if other.exists() else path


def rewrite_headers(name: str, stack: Stack) -> None:
    """Write a stack over itself, with what has changed in its table.

    Raises
    ------
    InputError
        When files of its format hold no such table.
    """
    from isac2.run.final_files import project_folder
    from isac2.stacks import WriteOptions, write_stack

    if Path(name).suffix.lower() in (".mrc", ".mrcs"):
        raise InputError(
            f"{name} is a bare MRC stack without headers: make a table of it first, "
            f"isac2 convert {name} {os.path.splitext(name)[0]}.star."
        )
    if not name.startswith("bdb:") and not os.access(name, os.W_OK):
        raise InputError(f"{name} is not there, or may not be written: its headers stay.")
    _refuse_new_pixels(name, stack)
    write_stack(name, stack, WriteOptions(False, project_folder(stack), keep_existing=False))


def _refuse_new_pixels(name: str, stack: Stack) -> None:
    """Refuse to replace pixels of another origin by those a table cannot point to."""
    from isac2.stacks._images import RawImages

    path = Path(name)
    if path.suffix.lower() not in (".star", ".cs") or not path.with_suffix(".mrcs").exists():
        return
    if not all(isinstance(file, RawImages) and file.offset >= 1024 for file in stack.files):
        raise InputError(
            f"{name} would get its pixels in {path.with_suffix('.mrcs')}, which is there already: "
            f"convert it under another name first, isac2 convert {name} NEW{path.suffix}."
        )
