"""`isac2 select`: from the classes of a run to the particles that are worth going on with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from isac2.classes.select_files import RunClasses
    from isac2.stacks import Stack

__all__ = ["command"]

_HELP = """Write the particles of chosen classes of RUN to each OUT.

RUN is the directory of a run, of isac2 or of SPHIRE, or one file of averages with their members,
such as those of a generation. OUT ends in .txt (ids, rows of the input stack from 0, one a line),
.star, .cs, .lst, .hdf or .mrcs, or is bdb:folder#name (a virtual stack where EMAN2 can have one).

Classes have to meet everything asked for; all of them do when nothing is. They are counted from 1,
as in the report and in star files. Nothing is overwritten: what is there already is refused.

\b
Examples:
    isac2 select classes good.star --min-size 80 --max-resolution 15
    isac2 select classes good.txt --classes 1,4-6
    isac2 select classes good.star --from saved_averages.hdf
    isac2 select classes rest.star --unaccounted
    isac2 select classes tilted.star --classes 12 --stack tilted_particles.star
"""


@click.command(
    "select",
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.argument("run")
@click.argument("outputs", metavar="OUT...", nargs=-1, required=True)
@click.option("--classes", metavar="LIST", help="Only these classes, as in 1,4-6.")
@click.option(
    "--from",
    "saved",
    metavar="FILE",
    help="Only the classes in FILE: averages saved after others were deleted, in any format, or a "
    "text file of class numbers.",
)
@click.option("--min-size", type=int, metavar="N", help="Only classes of at least N members.")
@click.option("--max-size", type=int, metavar="N", help="Only classes of at most N members.")
@click.option(
    "--max-resolution",
    type=float,
    metavar="A",
    help="Only classes resolved to A Angstroms or finer.",
)
@click.option(
    "--max-error", type=float, metavar="PX", help="Only classes of at most this pixel error."
)
@click.option(
    "--min-mirror-consistency",
    type=float,
    metavar="SHARE",
    help="Only classes of at least this mirror consistency, 0 to 1.",
)
@click.option("--reject", is_flag=True, help="Take the members of all other classes instead.")
@click.option(
    "--unaccounted",
    is_flag=True,
    help="Take the particles in no class: alone when no classes are chosen, else with them.",
)
@click.option(
    "--stack",
    metavar="STACK",
    help="The particles, row by row those of RUN, where RUN does not say (SPHIRE's), or their "
    "partners, such as the tilted ones, which then get classes and poses.",
)
@click.option("--averages", metavar="FILE", help="Write the averages of the chosen classes, too.")
def command(run: str, outputs: tuple[str, ...], **words: Any) -> None:
    from isac2.classes.select_files import classified_particles, open_run_classes
    from isac2.errors import InputError
    from isac2.run.chosen_files import is_id_list, write_chosen_averages, write_chosen_particles
    from isac2.stacks.writing import refuse_existing

    averages, stack = words["averages"], words["stack"]
    for output in (*outputs, *([averages] if averages else [])):
        refuse_existing(output)
    found = open_run_classes(Path(run))
    chosen, all_asked = _chosen(found, words)
    tables = [output for output in outputs if not is_id_list(output)]
    particles = None
    if tables or words["unaccounted"] or stack is not None:
        particles = _particles_of(found, stack, tables, classified_particles)
    ids = found.table.ids(chosen)
    if words["unaccounted"]:
        ids = _with_unaccounted(found, particles, ids, alone=all_asked)
        if all_asked:
            chosen = chosen & False
    if not len(ids):
        raise InputError(f"no particle of {run} meets what was asked for: ask for less.")
    for output in outputs:
        write_chosen_particles(output, particles, ids)
    if averages:
        write_chosen_averages(averages, found, chosen)
    click.echo(f"{len(ids):,} particles, {int(chosen.sum())} of {len(found.table)} classes: "
               f"{', '.join(outputs)}")  # fmt: skip


def _chosen(found: RunClasses, words: dict[str, Any]) -> tuple[NDArray[np.bool_], bool]:
    """Return which classes are chosen, and whether nothing was asked for."""
    import numpy as np

    from isac2.classes.select import Limits, classes_within, parse_numbers
    from isac2.classes.select_files import saved_classes

    limits = Limits(
        words["min_size"],
        words["max_size"],
        words["max_resolution"],
        words["max_error"],
        words["min_mirror_consistency"],
    )
    keep = classes_within(found.table, limits, str(found.path))
    places = np.arange(len(found.table))
    if words["classes"] is not None:
        keep &= np.isin(places, parse_numbers(words["classes"], len(found.table)))
    if words["saved"] is not None:
        keep &= np.isin(places, saved_classes(found, Path(words["saved"])))
    asked = words["classes"], words["saved"]
    nothing = limits == Limits() and asked == (None, None) and not words["reject"]
    return (~keep if words["reject"] else keep), nothing


def _particles_of(found: RunClasses, stack: str | None, tables: list[str], opened: Any) -> Any:
    """Return the particles; None where ids alone are asked for and nobody knows the particles."""
    from isac2.errors import InputError

    try:
        return opened(found, stack)
    except InputError:
        if tables or stack is not None:
            raise
        return None


def _with_unaccounted(
    found: RunClasses, particles: Stack | None, ids: NDArray[np.int64], alone: bool
) -> NDArray[np.int64]:
    """Return the ids with, or instead of them, those of the particles in no class."""
    import numpy as np

    from isac2.errors import InputError
    from isac2.run.text_tables import read_ids

    if particles is not None:
        members = found.table.ids(np.ones(len(found.table), bool))
        rest = np.setdiff1d(np.arange(len(particles)), members)
    else:
        listed = found.averages.with_name("not_processed_images.txt")
        if not listed.is_file():
            raise InputError(
                f"{found.path} does not say which particles are in no class: give all of them as "
                "--stack."
            )
        rest = read_ids(listed)
    return rest if alone else np.union1d(ids, rest)
