"""`isac2 rerun`: another round with the chosen particles of a run."""

from __future__ import annotations

from typing import Any

import click

from isac2.cli.choice_options import choice_of, choice_options
from isac2.cli.conventions import CONTEXT, NO_CLASS, stack_option
from isac2.cli.main import explain
from isac2.cli.run_overrides import OverridingCommand, given_settings, run_overrides
from isac2.run.stopping import stopping_on_signals

__all__ = ["command"]

_HELP = """Classify chosen particles of RUN again, to OUTDIR.

Particles are chosen as by `isac2 select`. The round has the options and the seed of RUN, but for
those that are given; OUTDIR is an ordinary run's directory, with where its particles come from as
provenance in run.json, and their rows in the very first stack in original_ids.txt. The same command
goes on with what was stopped.

\b
Examples:
    isac2 rerun classes round2 --min-size 80 --max-resolution 15
    isac2 rerun classes round2 --from saved_averages.hdf --img_per_grp=50 --minimum_grp_size=20
    isac2 rerun classes rejected --from saved_averages.hdf --reject --unaccounted
"""


def _rerun(run: str, outdir: str, **words: Any) -> None:
    # what computes is imported only when there is something to compute
    from isac2.after.rerun import rerun
    from isac2.run.communication import open_ranks

    with open_ranks(explain) as ranks:
        with stopping_on_signals():
            directory = rerun(
                run,
                outdir,
                choice_of(words),
                stack=words["stack"],
                settings=given_settings(words),
                ranks=ranks,
            )
        if not ranks.is_first:
            return
        if not directory.class_averages.exists():
            click.echo(NO_CLASS)
        click.echo(f"Report: {directory.report}")


command = OverridingCommand(
    "rerun",
    callback=_rerun,
    params=[
        click.Argument(["run"]),
        click.Argument(["outdir"]),
        *choice_options(),
        stack_option(),
        *run_overrides(automatic=True),
    ],
    help=_HELP,
    context_settings=CONTEXT,
)
