"""`isac2 info`: say what is in a particle stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from isac2.cli.conventions import CONTEXT

if TYPE_CHECKING:
    from isac2.stacks import Stack
    from isac2.stacks.summary import PixelSummary

__all__ = ["command"]

_HELP = """Say what is in the particle stack FILE, or in several taken as one.

FILE is an MRC stack, a RELION .star, a cryoSPARC .cs, an EMAN2 .hdf, .lst or bdb:folder#name, or
the directory of a run (its particles.star).

\b
Examples:
    isac2 info particles.star
    isac2 info classes/class_averages.hdf --montage averages.png
"""


@click.command(
    "info",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--root", metavar="DIR", help="Folder from which names in the table start.")
@click.option(
    "--sample",
    type=click.IntRange(min=0),
    default=256,
    show_default=True,
    help="Images to read for the pixels' values; 0 reads none.",
)
@click.option("--montage", metavar="PNG", help="Also draw images on a sheet, written to PNG.")
@click.option(
    "--montage-images",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Images on the sheet, the first of the stack.",
)
def command(
    files: tuple[str, ...], root: str | None, sample: int, montage: str | None, montage_images: int
) -> None:
    from isac2.cli.stack_arguments import open_given_stacks
    from isac2.stacks.summary import summarise_pixels, summarise_stack

    stack = open_given_stacks(files, root)
    for name, value in summarise_stack(stack).lines:
        click.echo(f"{name + ':':22s} {value}")
    if sample:
        _echo_pixels(summarise_pixels(stack, sample))
    if montage:
        _draw(stack, Path(montage), montage_images)


def _echo_pixels(pixels: PixelSummary) -> None:
    """Print the statistics of the pixels, and their histogram as rows of bars."""
    click.echo(
        f"{'pixels:':22s} {pixels.minimum:.4g} to {pixels.maximum:.4g}, mean {pixels.mean:.4g}, "
        f"standard deviation {pixels.standard_deviation:.4g} (of {pixels.images:,} images)"
    )
    if pixels.not_finite or pixels.constant:
        click.echo(
            f"{'unusable images:':22s} {pixels.not_finite:,} with NaN or infinite pixels, "
            f"{pixels.constant:,} constant (of those read)"
        )
    highest = max(1, int(pixels.counts.max()))
    for count, edge in zip(pixels.counts, pixels.edges[:-1], strict=True):
        click.echo(f"{edge:21.4g}  {'#' * round(50 * count / highest)}")


def _draw(stack: Stack, path: Path, count: int) -> None:
    """Write a sheet of the first images."""
    from PIL import Image

    from isac2.errors import InputError
    from isac2.files import atomic_path
    from isac2.images.montage import montage

    if path.suffix.lower() != ".png" or not path.parent.is_dir():
        raise InputError(f"--montage {path}: give the name of a .png file in a folder that exists.")
    images = stack.read(slice(0, count))
    with atomic_path(path) as temporary:
        Image.fromarray(montage(images)).save(temporary, format="PNG")
    click.echo(f"{'montage:':22s} {len(images)} images in {path}")
