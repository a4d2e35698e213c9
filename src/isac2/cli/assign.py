"""`isac2 assign`: new particles for the classes of a run."""

from __future__ import annotations

from typing import Any

import click

from isac2.cli.conventions import CONTEXT, stack_option
from isac2.cli.main import explain
from isac2.cli.run_overrides import OverridingCommand, given_settings, run_overrides
from isac2.run.stopping import stopping_on_signals

__all__ = ["command"]

_HELP = """Give the particles of NEW_STACK to the classes of a finished run, or to none.

The result is a run directory of the old particles followed by the new ones; RUN stays as it is.
Images that RUN has already, as in the growing table of a session, are left out. A new particle
joins a class by the run's own standard: it clearly belongs there, and is stable in independent
alignments together with the members. Once two groups' worth of new particles are in no class, new
generations are run on all that are in none. The same command goes on with what was stopped, and
the result can be assigned to in turn.

\b
Examples:
    isac2 assign day2.star classes_day2 --to classes
    isac2 assign day2.star --to classes          (into classes+day2)
"""


def _assign(new_stack: str, outdir: str | None, **words: Any) -> None:
    # what computes is imported only when there is something to compute
    from isac2.after.assign import assign_particles
    from isac2.run.communication import open_ranks

    with open_ranks(explain) as ranks:
        with stopping_on_signals():
            made = assign_particles(
                new_stack,
                words["run"],
                outdir,
                stack=words["stack"],
                new_classes=words["new_classes"],
                settings=given_settings(words),
                ranks=ranks,
            )
        if ranks.is_first:
            click.echo(
                f"{made.recalled:,} of {made.new:,} new particles in the classes, "
                f"{made.new_classes} new classes: {made.directory.path}"
            )
            click.echo(f"Report: {made.directory.report}")


command = OverridingCommand(
    "assign",
    callback=_assign,
    params=[
        click.Argument(["new_stack"]),
        click.Argument(["outdir"], required=False),
        click.Option(
            ["--to", "run"], required=True, metavar="RUN", help="The finished run's directory."
        ),
        click.Option(
            ["--new-classes"],
            type=click.Choice(["auto", "never", "always"]),
            default="auto",
            show_default=True,
            help="Whether generations are run on what is in no class.",
        ),
        stack_option(),
        *run_overrides(),
    ],
    help=_HELP,
    context_settings=CONTEXT,
)
