"""Classes as rows of the input, and the poses of the input images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isac2.classes.quality import ClassQuality
from isac2.clustering.state import StableGroup
from isac2.poses import identity_poses, make_poses, transform_points
from isac2.run.run_classes import Membership, RunFacts, measure_classes, membership
from isac2.run.text_tables import read_table
from isac2.stacks import read_eman_headers
from isac2.workers import SerialWorkers


def _facts(count: int, shrink_ratio: float = 0.5) -> RunFacts:
    return RunFacts(count, shrink_ratio, 20, 10, np.full(count, 2.0), np.zeros((count, 2)))


def _group(members: list[int], alpha: float = 0.0) -> StableGroup:
    size = len(members)
    return StableGroup(
        members=np.array(members),
        poses=make_poses(np.full(size, alpha), 1.0, 2.0, np.arange(size) % 2),
        pixel_errors=np.linspace(0.1, 0.2, size),
        average=np.zeros((8, 8), np.float32),
        rms_pixel_error=0.15,
        mirror_consistency=1.0,
        tested=size,
    )


def test_every_image_has_a_row() -> None:
    groups = [_group([1, 4], 10.0), _group([2], 20.0)]
    similarity = [np.array([0.5, 0.6], np.float32), np.array([0.7], np.float32)]
    qualities = [ClassQuality(0.2, np.zeros(5), values) for values in similarity]
    found = membership(6, groups, qualities)
    assert found.class_index.tolist() == [-1, 0, 1, -1, 0, -1]
    assert found.accounted.tolist() == [1, 2, 4]
    assert found.unaccounted.tolist() == [0, 3, 5]
    assert found.poses["alpha"].tolist() == [0, 10, 20, 0, 10, 0]
    assert found.poses["mirror"].tolist() == [0, 0, 0, 0, 1, 0]
    assert found.similarity[[1, 2, 4]] == pytest.approx([0.5, 0.7, 0.6])
    assert np.isnan(found.pixel_error[[0, 3, 5]]).all()


def test_input_poses_shift_first_and_scale_the_rest_back() -> None:
    facts = RunFacts(1, 0.5, 20, 10, np.ones(1), np.array([[3.0, -1.0]]))
    poses = make_poses([90.0], [1.0], [0.0], [1])
    found = Membership(np.zeros(1, int), poses, np.zeros(1), np.zeros(1)).input_poses(facts)
    # (x, y) goes to (x + 3, y - 1), is turned by 90 to (y - 1, -(x + 3)), shifted by (2, 0) input
    # pixels, and its x is negated
    assert transform_points(found, np.zeros((1, 2)))[0] == pytest.approx([-1.0, -3.0])
    assert transform_points(found, np.array([[5.0, 7.0]]))[0] == pytest.approx([-8.0, -8.0])


def test_working_pixels_are_larger_than_input_pixels() -> None:
    assert _facts(3, 0.5).working_pixel_size_in_angstroms == 4.0


def test_quality_is_measured_on_the_members() -> None:
    images = np.random.default_rng(1).standard_normal((6, 8, 8)).astype(np.float32)
    group = StableGroup(
        np.array([2, 5]), identity_poses(2), np.zeros(2), images[2], 0.0, 1.0, tested=2
    )
    (quality,) = measure_classes(images, [group], 3, SerialWorkers())
    assert quality.similarity[0] == pytest.approx(1.0, abs=1e-6)
    assert abs(quality.similarity[1]) < 0.9


def test_sphires_own_run_has_this_relation(shared: Path) -> None:
    """The poses of a SPHIRE run, read this way, put the particles of a class in one place.

    Only the shift of the pre-alignment followed by the class's pose scaled back does: the truth
    says where in its image each particle is.
    """
    run = shared / "golden" / "sphire_run"
    truth = np.load(shared / "data" / "views_simulated" / "truth.npz")
    table = read_table(run / "all_parameters.txt")
    shifts = read_table(run / "2dalignment" / "initial2Dparams.txt")[:, 1:3]
    classes = np.full(len(table), -1)
    for number, header in enumerate(read_eman_headers(run / "class_averages.hdf")):
        classes[header["members"]] = number
    members = Membership(
        classes,
        make_poses(table[:, 0], table[:, 1], table[:, 2], np.maximum(table[:, 3], 0)),
        np.zeros(len(table)),
        np.zeros(len(table)),
    )
    assert np.array_equal(classes < 0, table[:, 3] == -1)

    def spread(facts: RunFacts) -> float:
        """Median distance, input px, of good particles from the middle of those of their class."""
        places = transform_points(members.input_poses(facts), truth["shift"].astype(float))
        good = [np.flatnonzero((classes == k) & (truth["junk"] == 0)) for k in range(17)]
        off = [np.abs(places[rows] - np.median(places[rows], axis=0)) for rows in good]
        return float(np.median(np.concatenate(off)))

    facts = RunFacts(len(table), 29 / 34, 34, 29, np.full(len(table), 2.4), shifts)
    without = RunFacts(len(table), 29 / 34, 34, 29, np.full(len(table), 2.4), 0 * shifts)
    backwards = RunFacts(len(table), 29 / 34, 34, 29, np.full(len(table), 2.4), -shifts)
    assert spread(facts) < 0.15
    assert min(spread(without), spread(backwards)) > 1.0
