"""``sp_ali2d.py STACK None --template=AVERAGE``: the particles of a class against its average."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isac2.cli.conventions import CONTEXT
from isac2.cli.main import run_command
from isac2.cli.recipes.common import HistoricalCommand
from isac2.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from isac2.stacks import Stack

__all__ = ["command", "main"]

_SAME_PIXEL = 1e-3

_HELP = """Align the images of STACK to a template, and write the alignments into STACK.

\b
    sp_ali2d.py bdb:RCT/group3_12 None --ou=28 --xr=3 --ts=1 --maxit=1 --template=group3_12.12.hdf

The search goes about the centre that STACK's alignments have already, if any. A template of other
pixels, such as a class average, is resampled to those of STACK, in which --ou, --xr and --ts are.
STACK is a bdb:, .hdf, .lst, .star or .cs; its table is written again, its pixels stay as they are.
"""


@click.command(
    "sp_ali2d.py",
    cls=HistoricalCommand,
    whole_program="SPHIRE",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("stack")
@click.argument("outdir")
@click.option("--template", metavar="FILE", help="The average to align to; its first image.")
@click.option(
    "--ou", type=int, default=-1, metavar="PX", help="Radius of the particle; -1: n/2 - 2."
)
@click.option("--ir", type=click.IntRange(1), default=1, metavar="PX", help="Inner ring.")
@click.option("--rs", type=click.IntRange(1), default=1, metavar="PX", help="Ring step.")
@click.option("--xr", type=click.FloatRange(0), default=4.0, metavar="PX", help="Search in x.")
@click.option("--yr", type=float, default=-1.0, metavar="PX", help="Search in y; -1: as in x.")
@click.option("--ts", type=click.FloatRange(0.01), default=2.0, metavar="PX", help="Search step.")
@click.option(
    "--maxit",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    help="Times; from the second on, to the images' own average.",
)
@click.option("--CTF", "flip", is_flag=True, help="Flip the phases of the images first.")
def command(stack: str, outdir: str, template: str | None, **words: Any) -> None:
    if outdir != "None":
        raise InputError(f"{outdir}: no output folder is made here; give None in its place.")
    if template is None:
        raise InputError(
            "sp_ali2d.py of isac2 aligns to a --template only: for an alignment without one use "
            "the sp_ali2d.py of SPHIRE."
        )
    import numpy as np

    from isac2.cli.recipes.common import open_recipe_stack, rewrite_headers
    from isac2.stacks.selection import with_classes

    images = open_recipe_stack(stack)
    reference = _reference(template, images)
    box = images.box_size
    radius = box // 2 - 2 if words["ou"] == -1 else words["ou"]
    if not words["ir"] <= radius < box // 2:
        raise InputError(
            f"--ou={words['ou']} does not fit into images of {box} pixels: give {words['ir']} to "
            f"{box // 2 - 1}."
        )
    poses, similarity = _align(images, reference, radius, words)
    rewrite_headers(stack, with_classes(images, None, poses))
    mirrored = int(np.count_nonzero(poses["mirror"]))
    click.echo(
        f"{len(images):,} images aligned to {template}, {mirrored:,} of them mirrored; median "
        f"correlation {np.median(similarity):.3f}; written to {stack}"
    )


def _reference(template: str, images: Stack) -> NDArray[np.float32]:
    """Return the template, float32 (1, n, n), in the pixels and the box of the images."""
    from isac2.images.resample import crop_or_pad, resample
    from isac2.stacks import open_stack

    found = open_stack(template)
    reference = found.read([0])
    old, new = found.pixel_size_in_angstroms, images.pixel_size_in_angstroms
    # 1 is what EMAN2 writes, and SPHIRE's averages say, when nobody knows
    if old is not None and new is not None and old != 1.0:
        if abs(old / new - 1.0) > _SAME_PIXEL:
            reference = resample(reference, old / new)
        return crop_or_pad(reference, images.box_size)
    if found.box_size != images.box_size:
        raise InputError(
            f"{template} has {found.box_size} pixels a side and the images of {images.path} "
            f"{images.box_size}, and pixel sizes that would tell how they relate are not known: "
            "give a template like the images."
        )
    return reference


def _align(
    images: Stack, reference: NDArray[np.float32], radius: int, words: dict[str, Any]
) -> tuple[Any, NDArray[np.float32]]:
    """Return the pose and the correlation of each image."""
    import numpy as np

    from isac2.alignment.search import align_to_assigned
    from isac2.alignment.space import SearchSpace, centres_from_poses
    from isac2.images.transform import average_in_poses
    from isac2.workers import SerialWorkers

    x_range = words["xr"]
    y_range = x_range if words["yr"] < 0 else words["yr"]
    space = SearchSpace(radius, words["ir"], words["rs"], x_range, y_range, words["ts"])
    pixels = _pixels(images, words["flip"])
    rows, first = np.arange(len(pixels)), np.zeros(len(pixels), np.int64)
    poses = images.metadata.poses
    centres = np.zeros((len(pixels), 2)) if poses is None else centres_from_poses(poses)
    workers = SerialWorkers()
    found = align_to_assigned(pixels, rows, centres, reference, first, space, workers)
    for _ in range(words["maxit"] - 1):
        average = average_in_poses(pixels, found.poses).reshape(reference.shape)
        centres = centres_from_poses(found.poses)
        found = align_to_assigned(pixels, rows, centres, average, first, space, workers)
    return found.poses, found.similarity


def _pixels(images: Stack, flip: bool) -> NDArray[np.float32]:
    """Return all images, with their phases flipped where that is wanted and still to be done."""
    from isac2.images.ctf import phase_flip

    pixels = images.read()
    if not flip:
        return pixels
    data, size = images.metadata, images.pixel_size_in_angstroms
    if not data.has_ctf or size is None:
        raise InputError(f"{images.path} does not hold the CTF of each image: leave --CTF out.")
    if data.phase_flipped.any():
        raise InputError(f"the phases of {Path(images.path)} are flipped already: leave --CTF out.")
    return phase_flip(pixels, data.ctf_parameters(), size)


def main() -> int:
    """Run ``sp_ali2d.py``."""
    return run_command(command, "sp_ali2d.py")
