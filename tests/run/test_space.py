"""The room a run needs: enough for what it leaves, and said before anything is written."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from isac2.errors import InputError
from isac2.run.directory import RunDirectory
from isac2.run.displays import SilentDisplay
from isac2.run.options import Settings
from isac2.run.runner import run_isac
from isac2.run.space import check_space, needed_bytes

SETTINGS = Settings(radius=58, target_radius=29, images_per_group=100)


def test_the_larger_of_the_two_sets_of_images_counts(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    # working images of 76 px are larger than a box of 200 px at 14 / 58, and smaller than of 400
    small, large = (needed_bytes(1000, box, SETTINGS, directory) for box in (200, 400))
    centred = needed_bytes(1000, 400, replace(SETTINGS, skip_prealignment=True), directory)
    assert centred == small
    side = 400 * 14 / 58
    assert large - small == pytest.approx(1000 * 4 * (side**2 - 76**2), rel=0.1)
    assert small > 1000 * 4 * 76**2


def test_a_run_that_goes_on_needs_what_is_missing(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.state.mkdir()
    directory.run_json.touch()
    directory.prealignment_state.touch()
    assert needed_bytes(1000, 400, SETTINGS, directory) == 1000 * 4 * 76**2
    directory.working_images.touch()
    assert needed_bytes(1000, 400, SETTINGS, directory) == 0


def test_a_run_takes_no_more_than_was_said(tiny: Any, finished: RunDirectory) -> None:
    taken = sum(p.stat().st_size for p in finished.path.rglob("*") if p.is_file())
    nothing = RunDirectory(finished.path / "nothing")
    assert 0 < taken < needed_bytes(72, 32, tiny.settings, nothing)
    assert check_space(72, 32, tiny.settings, RunDirectory(finished.path)).startswith("needs up to")
    assert "needs up to" in finished.log.read_text()


def test_a_disk_without_room_is_refused_and_nothing_is_left(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match=r"needs up to \d+ MiB in .*, where 1 MiB are free: make"):
        run_isac(tiny.path, tmp_path / "run", tiny.settings, SilentDisplay())
    assert list(tmp_path.iterdir()) == []
