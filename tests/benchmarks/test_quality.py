"""The quality bench works from a set's name to the page, and does nothing twice."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from benchmarks.quality.ablation_page import draw_ablations, write_ablation_tables
from benchmarks.quality.ablations import ABLATION_BASE, ABLATIONS, ablation_sets
from benchmarks.quality.collection import Summary, collect, read_summaries
from benchmarks.quality.page import BEGIN, END, draw_quality, replace_between_marks, write_tables
from benchmarks.quality.programs import get_stack, program_version, run_program
from benchmarks.quality.scoring import agreement_of_seeds, score_result
from benchmarks.quality.sets import QualitySet, all_sets, chosen_sets
from isac2.cli.run import command as run_command
from isac2.cli.simulate import command as simulate_command

TINY = QualitySet(
    "tiny",
    "made in a moment",
    "--preset tiny --particles 160 --views 3",
    images_per_group=40,
    minimum=12,
    isac2="--target_radius=14 --target_nx=40 --init_iter=2",
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


def test_a_set_is_simulated_classified_and_scored_once(work: Path) -> None:
    stack = get_stack(TINY, work, None)
    assert run_program(TINY, "isac2", 1, stack, work, only_kept=True) is None
    folders = [run_program(TINY, "isac2", seed, stack, work) for seed in (1, 2)]
    first, second = (folder for folder in folders if folder is not None)
    before = (first / "record.json").stat().st_mtime_ns
    scores = score_result(first, TINY, stack)
    assert scores["purity"] > 0.8
    assert 0.3 < scores["average_correlation"] <= 1.0
    assert scores["good_selected"] <= scores["good_accounted"]
    assert run_program(TINY, "isac2", 1, get_stack(TINY, work, None), work) == first
    assert (first / "record.json").stat().st_mtime_ns == before
    assert score_result(first, TINY, stack) == scores
    agreement = agreement_of_seeds([first, second])
    assert agreement is not None
    assert 0.3 < agreement <= 1.0

    def score(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
        return {**score_result(folder, TINY, stack), "seconds_a_pass": 1.0}

    collect([first, second], score, work / "measured.json")
    (summary,) = read_summaries(work / "measured.json")
    assert (summary.set, summary.program, len(summary.runs)) == ("tiny", "isac2", 2)
    assert summary.median("purity") == pytest.approx(
        np.mean([run["purity"] for run in summary.runs])
    )


def test_an_engine_is_known_by_its_sources() -> None:
    assert program_version("isac2") == program_version("isac2")
    assert len(program_version("isac2")) == 10


@pytest.mark.parametrize("item", all_sets().values(), ids=lambda item: item.name)
def test_every_set_is_understood_by_the_programs(item: QualitySet) -> None:
    words = f"STACK OUT --radius=20 --img_per_grp={item.images_per_group} {item.isac2}"
    run_command.make_context("run", words.split())
    if item.simulate:
        simulate_command.make_context("simulate", ["OUT", *item.simulate.split()])


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda ablation: ablation.option)
def test_every_ablation_changes_one_option_and_holds_the_usual_value(ablation: Any) -> None:
    made = dict(ablation_sets(ablation))
    assert made[ablation.usual] == ABLATION_BASE
    assert len(set(made.values())) == len(ablation.values)
    option = ablation.option.removeprefix("--")
    parameter = {name: p for p in run_command.params for name in p.opts}[f"--{option}"]
    assert isinstance(parameter, click.Option)
    for item in made.values():
        run_command.make_context("run", ["STACK", "OUT", "--radius=20", *item.isac2.split()])


def test_unknown_sets_are_refused_and_given_ones_need_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there is no set 'bass'"):
        chosen_sets(("bass",), with_given=True)
    assert all(item.simulate for item in chosen_sets((), with_given=False))
    (given,) = chosen_sets(("mix_simulated",), with_given=False)
    with pytest.raises(SystemExit, match="--data"):
        get_stack(given, tmp_path, None)


def _summary(program: str, purity: float, core_seconds: float) -> Summary:
    run = {
        "set": "base", "program": program, "version": "1", "seed": 1, "command": "x y",
        "date": "2020-02-02", "purity": purity, "views_found": 5, "views_total": 6,
        "junk_accounted": 0.5, "core_seconds": core_seconds, "seconds_a_pass": core_seconds / 10,
        "good_accounted": 0.9, "average_correlation": 0.5,
    }  # fmt: skip
    return Summary("base", program, (run, {**run, "seed": 2, "purity": purity + 0.02}), 0.9)


def test_the_page_says_where_it_is_not_ahead(tmp_path: Path) -> None:
    summaries = [_summary("isac2", 0.8, 10.0), _summary("relion", 0.9, 50.0)]
    text = write_tables(summaries)
    assert "| base | isac2 | 0.810 ± 0.010 |" in text
    assert "| base | RELION | **0.910** ± 0.010 |" in text
    assert "- base: purity 0.810 to 0.910" in text
    assert "Less than ten times faster a pass on base (5.0)." in text
    assert "- base" not in write_tables([_summary("isac2", 0.9, 1), _summary("relion", 0.8, 50)])
    page = tmp_path / "page.md"
    page.write_text(f"prose\n{BEGIN}\nold\n{END}\nmore\n")
    replace_between_marks(page, text)
    replace_between_marks(page, text)
    assert page.read_text().count(text) == 1
    assert "old" not in page.read_text()
    assert page.read_text().startswith("prose\n")
    assert page.read_text().endswith("more\n")
    draw_quality(summaries, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_ablations_are_tabled_and_drawn(tmp_path: Path) -> None:
    scores = {"purity": 0.9, "good_accounted": 0.8, "junk_accounted": 0.1, "core_seconds": 9.0}
    rows = [
        {"option": "--xr", "value": value, "date": "2020-02-02", "version": "1", "command": "c",
         **scores}
        for value in ("0", "1", "2")
    ]  # fmt: skip
    text = write_ablation_tables(rows)
    assert "| **1** | 0.900 |" in text
    assert "`--ts`" not in text
    draw_ablations(rows, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_the_set_table_is_json_ready() -> None:
    json.dumps([replace(item).__dict__ for item in all_sets().values()])
