"""Whole runs of a tiny stack: what they leave, that they can be stopped, what they refuse."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac2.errors import InputError
from isac2.images.spectra import rotational_power_spectrum
from isac2.run.cores import available_cores
from isac2.run.directory import RunDirectory
from isac2.run.displays import SilentDisplay
from isac2.run.lock import only_run_in
from isac2.run.options import Settings
from isac2.run.runner import run_isac
from isac2.run.stopping import RunStopped, stopping_on_signals
from isac2.run.text_tables import read_ids, read_table
from isac2.stacks import open_stack, read_eman_headers, read_star, write_mrcs

TIMED = {"run.json", "isac2.log", "report.html"}


class StopAfter:
    """A display that ends the program when the log has had some messages."""

    def __init__(self, messages: int) -> None:
        self.left = messages

    def show(self, position: object) -> None:
        """Do nothing."""

    def say(self, message: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


class Recorder(SilentDisplay):
    """A display that remembers what was said."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def say(self, message: str) -> None:
        self.messages.append(message)


def _files(directory: RunDirectory) -> dict[str, bytes]:
    """All files of a run but those that tell times."""
    return {
        str(path.relative_to(directory.path)): path.read_bytes()
        for path in sorted(directory.path.rglob("*"))
        if path.is_file() and path.name not in TIMED
    }


def test_a_run_finds_the_two_objects(tiny: Any, finished: RunDirectory) -> None:
    headers = read_eman_headers(finished.class_averages)
    assert len(headers) >= 2
    for header in headers:
        labels = tiny.label[header["members"]]
        assert np.bincount(labels, minlength=2).max() >= 0.9 * len(labels)
    assert set(np.concatenate([tiny.label[h["members"]] for h in headers])) == {0, 1}


def test_every_image_is_accounted_for_or_not(finished: RunDirectory) -> None:
    headers = read_eman_headers(finished.class_averages)
    members = np.concatenate([header["members"] for header in headers])
    accounted = read_ids(finished.processed_images)
    assert np.array_equal(np.sort(members), accounted)
    left = read_ids(finished.not_processed_images)
    assert np.array_equal(np.sort(np.concatenate([accounted, left])), np.arange(72))
    numbers = read_star(finished.particles_star)["particles"].numbers("rlnClassNumber")
    assert np.array_equal(np.flatnonzero(numbers > 0), accounted)
    mirror = read_table(finished.all_parameters)[:, 3]
    assert np.array_equal(np.flatnonzero(mirror >= 0), accounted)


def test_the_record_knows_the_run(tiny: Any, finished: RunDirectory) -> None:
    record = json.loads(finished.run_json.read_text())
    assert record["options"]["img_per_grp"] == 18
    assert (record["seed"], record["shrink_ratio"]) == (5, 0.8)
    assert (record["ranks"], record["threads"]) == (1, min(2, available_cores()))
    assert record["input"]["images"] == 72
    assert record["input"]["path"] == str(tiny.path)
    names = ["power spectra", "pre-alignment", "preparation", "clustering"]
    names += ["confidence", "results", "ordering", "report"]
    assert [phase["name"] for phase in record["phases"]] == names
    assert all(phase["peak_memory_in_bytes"] > 0 for phase in record["phases"])
    generations = record["generations"]
    assert generations[0]["images"] == 72
    assert generations[0]["groups"] == 4
    assert 1 <= generations[0]["rounds"] <= 2
    assert sum(row["accounted"] for row in generations) == record["accounted"]
    assert sum(row["classes"] for row in generations) == record["classes"]
    assert record["finished"] >= record["started"]
    logged = finished.log.read_text()
    for name in names:
        assert f"  {name}: " in logged


def test_all_files_are_there(finished: RunDirectory) -> None:
    for path in (
        finished.class_averages_mrcs,
        finished.class_averages_star,
        finished.ordered_class_averages,
        finished.chains_params,
        finished.shrink_ratio_readme,
        finished.global_average,
        finished.initial_parameters,
        finished.report,
        finished.finished,
        finished.main(1).finished,
        finished.main(1).generation(0).to_process_next,
        finished.main(1).generation(1).finished,
    ):
        assert path.is_file(), path
    assert not list(finished.path.rglob("*.tmp*"))
    assert open_stack(finished.class_averages).box_size == 24


@pytest.mark.parametrize("threads", [1, 3])
def test_the_result_does_not_depend_on_the_threads(
    threads: int, tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    settings = replace(tiny.settings, threads=threads)
    again = run_isac(tiny.path, tmp_path / "run", settings, SilentDisplay())
    assert _files(again) == _files(finished)


@pytest.mark.parametrize("messages", [1, 2, 3, 4, 6, 8])
def test_a_run_that_was_stopped_ends_the_same(
    messages: int, tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_isac(tiny.path, folder, tiny.settings, StopAfter(messages))
    (folder / "state" / ".clustering.99.tmp.npz").write_text("half of a file")
    again = run_isac(tiny.path, folder, replace(tiny.settings, seed=None), SilentDisplay())
    assert _files(again) == _files(finished)
    names = [phase["name"] for phase in json.loads(again.run_json.read_text())["phases"]]
    assert sorted(set(names)) == sorted(names)
    assert {"pre-alignment", "clustering", "report"} <= set(names)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_a_signal_stopped_ends_the_same(
    number: signal.Signals, tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    class Signal(SilentDisplay):
        def say(self, message: str) -> None:
            if "round 1" in message:
                os.kill(os.getpid(), number)

    directory = RunDirectory(tmp_path / "run")
    with pytest.raises(RunStopped, match=number.name), stopping_on_signals():
        run_isac(tiny.path, directory.path, tiny.settings, Signal())
    assert f"stopped by {number.name}" in directory.log.read_text()
    assert not directory.lock.exists()
    assert "goes on with" not in directory.log.read_text()
    run_isac(tiny.path, directory.path, tiny.settings, SilentDisplay())
    began = json.loads(directory.run_json.read_text())["started"]
    assert f"goes on with the run that began at {began}" in directory.log.read_text()
    assert _files(directory) == _files(finished)


# a stop that falls between the opening of a file and its keeping leaves the closing to Python
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_run_whose_time_was_over_ends_the_same(
    tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    settings = replace(tiny.settings, maximum_hours=0.3 / 3600)
    with pytest.raises(RunStopped, match="--max-hours"):
        run_isac(tiny.path, tmp_path / "run", settings, SilentDisplay())
    gc.collect()  # so that it is closed here
    again = run_isac(tiny.path, tmp_path / "run", tiny.settings, SilentDisplay())
    assert _files(again) == _files(finished)


def test_another_seed_gives_another_result(
    tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    settings = replace(tiny.settings, seed=6, skip_ordering=True)
    other = run_isac(tiny.path, tmp_path / "run", settings, SilentDisplay())
    assert other.all_parameters.read_bytes() != finished.all_parameters.read_bytes()
    assert not other.ordered_class_averages.exists()


@pytest.fixture
def copy(finished: RunDirectory, tmp_path: Path) -> RunDirectory:
    """A finished run that a test may change."""
    shutil.copytree(finished.path, tmp_path / "copy")
    return RunDirectory(tmp_path / "copy")


def test_a_finished_run_says_so_and_stays(tiny: Any, copy: RunDirectory) -> None:
    before = _files(copy)
    recorder = Recorder()
    run_isac(tiny.path, copy.path, tiny.settings, recorder)
    assert _files(copy) == before
    assert "is finished" in recorder.messages[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images_per_group": 20}, "--img_per_grp was 18 and is 20"),
        ({"seed": 6}, "--rand_seed was 5 and is 6"),
        ({"radius": 11}, "--radius was 10 and is 11"),
    ],
)
def test_other_options_are_refused(
    change: dict[str, Any], said: str, tiny: Any, copy: RunDirectory
) -> None:
    before = _files(copy)
    with pytest.raises(InputError, match=said):
        run_isac(tiny.path, copy.path, replace(tiny.settings, **change), SilentDisplay())
    assert _files(copy) == before


def test_other_input_is_refused(tiny: Any, copy: RunDirectory, tmp_path: Path) -> None:
    images = open_stack(tiny.path).read()
    write_mrcs(tmp_path / "other.mrcs", images[:-1], 2.0)
    with pytest.raises(InputError, match="not the same"):
        run_isac(tmp_path / "other.mrcs", copy.path, tiny.settings, SilentDisplay())


@pytest.mark.parametrize("restart", [0, 1])
def test_restart_after_a_main_iteration_ends_the_same(
    restart: int, tiny: Any, copy: RunDirectory
) -> None:
    before = _files(copy)
    later = copy.main(copy.last_finished_main() + 1)
    later.generation(0).path.mkdir(parents=True)
    copy.class_averages.unlink()
    settings = replace(tiny.settings, restart=restart)
    run_isac(tiny.path, copy.path, settings, SilentDisplay())
    assert not later.path.exists()
    assert _files(copy) == before


def test_restart_of_what_is_not_there_is_refused(
    tiny: Any, copy: RunDirectory, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="--restart=7"):
        run_isac(tiny.path, copy.path, replace(tiny.settings, restart=7), SilentDisplay())
    with pytest.raises(InputError, match="no run in"):
        run_isac(tiny.path, tmp_path / "no", replace(tiny.settings, restart=0), SilentDisplay())
    assert not (tmp_path / "no").exists()


def test_phase_plate_data_are_equalised_and_centred_data_stay(tiny: Any, tmp_path: Path) -> None:
    settings = replace(
        tiny.settings,
        phase_plate=True,
        skip_prealignment=True,
        skip_ordering=True,
        maximum_rounds=1,
    )
    directory = run_isac(tiny.path, tmp_path / "run", settings, SilentDisplay())
    weights = read_table(directory.spectrum_weights)
    assert weights.shape == (17, 1)
    # N over the sum of the amplitudes
    amplitudes = np.sqrt(rotational_power_spectrum(open_stack(tiny.path).read()))
    np.testing.assert_allclose(weights[1:, 0], 1 / amplitudes.mean(axis=0)[1:], rtol=1e-4)
    assert weights[0, 0] == 1.0
    assert not read_table(directory.initial_parameters).any()
    assert not directory.global_average.exists()
    assert not directory.ordered_class_averages.exists()
    images = np.load(directory.working_images)
    assert images.shape == (72, 24, 24)


def test_unusable_images_are_named_and_left_out(tiny: Any, tmp_path: Path) -> None:
    images = open_stack(tiny.path).read()
    images[3] = np.nan
    images[10, 5, 5] = np.inf
    images[20] = 1.5
    write_mrcs(tmp_path / "bad.mrcs", images, 2.0)
    recorder = Recorder()
    settings = replace(tiny.settings, maximum_rounds=1)
    directory = run_isac(tmp_path / "bad.mrcs", tmp_path / "run", settings, recorder)
    said = [message for message in recorder.messages if message.startswith("Warning")]
    assert said == [
        "Warning: 3 images are constant or hold values that are no numbers, and stay unaccounted; "
        "ids, counted from 0: 3, 10, 20"
    ]
    record = json.loads(directory.run_json.read_text())
    assert record["unusable_images"] == [3, 10, 20]
    assert {3, 10, 20} <= set(read_ids(directory.not_processed_images))
    assert len(read_ids(directory.main(1).generation(0).to_process_next)) == 69


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"radius": 16}, "--radius=16 does not fit"),
        ({"images_per_group": 73, "minimum_group_size": 10}, "--img_per_grp=73"),
        ({"phase_flip": True}, "--CTF needs"),
        ({"filament_width": 8}, "--filament_width needs"),
    ],
)
def test_settings_that_do_not_fit_the_stack_are_refused(
    change: dict[str, Any], said: str, tiny: Any, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        run_isac(tiny.path, tmp_path / "run", replace(tiny.settings, **change), SilentDisplay())
    assert list(tmp_path.iterdir()) == []


def _write_not_square(path: Path) -> None:
    write_mrcs(path, np.zeros((40, 32, 30), np.float32), 2.0)


def _write_truncated(path: Path) -> None:
    write_mrcs(path, np.zeros((40, 32, 32), np.float32), 2.0)
    path.write_bytes(path.read_bytes()[:-100])


def _write_nothing(path: Path) -> None:
    pass


def _write_star_without_stack(path: Path) -> None:
    path.write_text("data_particles\n\nloop_\n_rlnImageName #1\n000001@missing.mrcs\n")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("wide.mrcs", _write_not_square),
        ("short.mrcs", _write_truncated),
        ("absent.mrcs", _write_nothing),
        ("lost.star", _write_star_without_stack),
    ],
)
def test_stacks_that_cannot_be_used_are_named(name: str, write: Any, tmp_path: Path) -> None:
    write(tmp_path / name)
    with pytest.raises(InputError, match=name):
        run_isac(tmp_path / name, tmp_path / "run", Settings(radius=10), SilentDisplay())
    assert not (tmp_path / "run").exists()


def test_a_second_run_in_the_folder_is_refused(tiny: Any, copy: RunDirectory) -> None:
    copy.finished.unlink()
    before = _files(copy)
    with only_run_in(copy.path), pytest.raises(InputError, match="in use by another run"):
        run_isac(tiny.path, copy.path, tiny.settings, SilentDisplay())
    assert _files(copy) == before


def test_an_output_folder_of_others_is_refused(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("precious")
    for place in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(InputError, match="new folder"):
            run_isac(tiny.path, place, tiny.settings, SilentDisplay())
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_runs_in_one_process_leave_nothing_in_its_memory(tiny: Any, tmp_path: Path) -> None:
    counts = []
    for number in range(5):
        settings = replace(tiny.settings, threads=1, seed=number)
        run_isac(tiny.path, tmp_path / f"run{number}", settings, SilentDisplay())
        gc.collect()
        counts.append(len(gc.get_objects()))
    # the first ones load modules and make tables
    assert counts[-1] - counts[-3] < 200, counts
