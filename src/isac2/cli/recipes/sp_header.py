"""``sp_header.py STACK --params=NAME --export=TXT`` and its like: one value of every header."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from isac2.cli.conventions import CONTEXT
from isac2.cli.main import run_command
from isac2.cli.recipes.common import HistoricalCommand
from isac2.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isac2.stacks import Stack

__all__ = ["command", "main"]

_ALIGNMENT = "xform.align2d"
_HELP = """Write a value of all headers of STACK to a text file, or set it.

\b
    sp_header.py bdb:group --params=xform.align2d --export=params.txt
    sp_header.py tilted.star --params=xform.align2d --import=params.txt

A row of xform.align2d is alpha (degrees), sx, sy (pixels), mirror, scale: what brings the image
onto its average. Any other name is a whole number in EMAN2's headers, such as originalid.
"""


@click.command(
    "sp_header.py",
    cls=HistoricalCommand,
    whole_program="SPHIRE",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("stack")
@click.option("--params", required=True, metavar="NAME", help="xform.align2d or another name.")
@click.option("--export", "exported", metavar="TXT", help="Write the values; a row an image.")
@click.option("--import", "imported", metavar="TXT", help="Set the values.")
@click.option("--consecutive", is_flag=True, help="Set to 0, 1, 2, ...")
@click.option("--zero", is_flag=True, help="Set to 0; an alignment to none.")
@click.option("--one", is_flag=True, help="Set to 1.")
def command(
    stack: str,
    params: str,
    exported: str | None,
    imported: str | None,
    consecutive: bool,
    zero: bool,
    one: bool,
) -> None:
    actions = [exported is not None, imported is not None, consecutive, zero, one]
    if sum(actions) != 1:
        raise InputError(
            "sp_header.py of isac2 needs one of --export, --import, --consecutive, --zero and "
            "--one: for anything else use the sp_header.py of SPHIRE."
        )
    if "," in params or " " in params or (params.startswith("xform") and params != _ALIGNMENT):
        raise InputError(
            f"--params={params}: one name is taken at a time, and of transforms only {_ALIGNMENT}; "
            "use the sp_header.py of SPHIRE for others."
        )
    if params == _ALIGNMENT and (consecutive or one):
        raise InputError(f"{_ALIGNMENT} is no number: give --zero, or --import from a text file.")
    from isac2.cli.recipes.common import open_recipe_stack, rewrite_headers

    images = open_recipe_stack(stack)
    if exported is not None:
        _export(images, stack, params, exported)
        return
    if imported is not None:
        rows = _rows(Path(imported), len(images))
    else:
        column = np.arange(len(images)) if consecutive else np.full(len(images), int(one))
        rows = column[:, None].astype(np.float64) * np.ones(4 if params == _ALIGNMENT else 1)
    if params == _ALIGNMENT:
        changed = _with_alignments(images, rows, imported or params)
    else:
        changed = _with_numbers(images, params, rows)
    rewrite_headers(stack, changed)
    click.echo(f"{params} of {len(images):,} images set in {stack}")


def _export(images: Stack, name: str, params: str, output: str) -> None:
    from isac2.files import write_text_atomic
    from isac2.run.text_tables import write_ids
    from isac2.stacks.writing import refuse_existing

    refuse_existing(output)
    if params != _ALIGNMENT:
        write_ids(Path(output), _numbers(images, name, params))
    else:
        poses = images.metadata.poses
        if poses is None:
            from isac2.poses import identity_poses

            poses = identity_poses(len(images))
            click.echo(
                f"Note: {name} holds no {_ALIGNMENT}, so no move is written; the particles' are in "
                "the stack that sp_ali2d.py aligned.",
                err=True,
            )
        lines = [
            f"{pose['alpha'] % 360.0:15.5f} {pose['tx']:15.5f} {pose['ty']:15.5f} "
            f"{pose['mirror']:10d} {1.0:10.3f}\n"
            for pose in poses
        ]
        write_text_atomic(output, "".join(lines))
    click.echo(f"{params} of {len(images):,} images written to {output}")


def _numbers(images: Stack, name: str, params: str) -> NDArray[np.int64]:
    """Return a whole number of each header."""
    column = images.metadata.foreign.particles.get(params)
    if params == "originalid" and (images.metadata.original_id >= 0).all():
        return images.metadata.original_id
    values = [] if column is None else column.tolist()
    if not values or not all(isinstance(value, int | np.integer) for value in values):
        raise InputError(f"{name} does not have the whole number {params} in each header.")
    return np.array(values, np.int64)


def _rows(path: Path, count: int) -> NDArray[np.float64]:
    """Return the rows of a text file, one an image."""
    from isac2.run.text_tables import read_table

    rows = read_table(path)
    if len(rows) != count:
        raise InputError(f"{path} has {len(rows)} rows, but the stack {count} images.")
    if not np.isfinite(rows).all():
        raise InputError(f"{path} holds something that is not a finite number.")
    return rows


def _with_alignments(images: Stack, rows: NDArray[np.float64], source: str) -> Stack:
    from isac2.poses import make_poses
    from isac2.stacks.selection import with_classes

    if rows.shape[1] not in (3, 4, 5):
        raise InputError(f"{source} has {rows.shape[1]} columns, not alpha, sx, sy, mirror, scale.")
    mirror = rows[:, 3] if rows.shape[1] > 3 else np.zeros(len(rows))
    if not np.isin(mirror, (0, 1)).all():
        raise InputError(f"{source} has a mirror (column 4) that is neither 0 nor 1.")
    if rows.shape[1] == 5 and not (rows[:, 4] == 1).all():
        raise InputError(f"{source} has a scale (column 5) that is not 1, which no pose here has.")
    poses = make_poses(rows[:, 0], rows[:, 1], rows[:, 2], mirror.astype(np.int8))
    return with_classes(images, None, poses)


def _with_numbers(images: Stack, params: str, rows: NDArray[np.float64]) -> Stack:
    from isac2.stacks import Stack

    if rows.shape[1] != 1 or not np.array_equal(rows, np.rint(rows)):
        raise InputError(f"{params} takes one whole number a row.")
    data = images.metadata
    if data.foreign.kind != "eman2":
        raise InputError(
            f"{images.path} has no EMAN2 headers, so no {params} can be set: use a bdb: or .hdf."
        )
    values: NDArray[Any] = rows[:, 0].astype(np.int64)
    column = np.array([int(value) for value in values], object)
    foreign = replace(data.foreign, particles={**data.foreign.particles, params: column})
    ids = values if params == "originalid" else data.original_id
    changed = replace(data, foreign=foreign, original_id=ids)
    return Stack(images.path, images.kind, images.files, images.file_index, images.slots, changed)


def main() -> int:
    """Run ``sp_header.py``."""
    return run_command(command, "sp_header.py")
