"""``sp_process.py --isacselect`` and ``--isacgroup``: ids of the members of classes."""

from __future__ import annotations

from pathlib import Path

import click

from isac2.cli.conventions import CONTEXT
from isac2.cli.main import run_command
from isac2.cli.recipes.common import HistoricalCommand
from isac2.errors import InputError

__all__ = ["command", "main"]

_HELP = """Write the ids of the members of class averages, one a line.

\b
All classes of a file of averages:
    sp_process.py --isacselect class_averages.hdf ok.txt
One class, counted from 0, of the particles' own originalid:
    sp_process.py bdb:../data averages.hdf ids.txt --isacgroup=12 --params=originalid

Nothing is overwritten. `isac2 select` chooses by size and quality, too, and writes stacks.
"""


@click.command(
    "sp_process.py",
    cls=HistoricalCommand,
    whole_program="SPHIRE",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("files", nargs=-1)
@click.option("--isacselect", is_flag=True, help="Members of all averages in a file.")
@click.option("--isacgroup", type=int, metavar="N", help="Members of average N, from 0.")
@click.option("--params", default="originalid", show_default=True, help="The id to write.")
def command(files: tuple[str, ...], isacselect: bool, isacgroup: int | None, params: str) -> None:
    if isacselect == (isacgroup is not None):
        raise InputError(
            "sp_process.py of isac2 needs one of --isacselect and --isacgroup: for anything else "
            "use the sp_process.py of SPHIRE."
        )
    if isacgroup is None:
        if len(files) != 2:
            raise InputError("--isacselect needs two names: the averages, and the text to write.")
        _write_members(*files)
        return
    if len(files) != 3:
        raise InputError(
            "--isacgroup needs three names: the particles, the averages, and the text to write."
        )
    if params != "originalid":
        raise InputError(f"--params={params} is not known here: only originalid is.")
    _write_group(*files, isacgroup)


def _write_members(averages: str, output: str) -> None:
    import numpy as np

    from isac2.classes.select_files import open_run_classes
    from isac2.cli.recipes.common import find_averages

    table = open_run_classes(find_averages(averages)).table
    _write(output, table.ids(np.ones(len(table), bool)))


def _write_group(particles: str, averages: str, output: str, group: int) -> None:
    import numpy as np

    from isac2.classes.select_files import open_run_classes
    from isac2.cli.recipes.common import find_averages, open_recipe_stack

    table = open_run_classes(find_averages(averages)).table
    if not 0 <= group < len(table):
        raise InputError(f"--isacgroup={group}: {averages} has the groups 0 to {len(table) - 1}.")
    members = table.members[group]
    stack = open_recipe_stack(particles)
    if members.max(initial=-1) >= len(stack):
        raise InputError(
            f"{particles} has {len(stack)} images, but group {group} has the member "
            f"{members.max()}: give the stack that was classified."
        )
    known = stack.metadata.original_id[members]
    # a stack without such ids is the original one itself
    _write(output, np.where(known >= 0, known, members))


def _write(output: str, ids: object) -> None:
    import numpy as np

    from isac2.run.text_tables import write_ids
    from isac2.stacks.writing import refuse_existing

    refuse_existing(output)
    numbers = np.asarray(ids)
    write_ids(Path(output), numbers)
    click.echo(f"{len(numbers):,} ids written to {output}")


def main() -> int:
    """Run ``sp_process.py``."""
    return run_command(command, "sp_process.py")
