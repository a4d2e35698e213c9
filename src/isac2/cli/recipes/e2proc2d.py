"""``e2proc2d.py --split=N --first=I --last=J IN OUT``: some images, dealt out to files."""

from __future__ import annotations

from pathlib import Path

import click

from isac2.cli.conventions import CONTEXT
from isac2.cli.main import run_command
from isac2.cli.recipes.common import HistoricalCommand, find_averages
from isac2.errors import InputError

__all__ = ["command", "main", "split_number"]

_HELP = """Write the images FIRST to LAST of IN, counted from 0, to OUT.

With --split, image i goes to the file OUT.NN with NN the remainder of i by SPLIT, or SPLIT itself
where the remainder is 0:

\b
    e2proc2d.py --split=12 --first=12 --last=12 averages.hdf group.hdf

writes image 12 to group.12.hdf. Nothing is overwritten.
"""


def split_number(image: int, split: int) -> int:
    """Return the number in the name of the file that an image goes to.

    Examples
    --------
    >>> [split_number(image, 12) for image in (0, 1, 11, 12, 13)]
    [0, 1, 11, 12, 1]
    """
    return image % split or min(image, split)


@click.command(
    "e2proc2d.py",
    cls=HistoricalCommand,
    whole_program="EMAN2",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("source", metavar="IN")
@click.argument("output", metavar="OUT")
@click.option(
    "--split", type=click.IntRange(1), metavar="N", help="Deal the images out to N files."
)
@click.option(
    "--first", type=click.IntRange(0), default=0, metavar="I", help="First image, from 0."
)
@click.option(
    "--last", type=click.IntRange(0), metavar="J", help="Last image; that of IN by default."
)
def command(source: str, output: str, split: int | None, first: int, last: int | None) -> None:
    import numpy as np

    from isac2.stacks import WriteOptions, open_stack, write_stack
    from isac2.stacks.writing import refuse_existing

    images = open_stack(source if source.startswith("bdb:") else find_averages(source))
    end = len(images) - 1 if last is None else last
    if not first <= end < len(images):
        raise InputError(
            f"{source} has the images 0 to {len(images) - 1}, not {first} to {end}: give others as "
            "--first and --last."
        )
    path = Path(output)
    files: dict[str, list[int]] = {}
    for image in range(first, end + 1):
        middle = "" if split is None or split == 1 else f".{split_number(image, split):02d}"
        files.setdefault(str(path.with_name(path.stem + middle + path.suffix)), []).append(image)
    for name in files:
        refuse_existing(name)
    for name, numbers in files.items():
        write_stack(name, images.select(np.array(numbers)), WriteOptions(keep_existing=True))
        click.echo(f"{len(numbers):,} images written to {name}")


def main() -> int:
    """Run ``e2proc2d.py``."""
    return run_command(command, "e2proc2d.py")
