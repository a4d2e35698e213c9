"""`isac2 separate`: a stack and a list for each class."""

from __future__ import annotations

from typing import Any

import click

from isac2.cli.choice_options import choice_of, choice_options
from isac2.cli.conventions import CONTEXT, stack_option, threads_option
from isac2.cli.main import explain

__all__ = ["command", "processing_parameters", "separate"]

_HELP = """Write the particles of each class of RUN, a stack and a list of ids each, to OUTDIR.

RUN is the directory of a run of isac2 or of SPHIRE, or a file of averages with their members. The
stacks are tables that point to the pixels there are; with any of --ctf, --filtrad,
--bandpass_radius, --shrink and --align they get pixels of their own, and OUTDIR the averages and
variances of these. With --nvec it gets the eigenimages of each class.

\b
Examples:
    isac2 separate classes parts
    isac2 separate classes parts --classes 1,3 --ctf flip --filtrad 15 --align pose --nvec 4
"""


def processing_parameters() -> list[click.Parameter]:
    """Return the options that `isac2 separate` and its historical program share."""
    return [
        click.Option(
            ["--ctf"],
            type=click.Choice(["none", "flip", "wiener"]),
            default="none",
            show_default=True,
            help="Correct the CTF of each image: its phases, or by a Wiener filter.",
        ),
        click.Option(
            ["--filtrad"],
            type=click.FloatRange(min=0, min_open=True),
            metavar="A",
            help="Low-pass the images here.",
        ),
        click.Option(
            ["--bandpass_radius"],
            type=click.FloatRange(min=0, min_open=True),
            metavar="A",
            help="Keep a band around here.",
        ),
        click.Option(
            ["--bandpass_width"],
            type=click.FloatRange(min=0, min_open=True),
            default=0.03,
            show_default=True,
            help="From the middle of the band to its edges, 1/px.",
        ),
        click.Option(
            ["--shrink"],
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            help="Make the images so many times smaller.",
        ),
        click.Option(
            ["--nvec"],
            type=click.IntRange(min=0),
            default=0,
            help="Eigenimages of each class.",
        ),
        click.Option(
            ["--pca_radius"],
            type=float,
            default=-1.0,
            help="Radius of the eigenimages' mask, px of the particles; the run's by default.",
        ),
        click.Option(
            ["--mask_binary"],
            metavar="FILE",
            help="An image whose positive pixels are that mask instead.",
        ),
        click.Option(
            ["--apix"],
            type=click.FloatRange(min=0, min_open=True),
            help="Pixel size of the particles, A, in place of what their table says.",
        ),
    ]


def separate(
    run: str, outdir: str, stack: str | None, words: dict[str, Any], historical: bool = False
) -> None:
    """Take a run apart as the words of the command line ask.

    Raises
    ------
    InputError
        When they cannot be used.
    """
    from isac2.after.separate import ClassNames, SeparateOptions, separate_run
    from isac2.classes.separate import Processing
    from isac2.run.communication import open_ranks

    processing = Processing(
        words["ctf"],
        words["filtrad"],
        words["bandpass_radius"],
        words["bandpass_width"],
        words["shrink"],
        words["align"],
    )
    names = ClassNames("ClassDocs/sel_class_{:03d}.txt", "Stacks/stkclass_{:03d}", 0)
    options = SeparateOptions(
        choice_of(words),
        processing,
        words["nvec"],
        words["pca_radius"] if words["pca_radius"] > 0 else None,
        words["mask_binary"],
        words["apix"],
        names if historical else ClassNames(),
        words["threads"],
    )
    with open_ranks(explain) as ranks:
        found = separate_run(run, outdir, stack, options, ranks=ranks)
        if ranks.is_first:
            click.echo(f"{len(found)} classes: {outdir}")


def _command(run: str, outdir: str, stack: str | None, **words: Any) -> None:
    separate(run, outdir, stack, {"unaccounted": False, **words})


command = click.Command(
    "separate",
    callback=_command,
    params=[
        click.Argument(["run"]),
        click.Argument(["outdir"]),
        stack_option(),
        *(option for option in choice_options() if option.name != "unaccounted"),
        *processing_parameters(),
        click.Option(
            ["--align"],
            type=click.Choice(["none", "centre", "pose"]),
            default="none",
            show_default=True,
            help="Move the particles to the middle by whole pixels, or onto their average.",
        ),
        threads_option(),
    ],
    help=_HELP,
    context_settings=CONTEXT,
)
