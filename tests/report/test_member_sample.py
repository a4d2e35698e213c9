from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isac2.images.transform import apply_poses
from isac2.report import member_sample
from isac2.report.data import ReportData
from isac2.report.member_sample import sample_members


@pytest.fixture
def working_images(tmp_path: Path) -> Path:
    path = tmp_path / "working_images.npy"
    np.save(path, np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32))
    return path


def test_members_are_in_their_poses_and_cut_to_the_disc(
    report: ReportData, working_images: Path
) -> None:
    data = sample_members(replace(report, sample=None), working_images)
    assert data.sample is not None
    assert data.members is not None
    assert data.sample.member.tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 7]  # NaN comes last
    image = np.load(working_images)[data.members.ids[1]]
    moved = apply_poses(image[np.newaxis], data.members.poses[1:2])[0]
    assert data.sample.images.shape == (9, 16, 16)  # radius 6 and a margin of 2
    np.testing.assert_allclose(data.sample.images[1], moved[2:18, 2:18], atol=1e-6)


def test_many_classes_get_fewer_samples_each(
    report: ReportData, working_images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member_sample, "_MOST_PIXELS", 2 * 3 * 16**2)
    data = sample_members(replace(report, sample=None), working_images)
    assert data.sample is not None
    assert data.sample.member.tolist() == [0, 3, 4, 6, 8, 7]  # best and worst of each class
    monkeypatch.setattr(member_sample, "_MOST_PIXELS", 3 * 16**2 - 1)
    assert sample_members(replace(report, sample=None), working_images).sample is None


def test_without_working_images_there_is_no_sample(report: ReportData, tmp_path: Path) -> None:
    bare = replace(report, sample=None)
    assert sample_members(bare, tmp_path / "missing.npy").sample is None
    np.save(tmp_path / "few.npy", np.zeros((5, 20, 20), dtype=np.float32))
    assert sample_members(bare, tmp_path / "few.npy").sample is None
