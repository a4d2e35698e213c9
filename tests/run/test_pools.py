"""A run in pools: its files, stopped and taken up anywhere, refused where it makes no sense."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac2.after.assign import assign_particles
from isac2.errors import InputError
from isac2.report.choosable import open_choosable
from isac2.report.load import load_report
from isac2.run.checkpoint import load_pools
from isac2.run.directory import RunDirectory
from isac2.run.displays import SilentDisplay
from isac2.run.options import Settings
from isac2.run.results import read_run
from isac2.run.runner import run_isac
from isac2.stacks import open_stack, read_eman_headers, write_mrcs

TIMED = {"run.json", "isac2.log", "report.html"}


class StopAt:
    """A display that ends the program at a message."""

    def __init__(self, message: str) -> None:
        self.message = message

    def show(self, position: object) -> None:
        """Do nothing."""

    def say(self, message: str) -> None:
        if self.message in message:
            raise KeyboardInterrupt


def files_of(directory: RunDirectory) -> dict[str, bytes]:
    """All files of a run but those that tell times."""
    return {
        str(path.relative_to(directory.path)): path.read_bytes()
        for path in sorted(directory.path.rglob("*"))
        if path.is_file() and path.name not in TIMED
    }


@pytest.fixture(scope="module")
def settings(tiny: Any) -> Settings:
    changed: Settings = replace(tiny.settings, images_per_group=12, pool_size=36)
    return changed


@pytest.fixture(scope="module")
def pooled(tiny: Any, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    folder = tmp_path_factory.mktemp("pooled") / "run"
    return run_isac(tiny.path, folder, settings, SilentDisplay())


def test_both_pools_and_what_they_have_in_common_are_on_record(
    tiny: Any, pooled: RunDirectory
) -> None:
    record = json.loads(pooled.run_json.read_text())
    first = record["pools"][0]
    assert (first["pools"], first["particles"]) == (2, 72)
    assert first["classes"] <= first["classes_before"]
    assert {row["images"] for row in record["generations"] if row["generation"] == 1} >= {36}
    headers = read_eman_headers(pooled.class_averages)
    assert len(headers) == record["classes"] > 0
    assert (
        sum(header["n_pools"] > 1 for header in headers) == record["pools"][-1]["of_several_pools"]
    )
    for header in headers:
        labels = tiny.label[np.atleast_1d(header["members"])]
        assert np.bincount(labels, minlength=2).max() >= 0.8 * len(labels)


@pytest.mark.parametrize("message", ["main 1, generation 1, round 1", "pool 1 of 2:", "classes of"])
def test_it_goes_on_from_anywhere(
    message: str, tiny: Any, settings: Settings, pooled: RunDirectory, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_isac(tiny.path, tmp_path / "run", settings, StopAt(message))
    again = run_isac(tiny.path, tmp_path / "run", settings, SilentDisplay())
    assert files_of(again) == files_of(pooled)


def test_what_it_has_found_is_shown_and_told_while_it_goes_on(
    tiny: Any, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_isac(tiny.path, tmp_path / "run", settings, StopAt("pool 2 of 2, splitting 1"))
    directory = RunDirectory(tmp_path / "run")
    found = load_pools(directory.pools_state).found
    members = np.concatenate([group.members for group in found])
    data = load_report(directory.path)
    assert len(data.classes.sizes) == len(found) > 0
    assert data.members is not None
    np.testing.assert_array_equal(data.members.ids, members)
    particles = open_choosable(directory.path).particles(None)
    number = particles.metadata.class_number
    np.testing.assert_array_equal(np.flatnonzero(number), np.sort(members))

    with pytest.raises(KeyboardInterrupt):
        run_isac(tiny.path, directory.path, settings, StopAt("new classes"))
    told = [line for line in directory.log.read_text().splitlines() if "new classes" in line]
    accounted, total = (int(told[-1].split(words)[0].split()[-1]) for words in (" of ", " in all"))
    assert total == len(members) + accounted


def test_damaged_pools_are_sorted_anew(
    tiny: Any, settings: Settings, pooled: RunDirectory, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_isac(tiny.path, tmp_path / "run", settings, StopAt("pool 2 of 2, splitting 1"))
    saved = RunDirectory(tmp_path / "run").pools_state
    saved.write_bytes(saved.read_bytes()[:-200])
    again = run_isac(tiny.path, tmp_path / "run", settings, SilentDisplay())
    assert "pools.npz is damaged: the pools are sorted anew" in again.log.read_text()
    assert files_of(again) == files_of(pooled)


def test_an_assignment_keeps_its_classes(pooled: RunDirectory, tiny: Any, tmp_path: Path) -> None:
    known = read_run(pooled.path)
    images = open_stack(tiny.path).read()
    more = images[::6] + 0.1 * np.random.default_rng(1).standard_normal(images[::6].shape)
    write_mrcs(tmp_path / "more.mrcs", more.astype(np.float32), 2.0)
    done = assign_particles(
        tmp_path / "more.mrcs", pooled.path, tmp_path / "grown", display=SilentDisplay()
    )
    grown = read_run(done.directory.path)
    assert done.new == 12
    assert len(grown) == len(known)
    for before, after in zip(known.members, grown.members, strict=True):
        assert len(np.intersect1d(before, after)) >= 0.5 * len(before)


def test_pools_too_small_and_going_back_are_refused() -> None:
    with pytest.raises(InputError, match="--pool_size=399 is less than two groups"):
        Settings(radius=30, pool_size=399)
    with pytest.raises(InputError, match="--restart=1 cannot go back in a run with --pool_size"):
        Settings(radius=30, pool_size=4000, restart=1)
