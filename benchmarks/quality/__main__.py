"""`python -m benchmarks.quality`: measure, collect and write the pages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import click

from benchmarks.quality.ablation_page import draw_ablations, write_ablation_tables
from benchmarks.quality.ablations import ABLATION_BASE, ABLATIONS, ablation_sets
from benchmarks.quality.collection import MEASURED, collect, read_summaries
from benchmarks.quality.page import draw_quality, replace_between_marks, write_tables
from benchmarks.quality.programs import PROGRAMS, get_stack, run_program
from benchmarks.quality.scoring import score_result
from benchmarks.quality.sets import QualitySet, all_sets, chosen_sets

_ROOT = Path(__file__).resolve().parents[2]
_DOCS = _ROOT / "docs"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure the quality of classes against truth and against RELION.

    Results stay in the work folder, so a bench that was stopped goes on where it was.
    """


def _work_option(function: Any) -> Any:
    function = click.option(
        "--work",
        type=click.Path(path_type=Path),
        default=_ROOT / "quality",
        help="Stacks and results are kept here.",
    )(function)
    return click.option(
        "--data",
        type=click.Path(path_type=Path, exists=True),
        help="Folder of given stacks; without it only simulated ones are classified.",
    )(function)


@main.command("measure")
@_work_option
@click.option("--set", "names", multiple=True, help="A set's name; all by default.")
@click.option("--program", "programs", multiple=True, type=click.Choice(PROGRAMS))
@click.option("--seed", "seeds", multiple=True, type=int, help="1, 2 and 3 by default.")
def measure(
    work: Path,
    data: Path | None,
    names: tuple[str, ...],
    programs: tuple[str, ...],
    seeds: tuple[int, ...],
) -> None:
    """Classify every set by every program with every seed, and print the scores."""
    items = chosen_sets(names, data is not None)
    if not programs and shutil.which("relion_refine") is None:
        print("relion_refine is not installed: only isac2 is measured")
        programs = ("isac2",)
    for seed in seeds or (1, 2, 3):
        for item in items:
            for program in programs or PROGRAMS:
                _run_and_tell(item, program, seed, work, data)


@main.command("ablate")
@_work_option
@click.option("--option", "options", multiple=True, help="Such as --xr; all by default.")
@click.option("--seed", "seeds", multiple=True, type=int, help="1 by default.")
def ablate(work: Path, data: Path | None, options: tuple[str, ...], seeds: tuple[int, ...]) -> None:
    """Classify one stack with each option around its default."""
    for seed in seeds or (1,):
        for ablation in ABLATIONS:
            if not options or ablation.option in options:
                for value, item in ablation_sets(ablation):
                    print(f"{ablation.option} {value}:", end=" ")
                    _run_and_tell(item, "isac2", seed, work, data)


@main.command("page")
@_work_option
def page(work: Path, data: Path | None) -> None:
    """Collect all results into the measured file, and write the pages from it."""
    known = all_sets()

    def score(folder: Path, record: dict[str, Any]) -> dict[str, Any] | None:
        item = known.get(record["set"])
        if item is None or (not item.simulate and data is None):
            return None
        return _with_pass(record, score_result(folder, item, get_stack(item, work, data)))

    collect((path.parent for path in work.glob("results/*/*/record.json")), score)
    summaries = read_summaries()
    replace_between_marks(_DOCS / "quality.md", write_tables(summaries))
    draw_quality(summaries, _DOCS / "pictures" / "quality.png")
    rows = _ablation_rows(work)
    if rows:
        output = MEASURED.with_name("measured_ablations.json")
        output.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
        replace_between_marks(_DOCS / "ablations.md", write_ablation_tables(rows))
        draw_ablations(rows, _DOCS / "pictures" / "ablations.png")


def _ablation_rows(work: Path) -> list[dict[str, Any]]:
    """Return the scores of every value of every option that has been tried with the engine."""
    rows: list[dict[str, Any]] = []
    if not (work / "results" / ABLATION_BASE.name).exists():
        return rows
    stack = get_stack(ABLATION_BASE, work, None)
    for ablation in ABLATIONS:
        for value, item in ablation_sets(ablation):
            for seed in (1, 2, 3):
                folder = run_program(item, "isac2", seed, stack, work, only_kept=True)
                if folder is not None:
                    record = json.loads((folder / "record.json").read_text("utf-8"))
                    scores = _with_pass(record, score_result(folder, item, stack))
                    rows.append({"option": ablation.option, "value": value, **record, **scores})
    return rows


def _run_and_tell(item: QualitySet, program: str, seed: int, work: Path, data: Path | None) -> None:
    stack = get_stack(item, work, data)
    folder = run_program(item, program, seed, stack, work)
    assert folder is not None
    record = json.loads((folder / "record.json").read_text("utf-8"))
    scores = score_result(folder, item, stack)
    shown = {
        name: scores.get(name)
        for name in (
            "purity", "adjusted_rand_index", "views_found", "good_accounted", "junk_accounted",
            "angular_spread_median", "pixel_error", "average_correlation", "classes",
        )
    }  # fmt: skip
    words = [f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in shown.items()]
    print(f"{item.name} {program} {seed}: {record['core_seconds']:.0f} s; {', '.join(words)}",
          flush=True)  # fmt: skip


def _with_pass(record: dict[str, Any], scores: dict[str, Any]) -> dict[str, Any]:
    """Add how long one comparison of all images with all references took."""
    return {**scores, "seconds_a_pass": record["core_seconds"] / max(record["passes"], 1.0)}


if __name__ == "__main__":
    main()
