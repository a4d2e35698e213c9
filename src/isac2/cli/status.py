"""`isac2 status`: how far a run is."""

from __future__ import annotations

import click

from isac2.cli.conventions import CONTEXT

__all__ = ["command"]

_HELP = """Say how far the run in OUTDIR is: also while it goes on, from another terminal.

Of a run that was stopped it shows the command that goes on with it.

\b
Example:
    isac2 status classes
"""


@click.command(
    "status",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("outdir")
def command(outdir: str) -> None:
    from isac2.run.status import read_status, status_text

    click.echo(status_text(read_status(outdir)))
