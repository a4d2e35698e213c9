"""`isac2 evaluate`: score a run against the truth of a simulated stack."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from isac2.cli.conventions import CONTEXT

if TYPE_CHECKING:
    from rich.table import Table

    from isac2.classes.evaluate import Evaluation
    from isac2.classes.fidelity import Fidelity

__all__ = ["command"]

_HELP = """Score RUN against TRUTH, the truth.npz of a simulated stack.

RUN is a run directory of isac2 or of SPHIRE, or a particle star file of any program with
rlnClassNumber (RELION's run_it025_data.star), so that programs can be compared.

\b
Example:
    isac2 evaluate classes truth.npz --json scores.json
"""


@click.command(
    "evaluate",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("run")
@click.argument("truth")
@click.option("--json", "json_path", metavar="FILE", help="Also write the scores to FILE as JSON.")
@click.option(
    "--images",
    metavar="STAR",
    help="The stack's star file; needed when its particles come from several image files: "
    "row i of TRUTH is its row i, and RUN's particles are found by rlnImageName.",
)
@click.option(
    "--radius",
    type=click.FloatRange(min=0, min_open=True),
    help="Particle radius [pixels] for the pixel error; what the run recorded by default.",
)
@click.option(
    "--symmetry",
    default="C1",
    show_default=True,
    help="Point group of each molecule, in the order of the truth's labels: C1,D7.",
)
@click.option(
    "--averages",
    is_flag=True,
    help="Also average each class from its members in their poses, and correlate that with the "
    "molecule's clean projection; TRUTH has to be in the folder that isac2 simulate wrote.",
)
@click.option("--classes", "show_classes", is_flag=True, help="Also list every class.")
def command(
    run: str,
    truth: str,
    json_path: str | None,
    images: str | None,
    radius: float | None,
    symmetry: str,
    averages: bool,
    show_classes: bool,
) -> None:
    from pathlib import Path

    from rich.console import Console

    from isac2.after.fidelity import measure_fidelity
    from isac2.classes.evaluate_files import evaluate_run
    from isac2.files import write_text_atomic

    evaluation = evaluate_run(
        run, truth, images=images, radius=radius, symmetries=symmetry.split(",")
    )
    fidelity = None
    if averages:
        fidelity = measure_fidelity(run, Path(truth).parent, symmetry.split(","))
    console = Console()
    console.print(_totals(evaluation, fidelity))
    if show_classes:
        console.print(_classes(evaluation))
    if json_path is not None:
        scores = evaluation.as_dict()
        if fidelity is not None:
            scores["averages"] = fidelity.as_dict()
        write_text_atomic(json_path, json.dumps(scores, indent=2) + "\n")


def _totals(evaluation: Evaluation, fidelity: Fidelity | None) -> Table:
    """Return the scores of the whole run, one a row; what the truth does not say is left out."""
    from rich.table import Table

    table = Table(show_header=False, title="Classification against the truth", title_justify="left")
    table.add_column("score")
    table.add_column("value", justify="right")
    rows = _rows(evaluation)
    if fidelity is not None:
        resolution = fidelity.resolution_in_angstroms
        rows += [
            ("averages' agreement with clean views (A)", _number(resolution, 1)),
            ("  their correlation, mean over rings", _number(fidelity.mean_correlation)),
        ]
    for name, value in rows:
        if value is not None:
            table.add_row(name, value)
    return table


def _rows(evaluation: Evaluation) -> list[tuple[str, str | None]]:
    sizes, pose = sorted(evaluation.class_sizes), evaluation.pose
    views = f"{evaluation.views_found} of {evaluation.views_total}"
    rows = [
        ("particles (good)", f"{evaluation.particles} ({evaluation.good_particles})"),
        ("classes", str(evaluation.classes)),
        ("class sizes (least, median, most)", _sizes(sizes) if sizes else None),
        ("purity", _number(evaluation.purity)),
        ("purity by molecule", _number(evaluation.purity_by_label)),
        ("adjusted Rand index", _number(evaluation.adjusted_rand_index)),
        ("views found", None if evaluation.views_total is None else views),
        ("good particles accounted for", _percent(evaluation.good_accounted)),
        ("junk accounted for", _percent(evaluation.junk_accounted)),
        *(
            (f"  {kind}", _percent(share))
            for kind, share in evaluation.junk_accounted_by_kind.items()
        ),
        ("angular spread, median (deg)", _number(evaluation.angular_spread_median, 1)),
        ("angular spread, mean (deg)", _number(evaluation.angular_spread_mean, 1)),
    ]
    if pose is not None:
        rows += [
            ("mirror agreement", _percent(pose.mirror_agreement)),
            ("in-plane angle error, rms (deg)", _number(pose.in_plane_rms, 2)),
            ("shift error, rms (px)", _number(pose.shift_rms, 2)),
            ("pixel error, rms (px)", _number(pose.pixel_error_rms, 2)),
            ("pixel error, median (px)", _number(pose.pixel_error_median, 2)),
        ]
    return rows


def _classes(evaluation: Evaluation) -> Table:
    """Return one row a class."""
    from rich.table import Table

    table = Table()
    for name in ("class", "size", "good", "molecule", "view", "purity", "spread (deg)", "mirror"):
        table.add_column(name, justify="right")
    table.add_column("pixel error (px)", justify="right")
    for score in evaluation.per_class:
        pose = score.pose
        cells = (
            str(score.identifier),
            str(score.size),
            str(score.good),
            None if score.majority_label is None else str(score.majority_label),
            None if score.majority_view is None else str(score.majority_view),
            _number(score.purity),
            _number(score.angular_spread_median, 1),
            None if pose is None else _percent(pose.mirror_agreement),
            None if pose is None else _number(pose.pixel_error_rms, 2),
        )
        table.add_row(*(cell or "-" for cell in cells))
    return table


def _sizes(sizes: list[int]) -> str:
    return f"{sizes[0]}, {sizes[len(sizes) // 2]}, {sizes[-1]}"


def _number(value: float | None, digits: int = 3) -> str | None:
    return None if value is None else f"{value:.{digits}f}"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f} %"
