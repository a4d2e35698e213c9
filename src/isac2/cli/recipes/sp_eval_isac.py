"""``sp_eval_isac.py``: `isac2 separate` as SPHIRE's users write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from isac2.cli.conventions import CONTEXT
from isac2.cli.main import run_command
from isac2.cli.recipes.common import HistoricalCommand
from isac2.cli.separate import processing_parameters, separate
from isac2.errors import InputError

__all__ = ["command", "main"]

_ALIGN = {None: "none", "none": "none", "intshifts": "centre", "combined": "pose"}

_HELP = """Separate particles by their classes: lists in ClassDocs, stacks in Stacks.

\b
    sp_eval_isac.py class_averages.hdf particles.star outdir
    sp_eval_isac.py class_averages.hdf outdir --particles=bdb:stack --align_isac_dir=isac2_outdir

The averages know their members; --align_isac_dir is the run that knows the poses, by default the
one that the averages lie in, and with it the images are aligned. `isac2 separate` does the same,
with --align.
"""


def _run(files: tuple[str, ...], **words: Any) -> None:
    averages, stack, outdir = _names(files, words.pop("particles"))
    run, applied = words.pop("align_isac_dir"), words.pop("applyparams")
    if run is not None and not Path(run).is_dir():
        raise InputError(f"--align_isac_dir={run} is no directory: give that of the run.")
    if applied not in _ALIGN:
        raise InputError(f"--applyparams={applied} is none of none, combined, intshifts.")
    # a run's own poses are applied in full unless something else is asked for
    align = _ALIGN[applied] if applied is not None or run is None else "pose"
    nothing: dict[str, Any] = dict.fromkeys(
        ("classes", "min_size", "max_size", "max_resolution", "max_error")
    )
    choice = {**nothing, "min_mirror_consistency": None, "reject": False, "unaccounted": False}
    chosen = None if run is None or _is_own(Path(averages), Path(run)) else averages
    words = {**words, **choice, "saved": chosen, "align": align, "threads": 0}
    separate(run or averages, outdir, stack, words, historical=True)


def _names(files: tuple[str, ...], particles: str | None) -> tuple[str, str, str]:
    """Return averages, particles and output, which are two names with --particles, else three."""
    if particles is not None and len(files) == 2:
        return files[0], particles, files[1]
    if particles is None and len(files) == 3:
        return files
    raise InputError(
        "sp_eval_isac.py needs three names: averages, particles and the output (or two, and "
        "--particles)."
    )


def _is_own(averages: Path, run: Path) -> bool:
    """Whether these are all averages of the run."""
    return averages.resolve() == (run / "class_averages.hdf").resolve()


command = HistoricalCommand(
    "sp_eval_isac.py",
    whole_program="SPHIRE",
    callback=_run,
    params=[
        click.Argument(["files"], nargs=-1, metavar="AVERAGES [PARTICLES] OUTDIR"),
        click.Option(["--particles"], metavar="STACK", help="What was classified."),
        click.Option(["--align_isac_dir"], metavar="RUN", help="Align by the poses of this run."),
        click.Option(
            ["--applyparams"],
            metavar="HOW",
            help="none, combined (rotation and shift) or intshifts (whole pixels).",
        ),
        *processing_parameters(),
    ],
    help=_HELP,
    context_settings=CONTEXT,
)


def main() -> int:
    """Run ``sp_eval_isac.py``."""
    return run_command(command, "sp_eval_isac.py")
