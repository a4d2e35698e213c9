"""Whether a run whitens: what it decides, does, says and keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft

from isac2.after.base import open_base_run
from isac2.errors import InputError
from isac2.images.background import Background, recolour
from isac2.images.filters import frequency_grid
from isac2.run.checkpoint import load_state
from isac2.run.directory import RunDirectory
from isac2.run.displays import SilentDisplay
from isac2.run.options import Settings
from isac2.run.record import read_record
from isac2.run.runner import run_isac
from isac2.run.text_tables import read_table
from isac2.run.whitening import decide, may_whiten
from isac2.stacks import open_stack, write_mrcs

COLOURED = np.array([8.0, 6.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("power", "skewness", "value", "why"),
    [
        (COLOURED, 0.05, "yes", "up to 8.0 times"),
        (COLOURED, -0.3, "no", "neighbouring particles"),
        (np.ones(9), 0.3, "no", "is white"),
    ],
)
def test_noise_is_whitened_where_it_is_coloured_and_noise(
    power: Any, skewness: float, value: str, why: str
) -> None:
    choice = decide(Background(power, skewness, 300), 1.0)
    assert (choice.option, choice.value) == ("noise_whitening", value)
    assert why in str(choice)
    assert str(choice).startswith(f"--noise_whitening={value}: ")


def test_filaments_and_phase_plates_are_left_alone() -> None:
    assert may_whiten(Settings(radius=20))
    assert not may_whiten(Settings(radius=20, noise_whitening="no"))
    assert not may_whiten(Settings(radius=20, phase_plate=True))
    assert not may_whiten(Settings(radius=20, filament_width=9))
    with pytest.raises(InputError, match=r"--noise_whitening=yes and --VPP"):
        Settings(radius=20, noise_whitening="yes", phase_plate=True)
    with pytest.raises(InputError, match=r"--noise_whitening=yes is for single particles"):
        Settings(radius=20, noise_whitening="yes", filament_width=9)
    with pytest.raises(InputError, match="auto, yes or no"):
        Settings(radius=20, noise_whitening="maybe")


def test_white_noise_leaves_a_run_as_it_is(
    tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    settings = replace(tiny.settings, noise_whitening="no")
    without = run_isac(tiny.path, tmp_path / "run", settings, SilentDisplay())
    assert not finished.spectrum_weights.exists()
    assert (
        "--noise_whitening=no: the noise around 72 particles is white" in finished.log.read_text()
    )
    assert "noise_whitening" not in without.log.read_text()
    for name in ("working_images.npy", "class_averages.mrcs", "all_parameters.txt"):
        assert (without.path / name).read_bytes() == (finished.path / name).read_bytes()


def test_coloured_noise_is_whitened_and_averages_are_written_as_they_were(
    tiny: Any, tmp_path: Path
) -> None:
    images = open_stack(tiny.path).read()
    noise = np.random.default_rng(4).standard_normal(images.shape)
    colour = np.sqrt(1 + 24 / (1 + (frequency_grid(32) / 0.05) ** 2))
    noise = scipy.fft.irfft2(scipy.fft.rfft2(noise) * colour, (32, 32))
    path = tmp_path / "particles.mrcs"
    write_mrcs(path, (images + 0.3 * noise).astype(np.float32), 2.0)
    directory = run_isac(path, tmp_path / "run", tiny.settings, SilentDisplay())
    row = next(r for r in read_record(directory.run_json).choices)
    assert (row["option"], row["value"]) == ("noise_whitening", "yes")
    weights = read_table(directory.spectrum_weights)[:, -1]
    assert weights[0] < 0.85
    assert weights.max() == 1.0
    kept = open_base_run(directory.path, None, {}).spectrum_weights
    assert kept is not None
    np.testing.assert_allclose(kept, weights, atol=1e-5)
    averages = np.stack([g.average for g in load_state(directory.clustering_state).accounted])
    written = open_stack(directory.class_averages_mrcs).read()
    np.testing.assert_allclose(written, recolour(averages, kept, 0.8), atol=1e-5)
    assert not np.allclose(written, averages, atol=0.01)
