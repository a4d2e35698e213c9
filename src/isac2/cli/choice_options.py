"""The options that choose classes of a run, shared by the verbs that take particles from one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from isac2.after.choose import Choice

__all__ = ["choice_of", "choice_options"]


def choice_options() -> list[click.Parameter]:
    """Return the options; `choice_of` takes their values."""
    return [
        click.Option(["--classes"], metavar="LIST", help="Only these classes, as in 1,4-6."),
        click.Option(
            ["--from", "saved"],
            metavar="FILE",
            help="Only the classes in FILE: averages saved after others were deleted, in any "
            "format, or a text file of class numbers.",
        ),
        click.Option(
            ["--min-size"], type=int, metavar="N", help="Only classes of at least N members."
        ),
        click.Option(
            ["--max-size"], type=int, metavar="N", help="Only classes of at most N members."
        ),
        click.Option(
            ["--max-resolution"],
            type=float,
            metavar="A",
            help="Only classes resolved to A Angstroms or finer.",
        ),
        click.Option(
            ["--max-error"],
            type=float,
            metavar="PX",
            help="Only classes of at most this pixel error.",
        ),
        click.Option(
            ["--min-mirror-consistency"],
            type=float,
            metavar="SHARE",
            help="Only classes of at least this mirror consistency, 0 to 1.",
        ),
        click.Option(
            ["--reject"], is_flag=True, help="Take the members of all other classes instead."
        ),
        click.Option(
            ["--unaccounted"],
            is_flag=True,
            help="Take the particles in no class: alone when no classes are chosen, else with "
            "them.",
        ),
    ]


def choice_of(words: Mapping[str, Any]) -> Choice:
    """Return what the options say."""
    from isac2.after.choose import Choice
    from isac2.classes.select import Limits

    limits = Limits(
        words["min_size"],
        words["max_size"],
        words["max_resolution"],
        words["max_error"],
        words["min_mirror_consistency"],
    )
    return Choice(words["classes"], words["saved"], limits, words["reject"], words["unaccounted"])
