"""``sp_chains.py``: `isac2 order` as SPHIRE's users write it."""

from __future__ import annotations

import click

from isac2.cli.conventions import CONTEXT
from isac2.cli.main import run_command
from isac2.cli.recipes.common import HistoricalCommand
from isac2.errors import InputError

__all__ = ["command", "main"]

_HELP = """Order class averages so that neighbours look alike, and turn them to match.

\b
    sp_chains.py class_averages.hdf ordered.hdf --circular --radius=29
    sp_chains.py class_averages.hdf junk.hdf ordered.hdf --circular --radius=29

The tour is a circular one in any case, cut at its weakest link. Of three names the second, SPHIRE's
intermediate file, is not written. `isac2 order` does the same.
"""


@click.command(
    "sp_chains.py",
    cls=HistoricalCommand,
    whole_program="SPHIRE",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("files", metavar="AVERAGES [UNUSED] ORDERED", nargs=-1)
@click.option("--circular", is_flag=True, help="Order along a circular tour, and turn to match.")
@click.option("--dd", is_flag=True, help="Order along a circular tour, but turn nothing.")
@click.option("--radius", type=int, default=-1, help="Particle radius, px; largest by default.")
@click.option("--xr", type=click.FloatRange(min=0), default=1.0, show_default=True)
@click.option("--pairwiseccc", metavar="FILE", help="Write the correlation of every pair.")
def command(
    files: tuple[str, ...],
    circular: bool,
    dd: bool,
    radius: int,
    xr: float,
    pairwiseccc: str | None,
) -> None:
    from isac2.cli.order import order

    if len(files) not in (2, 3):
        raise InputError("sp_chains.py needs two names: the averages, and the ordered ones.")
    if circular and dd:
        raise InputError("--circular turns the averages and --dd does not: give one of them.")
    order(files[0], files[-1], radius if radius > 0 else None, xr, not dd, pairwiseccc)


def main() -> int:
    """Run ``sp_chains.py``."""
    return run_command(command, "sp_chains.py")
