"""`isac2 suggest`: what to give a run, measured on the stack."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isac2.cli.conventions import CONTEXT

if TYPE_CHECKING:
    from isac2.run.suggestion import Cost, Suggestion
    from isac2.stacks import Stack

__all__ = ["command"]

_HELP = """Measure the particles of STACK and print the command to run.

It estimates the particle's radius, and draws it over the average in a picture; chooses a group size
for the number of images; times one round on a few of them to say how long a run takes; and tells
what else is worth knowing before. Look at the picture: the disc should hold the whole particle.

\b
Example:
    isac2 suggest particles.star
"""


@click.command(
    "suggest",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("stack")
@click.option(
    "--picture",
    metavar="PNG",
    help="Where the picture goes; by default radius_NAME.png, NAME being the stack's.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=2),
    default=500,
    show_default=True,
    help="Images to measure.",
)
@click.option(
    "--threads",
    type=click.IntRange(0, 4096),
    default=0,
    help="Threads that the run will have; all cores by default.",
)
@click.option("--outdir", default="classes", show_default=True, help="Folder for the run.")
def command(stack: str, picture: str | None, sample: int, threads: int, outdir: str) -> None:
    from isac2.errors import InputError
    from isac2.report.estimate_picture import draw_estimate
    from isac2.run.suggestion import estimate_cost, read_sample, suggest
    from isac2.stacks import open_stack

    opened = open_stack(stack)
    drawn = Path(picture) if picture else Path(f"radius_{_name(stack)}.png")
    if drawn.suffix.lower() != ".png" or not drawn.parent.is_dir():
        raise InputError(
            f"--picture {drawn}: give the name of a .png file in a folder that exists."
        )
    some = read_sample(opened, sample)
    found = suggest(opened, some)
    draw_estimate(drawn, some, found)
    _say_particles(opened, found, len(some.rows), drawn)
    _say_cost(opened, found, estimate_cost(opened, found.settings, threads))
    for warning in _warnings(opened, found):
        click.echo(f"Note:     {warning}")
    click.echo(f"\n{_command_line(stack, outdir, found, threads)}")


def _name(stack: str) -> str:
    """Return a word for a file's name from that of a stack.

    Examples
    --------
    >>> _name("Extract/job021/particles.star"), _name("bdb:folder#stack")
    ('particles', 'stack')
    """
    return Path(stack.rpartition("#")[2].rpartition(":")[2]).stem


def _say_particles(stack: Stack, found: Suggestion, measured: int, picture: Path) -> None:
    pixel = float(stack.metadata.pixel_size_in_angstroms.mean())

    def length(pixels: float) -> str:
        return f"{pixels:.0f} px" + (f" ({pixels * pixel:.0f} A)" if math.isfinite(pixel) else "")

    click.echo(
        f"Stack:    {len(stack):,} images of {stack.box_size} x {stack.box_size} px; {measured} "
        "measured"
    )
    if found.filament_width is None:
        limits = f"likely between {found.least:.0f} and {found.most:.0f}"
        click.echo(f"Radius:   {length(found.settings.radius)}, {limits}")
    else:
        click.echo(f"Filament: {length(found.settings.filament_width)} wide")
        click.echo(f"Radius:   {length(found.settings.radius)}, as much as the box allows")
    click.echo(f"Picture:  {picture}: check that the disc holds the particle")


def _say_cost(stack: Stack, found: Suggestion, cost: Cost) -> None:
    from isac2.run.progress import duration_text

    size = found.settings.images_per_group
    click.echo(
        f"Groups:   {size} images each, {max(1, len(stack) // size)} groups; a class has more than "
        f"{found.settings.minimum_group_size} (60 %)"
    )
    click.echo(
        f"Time:     about {duration_text(cost.seconds)} with {cost.threads} threads "
        f"({duration_text(cost.fewest_seconds)} to {duration_text(cost.most_seconds)})"
    )
    click.echo(
        f"Memory:   about {cost.memory / 2**20:,.0f} MiB; room on the disk: up to "
        f"{cost.disk / 2**20:,.0f} MiB"
    )


def _warnings(stack: Stack, found: Suggestion) -> list[str]:
    """What is worth knowing before a run."""
    from isac2.run.suggestion import phases_are_to_be_flipped

    said = []
    if found.is_dark:
        said.append(
            "particles are darker than what is around them: invert the contrast first "
            "(RELION: 'Invert contrast' at the extraction)"
        )
    if found.filament_width is None and found.radius > 0.42 * stack.box_size:
        said.append(
            f"the box is tight: {round(4 * found.radius)} px would be better, or the radius could "
            "not be told from the neighbours"
        )
    if stack.metadata.phase_flipped.any():
        said.append("the phases have been flipped before, so there is no --CTF")
    elif not phases_are_to_be_flipped(stack):
        said.append("the table has no CTF, so there is no --CTF: fine for negative stain")
    if len(stack) < 5 * found.settings.images_per_group:
        said.append("these are few images: more would give better classes")
    return said


def _command_line(stack: str, outdir: str, found: Suggestion, threads: int) -> str:
    from isac2.run.options import Settings

    settings, default = found.settings, Settings(radius=1)
    words = ["isac2", "run", stack, outdir, f"--radius={settings.radius}"]
    if settings.phase_flip:
        words.append("--CTF")
    if settings.filament_width > 0:
        words.append(f"--filament_width={settings.filament_width}")
    if settings.images_per_group != default.images_per_group:
        words.append(f"--img_per_grp={settings.images_per_group}")
    if threads:
        words.append(f"--threads={threads}")
    return shlex.join(words)
