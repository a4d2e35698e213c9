"""``sp_compute_isac_avg.py``: `isac2 beautify` as SPHIRE's users write it."""

from __future__ import annotations

from typing import Any

import click

from isac2.cli.beautify import beautify, beautify_parameters
from isac2.cli.conventions import CONTEXT
from isac2.cli.main import run_command
from isac2.cli.recipes.common import HistoricalCommand

__all__ = ["command", "main"]

_HELP = """Average the particles of each class at full size, with the CTF corrected.

\b
    sp_compute_isac_avg.py --stack=bdb:data --isac_dir=isac2_outdir --output_dir=averages

`isac2 beautify` does the same, and by default low-passes each average at its resolution.
"""


def _run(stack: str, isac_dir: str, output_dir: str, **words: Any) -> None:
    beautify(isac_dir, output_dir, stack, words)


command = HistoricalCommand(
    "sp_compute_isac_avg.py",
    whole_program="SPHIRE",
    callback=_run,
    params=[
        click.Option(["--stack"], required=True, metavar="STACK", help="What was classified."),
        click.Option(["--isac_dir"], required=True, metavar="RUN", help="The run's directory."),
        click.Option(["--output_dir"], required=True, metavar="DIR", help="Folder to be made."),
        *beautify_parameters(low_pass=-1.0),
    ],
    help=_HELP,
    context_settings=CONTEXT,
)


def main() -> int:
    """Run ``sp_compute_isac_avg.py``."""
    return run_command(command, "sp_compute_isac_avg.py")
