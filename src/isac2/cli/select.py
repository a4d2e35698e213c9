"""`isac2 select`: from the classes of a run to the particles that are worth going on with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isac2.cli.choice_options import choice_of, choice_options
from isac2.cli.conventions import CONTEXT, stack_option

if TYPE_CHECKING:
    from isac2.report.choosable import Choosable
    from isac2.stacks import Stack

__all__ = ["command"]

_HELP = """Write the particles of chosen classes of RUN to each OUT.

RUN is the directory of a run, of isac2 or of SPHIRE, or one file of averages with their members,
such as those of a generation. OUT ends in .txt (ids, rows of the input stack from 0, one a line),
.star, .cs, .lst, .hdf or .mrcs, or is bdb:folder#name (a virtual stack where EMAN2 can have one).

Classes have to meet everything asked for; all of them do when nothing is. They are counted from 1,
as in the report and in star files. Nothing is overwritten: what is there already is refused. Of a
run that goes on, these are its classes so far.

\b
Examples:
    isac2 select classes good.star --min-size 80 --max-resolution 15
    isac2 select classes good.txt --classes 1,4-6
    isac2 select classes good.star --from saved_averages.hdf
    isac2 select classes rest.star --unaccounted
    isac2 select classes tilted.star --classes 12 --stack tilted_particles.star
"""


def _select(run: str, outputs: tuple[str, ...], **words: Any) -> None:
    from isac2.after.choose import chosen_classes, chosen_particles
    from isac2.report.choosable import open_choosable
    from isac2.run.chosen_files import is_id_list, write_chosen_particles
    from isac2.stacks.writing import refuse_existing

    averages, stack, choice = words["averages"], words["stack"], choice_of(words)
    for output in (*outputs, *([averages] if averages else [])):
        refuse_existing(output)
    choosable = open_choosable(Path(run))
    found = choosable.classes
    chosen = chosen_classes(found, choice)
    needed = stack is not None or not all(is_id_list(output) for output in outputs)
    particles = None
    if needed or choice.unaccounted:
        particles = _particles_of(choosable, stack, needed)
    ids = chosen_particles(found, choice, None if particles is None else len(particles))
    for output in outputs:
        write_chosen_particles(output, particles, ids)
    if averages:
        choosable.write_averages(averages, chosen)
    so_far = "" if choosable.so_far is None else " so far"
    said = f"{len(ids):,} particles, {int(chosen.sum())} of {len(found.table)} classes{so_far}"
    click.echo(f"{said}: {', '.join(outputs)}")


def _particles_of(found: Choosable, stack: str | None, needed: bool) -> Stack | None:
    """Return the particles; None where ids alone are asked for and nobody knows the particles."""
    from isac2.errors import InputError

    try:
        return found.particles(stack)
    except InputError:
        if needed:
            raise
        return None


command = click.Command(
    "select",
    callback=_select,
    params=[
        click.Argument(["run"]),
        click.Argument(["outputs"], metavar="OUT...", nargs=-1, required=True),
        *choice_options(),
        stack_option(
            ", or their partners, such as the tilted ones, which then get classes and poses"
        ),
        click.Option(
            ["--averages"], metavar="FILE", help="Write the averages of the chosen classes, too."
        ),
    ],
    help=_HELP,
    context_settings=CONTEXT,
)
