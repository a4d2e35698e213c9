"""``e2bdb.py STACK --makevstack=OUT --list=IDS``: a virtual stack of some images."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from isac2.cli.conventions import CONTEXT
from isac2.cli.main import run_command
from isac2.cli.recipes.common import HistoricalCommand
from isac2.errors import InputError

__all__ = ["command", "main", "with_equals_signs"]

_HELP = """Make a stack OUT of the images of STACK whose numbers, from 0, a text file lists.

\b
    e2bdb.py bdb:data --makevstack=bdb:select1 --list=ok.txt

OUT, bdb:folder#name, is virtual where the pixels are as EMAN2 can read them from there; it may also
end in .lst, .star, .cs or .hdf. Nothing is overwritten. `isac2 convert` does the same and more.
"""


def with_equals_signs(words: list[str]) -> list[str]:
    """Return the arguments with the colon that the manual page has as the usual equals sign.

    Examples
    --------
    >>> with_equals_signs(["bdb:data", "--makevstack:bdb:select1"])
    ['bdb:data', '--makevstack=bdb:select1']
    """
    colon = "--makevstack:"
    return ["--makevstack=" + w[len(colon) :] if w.startswith(colon) else w for w in words]


@click.command(
    "e2bdb.py",
    cls=HistoricalCommand,
    whole_program="EMAN2",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("stack")
@click.option("--makevstack", metavar="OUT", help="The stack to make.")
@click.option("--list", "ids", metavar="TXT", help="Numbers of images, from 0; all by default.")
def command(stack: str, makevstack: str | None, ids: str | None) -> None:
    if makevstack is None:
        raise InputError(
            "e2bdb.py of isac2 only makes stacks, with --makevstack: for anything else use the "
            "e2bdb.py of EMAN2, or 'isac2 info' to look at a stack."
        )
    from isac2.cli.recipes.common import open_recipe_stack
    from isac2.stacks import WriteOptions, write_stack
    from isac2.stacks.selection import chosen_images

    images = open_recipe_stack(stack)
    if ids is not None:
        images = chosen_images(images, Path(ids))
    write_stack(makevstack, images, WriteOptions(keep_existing=True))
    click.echo(f"{len(images):,} images in {makevstack}")


def main() -> int:
    """Run ``e2bdb.py``."""
    return run_command(command, "e2bdb.py", with_equals_signs(sys.argv[1:]))
