"""`isac2 convert`: from any format of particle stack to any other."""

from __future__ import annotations

from pathlib import Path

import click

from isac2.cli.conventions import CONTEXT

__all__ = ["command"]

_HELP = """Write the particle stack IN, or several as one, in the format that OUT's name tells.

IN is an MRC stack, a RELION .star, a cryoSPARC .cs, an EMAN2 .hdf, .lst or bdb:folder#name, or the
directory of a run (its particles with their classes and poses). OUT ends in .mrcs, .star, .cs,
.hdf, .lst or .lsx, or is bdb:folder#name (needs the extra isac2[bdb]).

Tables point to the pixels where they are, if the program that reads such tables can read them
there; otherwise the pixels are written beside the table. What is there already is not replaced,
unless --overwrite is given.

\b
Examples:
    isac2 convert bdb:stack particles.star
    isac2 convert classes particles.cs --accounted-only
    isac2 convert a.star b.star both.hdf
"""


@click.command(
    "convert",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("inputs", metavar="IN...", nargs=-1, required=True)
@click.argument("output", metavar="OUT")
@click.option("--root", metavar="DIR", help="Folder from which names in IN's table start.")
@click.option("--copy-pixels", is_flag=True, help="Write the pixels too, beside the table.")
@click.option(
    "--names-relative-to",
    metavar="DIR",
    help="Folder from which names in OUT are to start, such as the project's folder of RELION or "
    "cryoSPARC; that of OUT by default.",
)
@click.option(
    "--list",
    "ids",
    metavar="TXT",
    help="Only these images, in this order: their numbers, from 0, one a line.",
)
@click.option("--accounted-only", is_flag=True, help="Only images that are in a class.")
@click.option(
    "--split-mirrors",
    is_flag=True,
    help="Make the mirrored members of a class a class of their own: class 2k-1 has the direct, 2k "
    "the mirrored members of class k. Then psi and shift alone are exact.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT, and pixels beside it, if they exist.")
def command(
    inputs: tuple[str, ...],
    output: str,
    root: str | None,
    copy_pixels: bool,
    names_relative_to: str | None,
    ids: str | None,
    accounted_only: bool,
    split_mirrors: bool,
    overwrite: bool,
) -> None:
    from isac2.cli.stack_arguments import open_given_stacks
    from isac2.stacks import WriteOptions, write_stack
    from isac2.stacks.selection import accounted_images, chosen_images, split_mirrored_classes

    stack = open_given_stacks(inputs, root)
    if ids is not None:
        stack = chosen_images(stack, Path(ids))
    if accounted_only:
        stack = accounted_images(stack)
    if split_mirrors:
        stack = split_mirrored_classes(stack)
    folder = None if names_relative_to is None else Path(names_relative_to)
    write_stack(output, stack, WriteOptions(copy_pixels, folder, keep_existing=not overwrite))
    click.echo(f"{len(stack):,} images written to {output}")
