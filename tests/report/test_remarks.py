from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isac2.report.data import ReportData
from isac2.report.remarks import remarks


@pytest.fixture
def quiet(report: ReportData) -> ReportData:
    """A report with nothing to remark on."""
    y, x = np.mgrid[-8:8, -8:8]
    blob = np.exp(-(x**2 + y**2) / 6).astype(np.float32)
    classes = replace(report.classes, averages=np.stack([blob] * 3))
    return replace(report, classes=classes, initial_average=blob, particle_count=10, warnings=())


def test_a_good_run_gives_no_cause(quiet: ReportData) -> None:
    assert remarks(quiet).warnings == ()


def test_averages_off_the_centre_are_named(quiet: ReportData) -> None:
    averages = quiet.classes.averages.copy()
    averages[1:] = np.roll(averages[1:], 4, axis=2)
    classes = replace(quiet.classes, averages=averages)
    found = remarks(replace(quiet, classes=classes)).warnings
    assert found == ("The bright part is off the centre in classes 2, 3.",)


def test_a_prealignment_off_the_centre_is_told_with_its_distance(quiet: ReportData) -> None:
    moved = np.roll(quiet.classes.averages[0], -3, axis=0)
    (found,) = remarks(replace(quiet, initial_average=moved)).warnings
    assert "pre-alignment is 3.0 px off the centre" in found


def test_a_radius_too_small_shows_at_the_edge(quiet: ReportData) -> None:
    y, x = np.mgrid[-8:8, -8:8]
    ring = np.exp(-((np.hypot(x, y) - 6) ** 2)).astype(np.float32)
    classes = replace(quiet.classes, averages=np.stack([ring] * 3))
    (found,) = remarks(replace(quiet, classes=classes)).warnings
    assert "radius may be too small" in found


def test_generations_that_found_nothing_need_not_settle(quiet: ReportData) -> None:
    unsettled = [replace(row, agreement=0.1) for row in quiet.generations]
    (found,) = remarks(replace(quiet, generations=tuple(unsettled))).warnings
    assert "when generation 1.1, 1.2, 2.1 ended" in found
    idle = tuple(replace(row, classes=0) for row in unsettled)
    assert remarks(replace(quiet, generations=idle)).warnings == ()


def test_a_class_alone_is_told(quiet: ReportData) -> None:
    classes = replace(
        quiet.classes, sizes=quiet.classes.sizes[:1], averages=quiet.classes.averages[:1]
    )
    few, alone = remarks(replace(quiet, classes=classes, particle_count=99)).warnings
    assert "More than half" in few
    assert "one class only" in alone


def test_more_than_half_left_over_is_told(quiet: ReportData) -> None:
    (found,) = remarks(replace(quiet, particle_count=19)).warnings
    assert found == "More than half of the particles are in no class (10 of 19)."
