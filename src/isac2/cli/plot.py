"""`isac2 plot`: figures of a run for papers."""

from __future__ import annotations

from pathlib import Path

import click

from isac2.cli.conventions import CONTEXT

__all__ = ["command"]

_HELP = """Draw a figure of RUN for a paper.

\b
montage    all averages, the largest class first, with their numbers of members
histogram  distributions of class size, resolution, pixel error and mirror consistency
frc        Fourier ring correlation of the half averages of every class, and the median
chain      averages along the chain of look-alikes, turned to match, with their class numbers

RUN is a run directory of isac2 or of SPHIRE. The format is told by the name: .pdf, .svg or .png.

\b
Example:
    isac2 plot montage classes -o averages.pdf
"""


@click.command(
    "plot",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("figure", type=click.Choice(["montage", "histogram", "frc", "chain"]))
@click.argument("run")
@click.option("--output", "-o", metavar="FILE", required=True, help="Write the figure to FILE.")
@click.option(
    "--columns",
    type=click.IntRange(1, 100),
    help="Averages in a row, for montage and chain; about ten by default.",
)
def command(figure: str, run: str, output: str, columns: int | None) -> None:
    from isac2.report.figures import write_figure
    from isac2.report.load import load_report

    write_figure(load_report(Path(run)), figure, Path(output), columns)
    click.echo(f"Figure: {output}")
