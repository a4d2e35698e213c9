"""What all verbs have in common."""

from __future__ import annotations

import click

__all__ = ["CONTEXT", "NO_CLASS", "stack_option", "threads_option"]

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""Settings of click for every command."""

NO_CLASS = (
    "No class is reproducible: for faint images a test by what is coarser (--stab_FH=0.18), a "
    "looser one (--thld_err=1.5), or more images a class (--img_per_grp) may help."
)
"""What is said at the end of a run that found none."""


def stack_option(also: str = "") -> click.Option:
    """Return ``--stack``: the particles of a run; `also` is what else they may be."""
    text = "The particles, row by row those of RUN, where RUN does not say (SPHIRE's)"
    return click.Option(["--stack"], metavar="STACK", help=f"{text}{also}.")


def threads_option() -> click.Option:
    """Return ``--threads``; 0 is all cores."""
    words = "Threads; by default as many as this process may use cores."
    return click.Option(["--threads"], type=click.IntRange(min=0), default=0, help=words)
