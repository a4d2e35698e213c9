"""The quality bench works from a set's name to the page, and does nothing twice."""

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import isac2
from benchmarks.quality import scoring
from benchmarks.quality.ablation_page import draw_ablations, write_ablation_tables
from benchmarks.quality.ablations import ABLATION_BASE, ABLATIONS, ablation_sets
from benchmarks.quality.collection import Summary, collect, period, read_summaries
from benchmarks.quality.page import BEGIN, END, draw_quality, replace_between_marks, write_tables
from benchmarks.quality.programs import Stack, get_stack, hash_of_sources, run_program
from benchmarks.quality.scoring import agreement_of_seeds, score_result
from benchmarks.quality.sets import GIVEN_SETS, SIMULATED_SETS, QualitySet, all_sets, chosen_sets
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


def test_a_set_is_simulated_classified_and_scored_once(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = get_stack(TINY, work, None)
    assert run_program(TINY, "isac2", 1, stack, work, only_kept=True) is None
    folders = [run_program(TINY, "isac2", seed, stack, work) for seed in (1, 2)]
    first, second = (folder for folder in folders if folder is not None)
    before = (first / "record.json").stat().st_mtime_ns
    scores = score_result(first, TINY, stack)
    assert scores["purity"] > 0.8
    assert 0.3 < scores["average_correlation"] <= 1.0
    assert scores["views_total"] == 3
    assert run_program(TINY, "isac2", 1, get_stack(TINY, work, None), work) == first
    assert (first / "record.json").stat().st_mtime_ns == before
    with monkeypatch.context() as nothing_is_scored_again:
        nothing_is_scored_again.setattr(scoring, "_score", lambda *_: {"purity": -1.0})
        assert score_result(first, TINY, stack) == scores
        other = replace(TINY, symmetry="D7")
        assert score_result(first, other, stack)["purity"] == -1.0
    assert score_result(first, TINY, stack) == scores
    agreement = agreement_of_seeds([first, second])
    assert agreement is not None
    assert 0.3 < agreement <= 1.0
    assert agreement_of_seeds([first, first]) == 1.0
    assert agreement_of_seeds([first]) is None

    def score(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
        return {**score_result(folder, TINY, stack), "seconds_a_pass": 1.0}

    collect([first, second], score, work / "measured.json")
    (summary,) = read_summaries(work / "measured.json")
    assert (summary.set, summary.program, len(summary.runs)) == ("tiny", "isac2", 2)
    assert summary.agreement == agreement
    assert summary.runs[0] == {
        **json.loads((first / "record.json").read_text()), **scores, "seconds_a_pass": 1.0
    }  # fmt: skip


def test_classes_that_are_mostly_junk_are_thrown_away(tmp_path: Path) -> None:
    # class 1: two good, one junk; class 2: one good, two junk; the last two good in none
    names = "".join(
        f"{i + 1}@p.mrcs {number}\n" for i, number in enumerate([1] * 3 + [2] * 3 + [0] * 2)
    )
    found = tmp_path / "found.star"
    found.write_text(f"data_\nloop_\n_rlnImageName\n_rlnClassNumber\n{names}")
    np.savez(tmp_path / "truth.npz", junk=[0, 0, 1, 0, 1, 1, 0, 0])
    stack = Stack(tmp_path / "p.star", tmp_path / "truth.npz", 8, 20, 2.0, None)
    scores = score_result(tmp_path, replace(TINY, symmetry="C1"), stack)
    assert scores["good_accounted"] == pytest.approx(3 / 5)
    assert scores["junk_accounted"] == 1.0
    assert scores["good_selected"] == pytest.approx(2 / 5)
    assert scores["junk_selected"] == pytest.approx(1 / 3)
    without = score_result(tmp_path, replace(TINY, symmetry="D2"), replace(stack, truth=None))
    assert (without["classes"], without["class_sizes"]) == (2, [3, 3])
    assert without["accounted"] == 6 / 8


def test_an_engine_is_known_by_its_sources(tmp_path: Path) -> None:
    engine = tmp_path / "alignment"
    engine.mkdir()
    for name in ("search.py", "torch_search.py", "notes.txt"):
        (engine / name).write_text("one")
    (tmp_path / "poses.py").write_text("one")
    known = hash_of_sources(("alignment", "poses.py"), tmp_path)
    for name, counts in (
        ("alignment/notes.txt", False),
        ("alignment/torch_search.py", False),
        ("alignment/search.py", True),
        ("poses.py", True),
    ):
        (tmp_path / name).write_text("two")
        assert (hash_of_sources(("alignment", "poses.py"), tmp_path) != known) == counts, name
        (tmp_path / name).write_text("one")
    (engine / "search.py").rename(engine / "found.py")
    assert hash_of_sources(("alignment", "poses.py"), tmp_path) != known


def test_scores_are_known_by_all_that_makes_them() -> None:
    """What the scorers import, and what that imports, is hashed, but for what decides nothing."""
    package = Path(isac2.__file__).parent
    hashed = {
        file
        for name in scoring.SCORERS
        for file in ([package / name] if name.endswith(".py") else (package / name).rglob("*.py"))
    }
    assert all(file.exists() for file in hashed)
    entries = [package / "classes/evaluate_files.py", package / "after/fidelity.py"]
    needed = {file.relative_to(package) for file in _all_imports(package, entries) - hashed}
    rooms = {path.parts[0] for path in needed}
    # the engine: only for averages that are aligned anew, which none is here
    assert rooms <= {"alignment", "devices", "errors.py", "files.py", "workers.py"}


def _all_imports(package: Path, entries: list[Path]) -> set[Path]:
    """Return modules of the package, and all that they import from it."""
    seen, todo = set(entries), list(entries)
    while todo:
        names = set()
        for node in ast.walk(ast.parse(todo.pop().read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("isac2."):
                names |= {f"{node.module}", *(f"{node.module}.{a.name}" for a in node.names)}
        paths = [package.joinpath(*name.split(".")[1:]) for name in names]
        files = {f for p in paths for f in (p.with_suffix(".py"), p / "__init__.py") if f.is_file()}
        todo += files - seen
        seen |= files
    return seen


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


def test_the_figure_shows_what_was_measured(tmp_path: Path) -> None:
    seen = set()
    for name, changed in (("a.png", (0.8, 10.0)), ("b.png", (0.5, 10.0)), ("c.png", (0.8, 90.0))):
        draw_quality([_summary("isac2", *changed), _summary("relion", 0.9, 50.0)], tmp_path / name)
        seen.add((tmp_path / name).read_bytes())
    assert len(seen) == 3


def test_one_day_is_named_once() -> None:
    one, other = {"date": "2020-02-02"}, {"date": "2020-02-03"}
    assert period([one, one]) == "2020-02-02"
    assert period([other, one, one]) == "2020-02-02 to 2020-02-03"


def test_ablations_are_tabled_and_drawn(tmp_path: Path) -> None:
    scores = {"purity": 0.9, "good_accounted": 0.8, "junk_accounted": 0.1, "core_seconds": 9.0}
    rows = [
        {"option": "--xr", "value": value, "date": "2020-02-02", "version": "1", "command": "c",
         **scores}
        for value in ("0", "1", "2")
    ]  # fmt: skip
    text = write_ablation_tables(rows)
    assert "| **1** | 0.900 |" in text
    assert "Measured 2020-02-02, engine 1." in text
    assert "`--ts`" not in text
    draw_ablations(rows, tmp_path / "one.png")
    draw_ablations([{**row, "junk_accounted": 0.6} for row in rows], tmp_path / "other.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "other.png").read_bytes()


def test_no_two_sets_have_one_name_or_are_the_same() -> None:
    assert len(all_sets()) == len(SIMULATED_SETS) + len(GIVEN_SETS)
    assert len({replace(item, name="", shows="") for item in SIMULATED_SETS}) == len(SIMULATED_SETS)
