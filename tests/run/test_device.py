"""Runs on another device: the same particles in the same classes, and it goes on anywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac2.errors import InputError
from isac2.run.communication import OneRank
from isac2.run.directory import RunDirectory
from isac2.run.displays import SilentDisplay
from isac2.run.parallel import device_for
from isac2.run.runner import run_isac
from isac2.run.text_tables import read_ids


class SecondOfThree(OneRank):
    """A rank on a machine with the one before it."""

    count, rank = 3, 1

    def all(self, function: Any) -> list[Any]:
        return ["a", "a", "b"]


def test_the_ranks_of_a_machine_take_its_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isac2.run.parallel.find_device", lambda asked: asked)
    monkeypatch.setattr("isac2.run.parallel.count_gpus", lambda: 4)
    assert device_for("cuda", SecondOfThree()) == "cuda:1"
    assert device_for("cuda:3", SecondOfThree()) == "cuda:3"
    assert device_for("cpu", SecondOfThree()) == "cpu"
    assert device_for("cuda", OneRank()) == "cuda"  # all of them


def test_a_device_that_is_not_there_leaves_nothing_behind(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--device=cuda:99"):
        run_isac(tiny.path, tmp_path / "run", replace(tiny.settings, device="cuda:99"))
    assert not (tmp_path / "run").exists()


def test_a_run_on_torch_finds_the_same_classes(
    tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    pytest.importorskip(
        "torch", reason="torch is not installed (pip install 'isac2[gpu]'): no run is made on it"
    )
    settings = replace(tiny.settings, device="torch:cpu")
    done = run_isac(tiny.path, tmp_path / "run", settings, SilentDisplay())
    assert json.loads(done.run_json.read_text())["options"]["device"] == "torch:cpu"
    assert "2 threads and torch:cpu" in done.log.read_text()
    expected, found = (read_ids(folder.processed_images) for folder in (finished, done))
    assert len(np.setxor1d(expected, found)) <= 0.1 * len(tiny.label)
    # finished there, it is finished here
    again = run_isac(tiny.path, tmp_path / "run", tiny.settings, SilentDisplay())
    assert again.path == done.path
