"""The same particles in RELION's old and new table give the same run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from isac2.run.displays import SilentDisplay
from isac2.run.runner import run_isac
from isac2.stacks import open_stack, read_star

COUNT = 72  # particles in the stack of the fixture

ROWS = "".join(
    f"{row + 1}@particles.mrcs 300 2.7 0.1 5.0 25000 {10000 + row} {9500 + row} 45 {row}\n"
    for row in range(COUNT)
)
STAR_30 = f"""
data_

loop_
_rlnImageName #1
_rlnVoltage #2
_rlnSphericalAberration #3
_rlnAmplitudeContrast #4
_rlnDetectorPixelSize #5
_rlnMagnification #6
_rlnDefocusU #7
_rlnDefocusV #8
_rlnDefocusAngle #9
_labOwnColumn #10
{ROWS}
"""
ROWS_31 = "".join(
    f"{row + 1}@particles.mrcs 1 {10000 + row} {9500 + row} 45 {row}\n" for row in range(COUNT)
)
STAR_31 = f"""
# version 30001

data_optics

loop_
_rlnOpticsGroup #1
_rlnVoltage #2
_rlnSphericalAberration #3
_rlnAmplitudeContrast #4
_rlnImagePixelSize #5
_rlnImageSize #6
1 300 2.7 0.1 2.0 32

data_particles

loop_
_rlnImageName #1
_rlnOpticsGroup #2
_rlnDefocusU #3
_rlnDefocusV #4
_rlnDefocusAngle #5
_labOwnColumn #6
{ROWS_31}
"""


def test_a_star_of_relion_3_0_runs_like_one_of_3_1(tiny: Any, tmp_path: Path) -> None:
    settings = replace(tiny.settings, phase_flip=True, maximum_rounds=1, skip_ordering=True)
    (tmp_path / "particles.mrcs").write_bytes(tiny.path.read_bytes())
    runs = []
    for name, text in (("old", STAR_30), ("new", STAR_31)):
        (tmp_path / f"{name}.star").write_text(text)
        runs.append(run_isac(tmp_path / f"{name}.star", tmp_path / name, settings, SilentDisplay()))
    old, new = runs
    assert len(open_stack(old.class_averages)) > 0
    for name in ("class_averages_mrcs", "class_averages", "all_parameters", "processed_images"):
        assert getattr(old, name).read_bytes() == getattr(new, name).read_bytes()
    written, expected = (open_stack(run.particles_star) for run in runs)
    np.testing.assert_array_equal(written.metadata.class_number, expected.metadata.class_number)
    assert set(written.metadata.pixel_size_in_angstroms) == {2.0}
    assert written.metadata.has_ctf
    own = read_star(old.particles_star)["particles"].numbers("labOwnColumn")
    np.testing.assert_array_equal(own, np.arange(COUNT))
