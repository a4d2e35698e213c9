"""How far a run is, at each of its steps."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from isac2.cli.main import main
from isac2.cli.run import command
from isac2.errors import InputError
from isac2.run.choices import choose_settings
from isac2.run.displays import SilentDisplay
from isac2.run.lock import LockOwner
from isac2.run.runner import run_isac
from isac2.run.status import RunStatus, read_status, status_text


class Watcher(SilentDisplay):
    """A display that asks for the status whenever something is said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: list[RunStatus] = []

    def say(self, message: str) -> None:
        self.seen.append(read_status(self.folder))


class Stop(SilentDisplay):
    """A display that stops the run when some words are said."""

    def __init__(self, words: str) -> None:
        self.words = words

    def say(self, message: str) -> None:
        if self.words in message:
            raise KeyboardInterrupt


def test_the_status_of_a_run_that_goes_on(tiny: Any, tmp_path: Path) -> None:
    watcher = Watcher(tmp_path / "run")
    directory = run_isac(tiny.path, tmp_path / "run", tiny.settings, watcher)
    phases = list(dict.fromkeys(status.phase for status in watcher.seen))
    # nothing is said between some of the last steps
    assert phases[:4] == ["power spectra", "pre-alignment", "preparation", "clustering"]
    assert phases[-1] == ""
    assert all(status.owner is not None for status in watcher.seen)
    places = [(s.main_iteration, s.generation, s.rounds) for s in watcher.seen if s.main_iteration]
    assert places == sorted(places)
    assert {(1, 1, 1), (1, 2, 0)} & set(places)
    shown = status_text(watcher.seen[0])
    assert "is going on, for" in shown
    assert "Go on:" not in shown

    end = read_status(directory.path)
    record = json.loads(directory.run_json.read_text())
    assert (end.owner, end.phase) == (None, "")
    assert (end.classes, end.accounted) == (record["classes"], record["accounted"])
    assert "is finished since" in status_text(end)
    assert f"{end.accounted} of 72 accounted for, in {end.classes} classes" in status_text(end)


def test_the_status_of_a_run_in_pools_counts_the_classes_of_all(tiny: Any, tmp_path: Path) -> None:
    watcher = Watcher(tmp_path / "run")
    settings = replace(tiny.settings, images_per_group=12, pool_size=36)
    run_isac(tiny.path, tmp_path / "run", settings, watcher)
    pools = [s for s in watcher.seen if s.pools]
    assert list(dict.fromkeys(s.pools for s in pools))[:3] == [
        "pool 1 of 2 (splitting 1)",
        "pool 2 of 2 (splitting 1)",
        "all 2 are sorted, and brought together (splitting 1)",
    ]
    assert {s.phase for s in pools} == {"clustering"}
    first, second, together = (
        [s for s in pools if s.pools.startswith(words)] for words in ("pool 1", "pool 2", "all 2")
    )
    assert first[-1].classes > 0
    assert {s.classes for s in second[:1]} == {first[-1].classes}
    assert second[-1].classes > first[-1].classes
    assert second[-1].accounted > first[-1].accounted
    assert (together[0].classes, together[0].main_iteration) == (second[-1].classes, 0)
    assert f"Pools:     {second[0].pools}\n" in status_text(second[0])
    assert "Place:" not in status_text(together[0])
    assert watcher.seen[-1].pools == ""


@pytest.mark.parametrize(
    ("changed", "stopped_after", "phase"),
    [
        ({}, "clustering", "confidence"),
        ({}, "results", "confidence"),  # all at the end is done again
        ({"skip_confidence": True}, "clustering", "results"),
    ],
)
def test_the_phase_after_the_clustering_is_the_next_that_will_be_done(
    changed: dict[str, bool], stopped_after: str, phase: str, tiny: Any, tmp_path: Path
) -> None:
    settings = replace(tiny.settings, **changed)
    with pytest.raises(KeyboardInterrupt):
        run_isac(tiny.path, tmp_path / "run", settings, Stop(f"{stopped_after}: "))
    assert read_status(tmp_path / "run").phase == phase


def test_a_run_that_has_stopped_says_how_it_goes_on(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a run"
    with pytest.raises(KeyboardInterrupt):
        run_isac(tiny.path, folder, tiny.settings, Stop("generation 1: "))
    (folder / "lock").write_text(json.dumps(asdict(_owner(host="gone-for-long"))))
    _make_old(folder / "lock")
    assert main(["status", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "has stopped." in shown
    assert "Place:     main iteration 1, generation 1, rounds finished: " in shown
    line = next(line for line in shown.splitlines() if line.startswith("Go on:"))
    program, verb, *words = shlex.split(line.removeprefix("Go on:"))
    assert (program, verb) == ("isac2", "run")
    given = command.make_context("run", words).params
    assert (given.pop("stack"), given.pop("outdir")) == (str(tiny.path), str(folder))
    assert choose_settings(tiny.path, given, folder)[0] == tiny.settings


def test_another_machine_that_gives_signs_of_life_works_on_it(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_isac(tiny.path, tmp_path / "run", tiny.settings, Stop("pre-alignment: "))
    (tmp_path / "run" / "lock").write_text(json.dumps(asdict(_owner(host="elsewhere"))))
    status = read_status(tmp_path / "run")
    assert status.phase == "preparation"
    assert "process 77 on elsewhere" in status_text(status)


def test_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no run in"):
        read_status(tmp_path)


def _owner(host: str) -> LockOwner:
    return LockOwner(host, 77, "2020-01-01T00:00:00+00:00", "f00d")


def _make_old(path: Path) -> None:
    os.utime(path, (1e9, 1e9))
