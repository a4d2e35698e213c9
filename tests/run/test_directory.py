"""Names in a run directory, and which folders are ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from isac2.errors import InputError
from isac2.run.directory import RunDirectory, open_run_directory


def test_names_are_those_of_a_sphire_run(shared: Path) -> None:
    golden = RunDirectory(shared / "golden" / "sphire_run")
    first, second = golden.main(1), golden.main(2)
    named = {
        golden.class_averages,
        golden.ordered_class_averages,
        golden.chains_params,
        golden.processed_images,
        golden.not_processed_images,
        golden.all_parameters,
        golden.shrink_ratio_readme,
        golden.finished,
        golden.initial_parameters,
        golden.global_average,
        golden.spectrum_weights,
        first.generation(1).good_class_averages,
    }
    for main in (first, second):
        generation = main.generation(1)
        named |= {
            main.class_averages,
            main.processed_images,
            main.not_processed_images,
            main.finished,
            main.generation(0).to_process_next,
            generation.class_averages,
            generation.original_class_averages,
            generation.to_process_next,
            generation.finished,
        }
    there = {path for path in golden.path.rglob("*") if path.is_file()}
    assert named == there


def test_names_of_the_manual_page() -> None:
    generation = RunDirectory(Path("run")).main(2).generation(3)
    assert generation.path == Path("run/main002/generation003")
    names = [
        generation.manual_candidates,
        generation.manual_class_averages,
        generation.accounted,
        generation.unaccounted,
    ]
    assert [path.name for path in names] == [
        "class_averages_candidate_generation_3.hdf",
        "class_averages_generation_3.hdf",
        "generation_3_accounted.txt",
        "generation_3_unaccounted.txt",
    ]


def test_a_new_and_an_empty_folder_can_become_ours(tmp_path: Path) -> None:
    assert open_run_directory(tmp_path / "a" / "b").is_new()
    assert not (tmp_path / "a").exists()
    assert open_run_directory(tmp_path).is_new()
    (tmp_path / ".run.123.tmp.json").write_text("{")
    assert open_run_directory(tmp_path).is_new()


def test_our_own_folder_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"program": "isac2"}')
    assert not open_run_directory(tmp_path).is_new()


@pytest.mark.parametrize("text", ["{}", "[]", "not json", '{"program": "other"}'])
def test_a_run_file_of_others_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match="not written by isac2"):
        open_run_directory(tmp_path)


def test_a_file_and_a_foreign_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="is a file"):
        open_run_directory(tmp_path / "thesis.txt")
    with pytest.raises(InputError, match="not the directory of a run"):
        open_run_directory(tmp_path)


@pytest.mark.parametrize("target", ["nowhere/run", "link"])
def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / target)
    with pytest.raises(InputError, match="link that leads nowhere"):
        open_run_directory(tmp_path / "link")
    with pytest.raises(InputError, match="link is a link that leads nowhere"):
        open_run_directory(tmp_path / "link" / "run")


def test_later_main_iterations_are_removed(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    for number in (1, 2, 3):
        directory.main(number).path.mkdir()
        directory.main(number).finished.touch()
    directory.finished.touch()
    (tmp_path / "mainframe").mkdir()
    assert directory.last_finished_main() == 3
    directory.remove_after_main(1)
    assert directory.last_finished_main() == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["main001", "mainframe"]


def test_what_a_run_killed_in_its_first_moment_leaves_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / "state").mkdir()
    (tmp_path / ".run.99.tmp.json").write_text("{")
    assert open_run_directory(tmp_path).is_new()
    (tmp_path / "lock").write_text("somebody's own")
    with pytest.raises(InputError, match="not the directory of a run"):
        open_run_directory(tmp_path)
