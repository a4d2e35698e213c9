"""Results as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isac2
from isac2.errors import InputError
from isac2.images.transform import apply_poses
from isac2.run.options import option_default, option_table
from isac2.stacks import open_stack


@pytest.fixture(scope="session")
def result(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> isac2.RunResult:
    """The tiny run, through the Python API."""
    words = {
        name: value
        for name in option_table()
        if (value := getattr(tiny.settings, name)) != option_default(name)
    }
    return isac2.classify(tiny.path, tmp_path_factory.mktemp("api") / "run", **words)


def test_classes_and_particles_agree(result: isac2.RunResult) -> None:
    assert result.averages.shape == (len(result), 24, 24)
    assert len(result) >= 2
    for number, members in enumerate(result.members):
        assert (result.class_of_particle[members] == number).all()
    inside = result.class_of_particle >= 0
    assert inside.sum() == sum(len(members) for members in result.members)
    assert np.array_equal(np.isfinite(result.pixel_errors), inside)
    assert np.array_equal(np.isfinite(result.similarities), inside)
    assert result.pixel_size_in_angstroms == pytest.approx(2.0 * 10 / 8)
    assert len(result.rms_pixel_errors) == len(result.mirror_consistency) == len(result)
    assert (result.resolutions_in_angstroms >= 5.0).all()


def test_poses_bring_the_images_of_a_class_together(tiny: Any, result: isac2.RunResult) -> None:
    images = open_stack(tiny.path).read()
    moved = apply_poses(images, result.poses)
    for members in result.members:
        together = moved[members].mean(axis=0).std()
        apart = images[members].mean(axis=0).std()
        assert together > 1.5 * apart


def test_a_temporary_run_leaves_nothing(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = isac2.classify(
        tiny.path,
        radius=10,
        images_per_group=36,
        minimum_group_size=35,
        target_radius=8,
        target_box_size=24,
        maximum_rounds=1,
        alignment_rounds=1,
        pixel_error_threshold=0.001,
        seed=5,
    )
    # nothing can be that stable, so there are no classes
    assert (len(found), found.averages.shape, found.members) == (0, (0, 24, 24), ())
    assert (found.class_of_particle == -1).all()
    assert found.directory is None
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""


def test_what_is_no_finished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished run"):
        isac2.read_run(tmp_path / "no")


def test_a_historical_name_is_answered_with_the_new_one(tiny: Any) -> None:
    with pytest.raises(InputError, match="'images_per_group'"):
        isac2.classify(tiny.path, radius=10, img_per_grp=20)


def test_the_package_has_no_other_names() -> None:
    assert {"classify", "read_run", "RunResult", "__version__"} <= set(dir(isac2))
    with pytest.raises(AttributeError, match="clasify"):
        isac2.clasify  # noqa: B018
