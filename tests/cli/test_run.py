"""`isac2 run` and `sp_isac2.py`: the same options from the one table."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest

from isac2.cli.main import main
from isac2.cli.run import command
from isac2.cli.sphire import sp_isac2
from isac2.run import runner
from isac2.run.communication import Ranks
from isac2.run.directory import RunDirectory
from isac2.run.options import Settings, option_table


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Settings]]:
    """What the command line would have started."""
    seen: list[tuple[str, str, Settings]] = []

    def run_isac(
        stack: str, outdir: str, settings: Settings, ranks: Ranks, choices: object
    ) -> RunDirectory:
        seen.append((stack, outdir, settings))
        return RunDirectory(Path(outdir))

    monkeypatch.setattr(runner, "run_isac", run_isac)
    return seen


def test_the_two_spellings_and_the_two_programs_are_the_same(
    calls: list[tuple[str, str, Settings]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["run", "a.star", "out", "--radius=120", "--CTF", "--yr=-1"]) == 0
    assert main(["run", "--radius", "120", "a.star", "--yr", "-1", "--CTF", "out"]) == 0
    monkeypatch.setattr(sys, "argv", ["sp_isac2.py", "a.star", "out", "--radius=120", "--CTF"])
    assert sp_isac2() == 0
    assert calls == [("a.star", "out", Settings(radius=120, phase_flip=True))] * 3


def test_the_end_says_where_everything_is(
    calls: list[tuple[str, str, Settings]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "a.star", str(tmp_path), "--radius=120"]) == 0
    assert "No class is reproducible" in capsys.readouterr().out
    (tmp_path / "class_averages.hdf").touch()
    assert main(["run", "a.star", str(tmp_path), "--radius=120"]) == 0
    shown = capsys.readouterr().out
    assert str(tmp_path / "class_averages.hdf") in shown
    assert str(tmp_path / "report.html") in shown


def test_every_option_reaches_its_setting(calls: list[tuple[str, str, Settings]]) -> None:
    changed = Settings(
        radius=50,
        images_per_group=90,
        phase_plate=True,
        filament_width=20,
        x_range=3,
        y_range=2,
        translation_step=0.5,
        pixel_error_threshold=0.9,
        target_radius=31,
        target_box_size=80,
        inner_radius=2,
        ring_step=3,
        alignment_rounds=31,
        centring_method=7,
        discrete_angle=45.0,
        lowest_frequency=0.1,
        highest_frequency=0.4,
        falloff=0.3,
        maximum_rounds=4,
        stability_interval=2,
        stability_alignments=6,
        stability_frequency=0.2,
        minimum_group_size=61,
        seed=17,
        pool_size=5000,
        skip_confidence=True,
        skip_prealignment=True,
        restart=-1,
        filament_mask_ignore=True,
        skip_ordering=True,
        noise_whitening="no",
        assignment="greedy",
        new_classes_needed=1,
        split_mirrors=True,
        threads=3,
        device="cuda:1",
        maximum_hours=11.5,
    )
    words = []
    unset = {"phase_flip"}  # excludes phase_plate
    for name, option in option_table().items():
        value = getattr(changed, name)
        if option.value_type is not bool:
            words.append(f"--{option.name}={value}")
        elif value:
            words.append(f"--{option.name}")
        else:
            assert name in unset
    assert main(["run", "a.star", "out", *words]) == 0
    assert calls[0][2] == changed


def test_the_help_shows_groups_units_and_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    main_options, advanced = shown.index("Main options:"), shown.index("Advanced options:")
    assert (
        main_options < shown.index("--radius INTEGER|AUTO") < advanced < shown.index("--thld_err")
    )
    assert "Examples:" in shown
    table = option_table()
    assert f"{table['radius'].help} [input px, default auto, auto: measured" in shown
    assert f"{table['discrete_angle'].help} [deg, default 90.0]" in shown
    assert "default -1: go on from the last saved point, 0: after the last finished one]" in shown


def test_the_command_has_the_arguments_of_old() -> None:
    arguments = [entry.name for entry in command.params if isinstance(entry, click.Argument)]
    assert arguments == ["stack", "outdir"]
