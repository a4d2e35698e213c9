"""`isac2 report`: make the page of a run, again or for the first time."""

from __future__ import annotations

import click

from isac2.cli.conventions import CONTEXT

__all__ = ["command"]

_HELP = """Write the page of RUN: RUN/report.html, one file that opens from disk.

RUN is a run directory of isac2, finished or not, or one that SPHIRE's sp_isac2 left. A finished run
of isac2 has its page already.

\b
Example:
    isac2 report sphire_run --output sphire.html
"""


@click.command(
    "report",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("run")
@click.option("--output", "-o", metavar="FILE", help="Write the page to FILE instead.")
def command(run: str, output: str | None) -> None:
    from isac2.report import write_report

    click.echo(f"Report: {write_report(run, output)}")
