"""`isac2 simulate`: make a particle stack whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from isac2.cli.conventions import CONTEXT

if TYPE_CHECKING:
    from isac2.simulate import Recipe, SimulatedStack

__all__ = ["command"]

_HELP = """Simulate a particle stack with a known truth in the folder OUTDIR.

Writes particles.mrcs, particles.star (RELION 3.1), truth.npz, views.mrcs (clean projections, when
views are discrete) and recipe.json. The same options give the same bytes.

\b
Examples:
    isac2 simulate views --particles 2000 --views 16 --snr 0.1
    isac2 simulate mix --molecule complex --molecule ring --views uniform
    isac2 simulate mine --molecule map.mrc --box 128 --pixel-size 1.5
    isac2 simulate tubes --preset filament
"""

# option, type, help; the option's name is that of the recipe's field unless given behind it
_OPTIONS: tuple[tuple[str, Any, str, str], ...] = (
    ("--particles", int, "Number of images, junk among them.", ""),
    ("--box", int, "Box size [pixels], even.", ""),
    ("--pixel-size", float, "Pixel size [A].", "pixel_size_in_angstroms"),
    ("--shift", float, "Largest shift from the box's centre [pixels].", "shift_in_pixels"),
    (
        "--snr",
        float,
        "Variance of the CTF-affected signal in the particle's disc over that of the noise; 'inf' "
        "leaves the noise out.",
        "",
    ),
    ("--noise", str, "white or coloured.", ""),
    ("--defocus", (float, float), "Lowest and highest [um].", "defocus_in_micrometres"),
    ("--astigmatism", float, "Largest astigmatism [A].", "astigmatism_in_angstroms"),
    ("--voltage", float, "Voltage [kV].", "voltage_in_kilovolts"),
    ("--cs", float, "Spherical aberration [mm].", "spherical_aberration_in_millimetres"),
    ("--amplitude-contrast", float, "Amplitude contrast, 0 to 1.", ""),
    ("--junk", float, "Share of images that are junk, 0 to 1.", "junk_fraction"),
    ("--particles-per-micrograph", int, "They share defocus and astigmatism.", ""),
    ("--segments-per-tube", int, "Segments cut from one filament.", ""),
    ("--seed", int, "Seed of all random numbers.", ""),
    ("--pixel-type", str, "float32, or int8 for a quarter of the size.", ""),
)


def _simulate(outdir: str, **given: Any) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from isac2.simulate import simulate_stack

    recipe = _recipe(given)
    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("simulating", total=recipe.particles)
        stack = simulate_stack(recipe, outdir, lambda done, _: bars.update(bar, completed=done))
    for line in _summary(recipe, stack):
        click.echo(line)


def _recipe(given: dict[str, Any]) -> Recipe:
    """Return the preset's recipe with what was given on the command line."""
    from isac2.errors import InputError
    from isac2.simulate import PRESETS

    preset = given.pop("preset")
    if preset not in PRESETS:
        raise InputError(f"--preset knows no '{preset}': choose from {', '.join(PRESETS)}.")
    changes = {name: value for name, value in given.items() if value not in (None, ())}
    views = changes.pop("views", None)
    if views is not None and views.isdigit():
        changes.update(orientations="views", views=int(views))
    elif views is not None:
        changes["orientations"] = views
        if views == "helical":
            changes.setdefault("molecules", ("filament",))
    if "junk_kinds" in changes:
        changes["junk_kinds"] = tuple(changes["junk_kinds"].split(","))
    return PRESETS[preset].with_changes(**changes)


def _summary(recipe: Recipe, stack: SimulatedStack) -> list[str]:
    """Say what was made, and what a run on it needs to be told."""
    radius = round(stack.radius_in_pixels)
    options = [f"--radius {radius}", *(["--CTF"] if recipe.ctf else [])]
    if recipe.orientations == "helical":
        options = [f"--radius {round(0.4 * recipe.box)}", *options[1:]]
        options.append(f"--filament_width {2 * radius}")
    return [
        f"Particles: {stack.star} ({recipe.particles} images, {recipe.box} x {recipe.box} pixels "
        f"of {recipe.pixel_size_in_angstroms:g} A)",
        f"Truth:     {stack.truth}",
        f"Next:      isac2 run {stack.star} OUTDIR {' '.join(options)}",
    ]


def _parameters() -> list[click.Parameter]:
    """Return the command's arguments and options; what is not given is left to the preset."""
    help_of_views = (
        "A number of discrete views, or uniform, preferred (mostly near three directions), or "
        "helical (segments of filaments)."
    )
    listed = [
        click.Option([flag, *([field] if field else [])], type=kind, help=text)
        for flag, kind, text, field in _OPTIONS
    ]
    return [
        click.Argument(["outdir"]),
        click.Option(
            ["--preset"],
            default="views",
            show_default=True,
            help="Start from the options of views, mix, filament or tiny (made in a moment).",
        ),
        click.Option(
            ["--molecule", "molecules"],
            multiple=True,
            help="complex, bent (its other conformation), ring (D7), shell (O) or filament, ':7' "
            "behind it for another seed; or a density map (.mrc). Give several for a mixture.",
        ),
        click.Option(["--views"], help=help_of_views),
        click.Option(
            ["--mirrors/--no-mirrors"], default=None, help="Mirror half of the discrete views."
        ),
        click.Option(["--ctf/--no-ctf"], default=None, help="Apply a CTF."),
        click.Option(
            ["--junk-kinds"], help="Any of noise,ice,off-centre,aggregate,edge, in equal parts."
        ),
        *listed,
    ]


def _command(callback: Callable[..., None]) -> click.Command:
    return click.Command(
        "simulate",
        callback=callback,
        params=_parameters(),
        help=_HELP,
        context_settings=CONTEXT,
    )


command = _command(_simulate)
