"""`--device` after a run: the same words and errors as `isac2 run`, and the same results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac2.cli.main import main
from isac2.run.results import read_run
from isac2.stacks import open_stack

NO_TORCH = "torch is not installed (pip install 'isac2[gpu]'): nothing is computed on it"
METAVAR = "--device auto|cpu|cuda|cuda:N"


def words_of(verb: str, world: Any, out: Path) -> list[str]:
    """The verb on the small world, without the device."""
    if verb == "order":
        return [verb, str(world.run), str(out.with_suffix(".mrcs"))]
    if verb == "beautify":
        return [verb, str(world.run), str(out), "--local_alignment", "--maxit=1", "--fl=0.2"]
    if verb == "assign":
        words = [verb, str(world.new_star), str(out), "--to", str(world.run)]
        return [*words, "--new-classes=never"]
    return [verb, str(world.run), str(out)]


@pytest.mark.parametrize("verb", ["assign", "beautify", "order", "rerun", "run"])
def test_the_help_has_the_words(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{METAVAR} What computes alignments and images: the processor, all GPUs" in shown


@pytest.mark.parametrize("verb", ["assign", "beautify", "order", "rerun"])
@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("gpu", "--device=gpu is unknown: give auto, cpu, cuda or cuda:N."),
        ("cuda:99", "--device=cuda:99"),
    ],
)
def test_a_device_that_is_not_there_leaves_nothing_behind(
    verb: str,
    device: str,
    said: str,
    world: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*words_of(verb, world, tmp_path / "out"), f"--device={device}"]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["beautify", "order"])
def test_averages_are_the_same_on_torch(verb: str, world: Any, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    found = []
    for device in ("cpu", "torch:cpu"):
        out = tmp_path / device.replace(":", "_")
        assert main([*words_of(verb, world, out), f"--device={device}"]) == 0
        file = out / "class_averages.mrcs" if verb == "beautify" else out.with_suffix(".mrcs")
        found.append(open_stack(file).read())
    assert np.abs(found[1] - found[0]).max() < 1e-3 * np.abs(found[0]).max()


def test_new_particles_go_to_the_same_classes_on_torch(world: Any, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    found = []
    for device in ("cpu", "torch:cpu"):
        out = tmp_path / device.replace(":", "_")
        assert main([*words_of("assign", world, out), f"--device={device}"]) == 0
        found.append(read_run(out).class_of_particle)
    assert (found[0] != found[1]).mean() < 0.05
