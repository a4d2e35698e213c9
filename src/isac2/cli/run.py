"""`isac2 run`: from a particle stack to a directory of validated class averages."""

from __future__ import annotations

from typing import Any

import click

from isac2.cli.conventions import CONTEXT, NO_CLASS
from isac2.cli.main import explain
from isac2.cli.settings_options import SettingsCommand, settings_options
from isac2.run.directory import RunDirectory
from isac2.run.stopping import stopping_on_signals

__all__ = ["command"]

_HELP = """Sort the particles of STACK into validated class averages, written to OUTDIR.

STACK is a RELION .star, a cryoSPARC .cs, an EMAN2 stack or a bare .mrcs; OUTDIR is made. When it
holds an unfinished run of the same stack and options, the run goes on from its last saved point.

\b
Examples: a cryo data set whose particles have a radius of 120 pixels; and one that is measured
    isac2 run particles.star classes --radius=120 --CTF
    isac2 run particles.star classes --CTF --img_per_grp=auto
"""


def _run(stack: str, outdir: str, **words: Any) -> None:
    # the runner needs the whole numeric library, which the help does not
    from isac2.run.choices import choose_settings
    from isac2.run.communication import open_ranks
    from isac2.run.runner import run_isac

    with open_ranks(explain) as ranks:
        with stopping_on_signals():
            settings, choices = ranks.first(lambda: choose_settings(stack, words, outdir))
            directory = run_isac(stack, outdir, settings, ranks=ranks, choices=choices)
        if ranks.is_first:
            _say_where(directory)


def _say_where(directory: RunDirectory) -> None:
    """Say where the result is."""
    if directory.class_averages.exists():
        click.echo(f"Class averages: {directory.class_averages}")
    else:
        click.echo(NO_CLASS)
    click.echo(f"Report:         {directory.report}")


command = SettingsCommand(
    "run",
    callback=_run,
    params=[
        click.Argument(["stack"]),
        click.Argument(["outdir"]),
        *settings_options(),
    ],
    help=_HELP,
    context_settings=CONTEXT,
)
