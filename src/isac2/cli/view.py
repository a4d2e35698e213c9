"""`isac2 view`: choose classes in the browser, also while the run goes on."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import click

from isac2.cli.conventions import CONTEXT

__all__ = ["command"]

_HELP = """Show the run in OUTDIR in the browser, and choose classes there.

OUTDIR is the directory of a run, of isac2 (also while it goes on) or of SPHIRE. Choices, labels and
notes are saved as they are made, in OUTDIR/selections and nowhere else; export buttons write what
'isac2 select' does. Only this machine is answered, at an address that has to be known; Ctrl-C ends
it.

\b
Examples:
    isac2 view classes
    isac2 view sphire_run --stack particles.star
"""


@click.command(
    "view",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("outdir")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port to answer on, 127.0.0.1 only; any that is free by default.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address; open no browser.")
@click.option(
    "--stack",
    metavar="STACK",
    help="The particles, row by row, for exports of a run that does not say (SPHIRE's).",
)
def command(outdir: str, port: int, no_browser: bool, stack: str | None) -> None:
    from isac2.view.server import serve

    def announce(address: str) -> None:
        click.echo(f"View:  {address}")
        if "SSH_CONNECTION" in os.environ:
            here = address.split("/")[2].rpartition(":")[2]
            click.echo(
                f"Over ssh, first, on your own machine: ssh -L {here}:127.0.0.1:{here} "
                f"{socket.gethostname()}"
            )
        click.echo("Ctrl-C ends it; what was chosen is saved already.")
        sys.stdout.flush()
        if not no_browser and _has_screen():
            click.launch(address)

    try:
        serve(Path(outdir), port, stack, announce)
    except KeyboardInterrupt:
        click.echo("Ended.")


def _has_screen() -> bool:
    """Whether a browser would open a window, not take over the terminal."""
    if "SSH_CONNECTION" in os.environ:
        return False
    return sys.platform in ("darwin", "win32") or any(
        name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
