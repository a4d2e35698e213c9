"""`isac2 compare`: which classes and particles come again from run to run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isac2.cli.conventions import CONTEXT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table

    from isac2.after.compare import RunsCompared

__all__ = ["command"]

_HELP = """Compare runs of one stack, such as several seeds, with the first of them.

RUN is a run directory of isac2 or of SPHIRE, or a particle star file of any program with
rlnClassNumber. Classes are matched one to one so that they share as many particles as they can.

With --out the particles that are in a class of at least --min-runs runs are written: ids (.txt) or
a stack in any format. Nothing is overwritten.

\b
Examples:
    isac2 compare seed1 seed2 seed3
    isac2 compare seed1 seed2 seed3 --save
    isac2 compare seed1 seed2 seed3 --min-runs 2 --out consensus.star
"""


@click.command(
    "compare",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("runs", metavar="RUN1 RUN2...", nargs=-1, required=True)
@click.option("--out", "outputs", metavar="FILE", multiple=True, help="Write the consensus here.")
@click.option(
    "--min-runs", type=int, metavar="K", help="Particles good in K runs or more; all by default."
)
@click.option(
    "--same-class",
    is_flag=True,
    help="Count only the runs in which the particle is in the same class.",
)
@click.option(
    "--stack", metavar="STACK", help="The particles, where the first run does not say (SPHIRE's)."
)
@click.option(
    "--particles",
    "table",
    metavar="FILE",
    help="Also write a row for each particle: id, runs in which it is in a class, the class that "
    "most agree on (0: none), runs that do.",
)
@click.option(
    "--save",
    is_flag=True,
    help="Keep it with RUN1: reproducibility.json and .txt in its folder, and on its report.",
)
@click.option("--json", "json_path", metavar="FILE", help="Also write all numbers as JSON.")
def command(
    runs: tuple[str, ...],
    outputs: tuple[str, ...],
    min_runs: int | None,
    same_class: bool,
    stack: str | None,
    table: str | None,
    save: bool,
    json_path: str | None,
) -> None:
    from rich.console import Console

    from isac2.after.compare import (
        compare_runs,
        save_comparison,
        write_consensus,
        write_particle_table,
    )
    from isac2.files import write_text_atomic
    from isac2.stacks.writing import refuse_existing

    for output in (*outputs, *(path for path in (table, json_path) if path is not None)):
        refuse_existing(output)
    with Console(stderr=True).status("comparing"):
        compared = compare_runs(runs)
    least = compared.comparison.runs if min_runs is None else min_runs
    ids = compared.comparison.chosen(least, same_class)
    console = Console()
    console.print(_classes(compared))
    console.print(_particles(compared))
    for output in outputs:
        write_consensus(output, compared, ids, stack)
        how = "the same class" if same_class else "a class"
        click.echo(f"{len(ids):,} particles in {how} of {least} or more runs: {output}")
    if table is not None:
        write_particle_table(table, compared)
    if save:
        from isac2.report import write_report

        click.echo(f"Report: {write_report(save_comparison(compared))}")
    if json_path is not None:
        write_text_atomic(json_path, json.dumps(compared.as_dict(), indent=2) + "\n")


def _classes(compared: RunsCompared) -> Table:
    """Return one row for each class of the first run: its partners and what they share."""
    from rich.table import Table

    found = compared.comparison
    table = Table(title=f"Classes of {compared.paths[0]}", title_justify="left")
    names = [Path(path).name for path in compared.paths[1:]]
    for name in ("class", "size", "reproducibility", *names):
        table.add_column(name, justify="right")
    for number in range(len(found.sizes)):
        partners = [
            f"{match + 1} ({share:.2f})" if match >= 0 else "-"
            for match, share in zip(
                found.matched[1:, number], found.shared[1:, number], strict=True
            )
        ]
        share = found.reproducibility[number]
        table.add_row(str(number + 1), str(found.sizes[number]), f"{share:.2f}", *partners)
    return table


def _particles(compared: RunsCompared) -> Table:
    """Return how many particles are good in how many runs, and how the runs agree."""
    from rich.table import Table

    found = compared.comparison
    table = Table(title="Particles", title_justify="left")
    for name in ("in at least", "in a class", "in the same class"):
        table.add_column(name, justify="right")
    for least in range(1, found.runs + 1):
        counts = (len(found.chosen(least)), len(found.chosen(least, same_class=True)))
        table.add_row(f"{least} of {found.runs} runs", *(f"{count:,}" for count in counts))
    pairs = compared.rand_index[~_diagonal(found.runs)]
    table.caption = f"adjusted Rand index of two runs {pairs.min():.3f} to {pairs.max():.3f}"
    return table


def _diagonal(size: int) -> NDArray[np.bool_]:
    import numpy as np

    return np.eye(size, dtype=bool)
