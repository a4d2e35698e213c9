"""`isac2 beautify`: class averages at full size, with the CTF corrected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isac2.cli.conventions import CONTEXT, stack_option, threads_option
from isac2.cli.main import explain
from isac2.cli.settings_options import device_option

if TYPE_CHECKING:
    from isac2.after.beautify import Beautified, BeautifyOptions
    from isac2.classes.sharpening import Adjustment

__all__ = ["beautify", "beautify_parameters", "command"]

_HELP = """Average the particles of each class of RUN at full size, CTF corrected, to OUTDIR.

RUN is the directory of a run of isac2 or of SPHIRE; OUTDIR is made, and gets class_averages.hdf,
.mrcs and .star with the resolution of each class. Each particle is read once.

\b
Examples:
    isac2 beautify classes averages
    isac2 beautify sphire_run averages --stack particles.star --pw_adjustment bfactor
"""

_POSITIVE = ("fh", "pixel_size", "radius")
_ADJUSTMENTS = ("analytical_model", "bfactor", "no_adjustment")


def beautify_parameters(low_pass: float) -> list[click.Parameter]:
    """Return the options that `isac2 beautify` and its historical program share.

    Parameters
    ----------
    low_pass : float
        Default of ``--fl``.
    """
    return [
        click.Option(
            ["--pw_adjustment"],
            default="analytical_model",
            show_default=True,
            metavar="HOW",
            help="Power spectrum: analytical_model (a typical protein's), bfactor, no_adjustment, "
            "or a text file of power from frequency 0 to Nyquist, one number a line.",
        ),
        click.Option(
            ["--Bfactor", "b_factor"],
            type=float,
            default=-1.0,
            help="B-factor to lift the power by, A^2; estimated for each class by default.",
        ),
        click.Option(
            ["--B_start", "b_start"],
            type=click.FloatRange(min=0, min_open=True),
            default=45.0,
            show_default=True,
            help="The B-factor is estimated from what is finer than this, A.",
        ),
        click.Option(
            ["--fl"],
            type=float,
            default=low_pass,
            show_default=True,
            help="Low-pass, 1/px: -1 none, 0 the resolution before and 1 that after the local "
            "alignment, or a frequency below 0.5.",
        ),
        click.Option(["--local_alignment"], is_flag=True, help="Refine the poses first."),
        click.Option(
            ["--xr"],
            type=float,
            default=1.0,
            show_default=True,
            help="Range of the local alignment's translations, px.",
        ),
        click.Option(
            ["--ts"],
            type=click.FloatRange(min=0, min_open=True),
            default=1.0,
            show_default=True,
            help="Step of them, px.",
        ),
        click.Option(
            ["--fh"],
            type=float,
            default=-1.0,
            help="Low-pass of the local alignment's reference, 1/px; its resolution by default.",
        ),
        click.Option(
            ["--maxit"],
            type=click.IntRange(min=1),
            default=5,
            show_default=True,
            help="Rounds of the local alignment.",
        ),
        click.Option(
            ["--navg"], type=click.IntRange(min=1), help="Only the first so many classes."
        ),
        click.Option(["--noctf"], is_flag=True, help="Do not correct the CTF."),
        click.Option(
            ["--pixel_size"],
            type=float,
            default=-1.0,
            help="Pixel size of the particles, A, in place of what their table says.",
        ),
        click.Option(
            ["--radius"],
            type=float,
            default=-1.0,
            help="Particle radius, px of the particles; what the run says by default.",
        ),
        threads_option(),
        device_option(),
    ]


def beautify(run: str, outdir: str, stack: str | None, words: dict[str, Any]) -> None:
    """Make the averages as the words of the command line ask.

    Raises
    ------
    InputError
        When they cannot be used.
    """
    from isac2.after.beautify import beautify_run
    from isac2.run.communication import open_ranks

    with open_ranks(explain) as ranks:
        made = beautify_run(run, outdir, stack, _options(words), ranks=ranks)
        if ranks.is_first:
            _say(made)


def _say(made: Beautified) -> None:
    resolutions = made.resolutions_in_angstroms
    click.echo(
        f"{len(resolutions)} class averages, {resolutions.min():.1f} to {resolutions.max():.1f} A: "
        f"{made.directory / 'class_averages.mrcs'}"
    )


def _options(words: dict[str, Any]) -> BeautifyOptions:
    from isac2.after.beautify import BeautifyOptions
    from isac2.classes.beautify import LocalAlignment
    from isac2.errors import InputError

    for name in ("fl", "fh"):
        if words[name] >= 0.5 and words[name] != 1.0:
            raise InputError(
                f"--{name}={words[name]:g} is no frequency below 0.5/px: give a lower."
            )
    # SPHIRE's own command lines say -1 for what is to be as it is by default
    known = {name: words[name] if words[name] > 0 else None for name in _POSITIVE}
    reach = words["xr"] if words["xr"] >= 0 else LocalAlignment().x_range
    local = LocalAlignment(reach, words["ts"], known["fh"], words["maxit"])
    return BeautifyOptions(
        correct_ctf=not words["noctf"],
        adjustment=_adjustment(words),
        # on the command line -1 is none and 1 the resolution; in Python None and -1
        low_pass={-1.0: None, 1.0: -1.0}.get(words["fl"], words["fl"]),
        local=local if words["local_alignment"] else None,
        largest_number=words["navg"],
        pixel_size_in_angstroms=known["pixel_size"],
        radius=known["radius"],
        threads=words["threads"],
        device=words["device"],
    )


def _adjustment(words: dict[str, Any]) -> Adjustment:
    from isac2.after.beautify import read_power_table
    from isac2.classes.sharpening import Adjustment
    from isac2.errors import InputError

    how = words["pw_adjustment"]
    given = words["b_factor"] if words["b_factor"] > 0 else None
    if given is not None and how != "bfactor":
        raise InputError(
            f"--Bfactor={given:g} needs --pw_adjustment=bfactor: give both, or neither."
        )
    if how in _ADJUSTMENTS:
        return Adjustment(how, given, words["b_start"])
    if not Path(how).is_file():
        raise InputError(
            f"--pw_adjustment={how} is neither {', '.join(_ADJUSTMENTS)} nor a file that is there."
        )
    return Adjustment("table", table=read_power_table(how))


def _command(run: str, outdir: str, stack: str | None, **words: Any) -> None:
    beautify(run, outdir, stack, words)


command = click.Command(
    "beautify",
    callback=_command,
    params=[
        click.Argument(["run"]),
        click.Argument(["outdir"]),
        stack_option(),
        *beautify_parameters(low_pass=1.0),
    ],
    help=_HELP,
    context_settings=CONTEXT,
)
