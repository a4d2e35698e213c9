"""``sp_pipe.py isac_substack``: `isac2 substack` as SPHIRE's users write it."""

from __future__ import annotations

import click

from isac2.cli.conventions import CONTEXT
from isac2.cli.main import run_command
from isac2.cli.recipes.common import HistoricalCommand
from isac2.errors import InputError

__all__ = ["command", "main"]

_HELP = """Make a virtual stack of the particles of STACK that are in a class of RUN.

\b
    sp_pipe.py isac_substack bdb:stack isac2_outdir substack

TASK is isac_substack. OUTDIR is made and gets bdb:OUTDIR#isac_substack and the list of its
particles. `isac2 substack` does the same, in star by default.
"""


@click.command(
    "sp_pipe.py",
    cls=HistoricalCommand,
    whole_program="SPHIRE",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("task")
@click.argument("words", metavar="STACK RUN OUTDIR", nargs=-1)
@click.option("--isac_class_avgs_path", "saved", metavar="FILE", help="Only these averages.")
@click.option("--substack_basename", "basename", default="isac_substack", show_default=True)
def command(task: str, words: tuple[str, ...], saved: str | None, basename: str) -> None:
    if task != "isac_substack":
        raise InputError(
            f"sp_pipe.py of isac2 does isac_substack only: for {task} use the sp_pipe.py of SPHIRE."
        )
    if len(words) != 3:
        raise InputError("isac_substack needs three names: the stack, the run, the new folder.")
    from isac2.cli.substack import write_substack

    write_substack(*words, saved, basename, "bdb")


def main() -> int:
    """Run ``sp_pipe.py``."""
    return run_command(command, "sp_pipe.py")
