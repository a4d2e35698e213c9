"""`isac2 substack`: the particles of validated classes in a folder of their own."""

from __future__ import annotations

from pathlib import Path

import click

from isac2.cli.conventions import CONTEXT

__all__ = ["command", "write_substack"]

_HELP = """Write the particles of STACK that are in a class of RUN, with their poses, to OUTDIR.

STACK is what was classified, row by row; RUN is the directory of a run of isac2 or of SPHIRE.
OUTDIR is made, and gets the substack (a table that points to the pixels of STACK) and
NAME_particle_id_list.txt, the rows of STACK, from 0, that are in it.

\b
Example:
    isac2 substack particles.star classes substack --isac_class_avgs_path=saved_averages.hdf
"""


@click.command(
    "substack",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("stack")
@click.argument("run")
@click.argument("outdir")
@click.option(
    "--isac_class_avgs_path",
    "saved",
    metavar="FILE",
    help="Only the classes in this saved selection of averages; all by default.",
)
@click.option(
    "--substack_basename",
    "basename",
    metavar="NAME",
    default="isac_substack",
    show_default=True,
    help="Name of the substack.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["star", "cs", "lst", "bdb"]),
    default="star",
    show_default=True,
    help="Format of the substack.",
)
def command(stack: str, run: str, outdir: str, saved: str | None, basename: str, form: str) -> None:
    write_substack(stack, run, outdir, saved, basename, form)


def write_substack(
    stack: str, run: str, outdir: str, saved: str | None, basename: str, form: str
) -> None:
    """Write the particles in classes, and the list of their ids, to a new folder.

    Raises
    ------
    InputError
        When the folder is there already, or stack and run do not belong together.
    """
    import numpy as np

    from isac2.classes.select_files import classified_particles, open_run_classes, saved_classes
    from isac2.errors import InputError
    from isac2.run.final_files import project_folder
    from isac2.run.text_tables import write_ids
    from isac2.stacks import WriteOptions, write_stack
    from isac2.stacks.writing import refuse_existing

    refuse_existing(outdir)
    if basename != Path(basename).name or basename in ("", ".", ".."):
        raise InputError(f"--substack_basename={basename} is no name of a file: leave folders out.")
    classes = open_run_classes(Path(run))
    chosen = np.ones(len(classes.table), bool)
    if saved is not None:
        chosen = np.isin(np.arange(len(chosen)), saved_classes(classes, Path(saved)))
    ids = classes.table.ids(chosen)
    some = classified_particles(classes, stack).select(ids)
    folder = Path(outdir)
    try:
        folder.mkdir()
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror or error}.") from None
    name = f"bdb:{folder}#{basename}" if form == "bdb" else str(folder / f"{basename}.{form}")
    write_stack(name, some, WriteOptions(False, project_folder(some), True))
    write_ids(folder / f"{basename}_particle_id_list.txt", ids)
    click.echo(f"{len(ids):,} particles of {int(chosen.sum())} classes: {name}")
