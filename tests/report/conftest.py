from __future__ import annotations

import math

import numpy as np
import pytest

from isac2.poses import make_poses
from isac2.report.data import (
    ChainTable,
    ClassTable,
    MemberSample,
    MemberTable,
    Parameter,
    PhaseRow,
    ReportData,
    RingCorrelationTable,
)
from isac2.run.record import GenerationRecord


@pytest.fixture
def report() -> ReportData:
    """Three classes of 4, 3 and 2 of 20 particles, with everything that a page can show."""
    rng = np.random.default_rng(7)
    classes = ClassTable(
        averages=rng.normal(size=(3, 16, 16)).astype(np.float32),
        sizes=np.array([4, 3, 2]),
        tested=np.array([5, 5, 0]),
        resolution_in_angstroms=np.array([8.0, 9.5, math.nan]),
        rms_pixel_error=np.array([0.2, 0.4, math.nan]),
        mirror_consistency=np.array([0.9, 1.0, math.nan]),
        main_iteration=np.array([1, 1, 2]),
        generation=np.array([1, 2, 1]),
    )
    members = MemberTable(
        ids=np.array([3, 5, 7, 9, 0, 1, 2, 18, 19]),
        poses=make_poses(
            [0.0, 90.0, -90.0, 359.9, 10, 20, 30, 40, 50], 1.25, -2.5, [0, 1, 0, 1, 0, 1, 0, 1, 0]
        ),
        pixel_errors=np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, math.nan, 0.9]),
    )
    return ReportData(
        title="run <one>",
        stack="particles & more.star",
        facts=(("seed", "1"),),
        particle_count=20,
        pixel_size_in_angstroms=2.5,
        radius=6.0,
        classes=classes,
        generations=(
            GenerationRecord(1, 1, 20, 4, 1, 4, 7, 0.8, 12.0),
            GenerationRecord(1, 2, 16, 3, 1, 3, 3, math.nan, 5.0),
            GenerationRecord(2, 1, 13, 2, 1, 2, 0, 0.6, math.nan),
        ),
        phases=(PhaseRow("clustering", 75.0, 3 * 2**20), PhaseRow("report", 0.5)),
        parameters=(
            Parameter("--radius", "42", "input px", "Radius.", is_default=False),
            Parameter("--xr", "1", "px", "Range of <x>."),
        ),
        warnings=("Images 3 & 4 are <constant>.",),
        members=members,
        chain=ChainTable(np.array([2, 0, 1]), np.array([0.0, 90.0, -45.0]), np.array([0, 1, 0])),
        ring_correlation=RingCorrelationTable(
            np.arange(9) / 16, np.tile(np.linspace(1, -1, 9), (3, 1))
        ),
        sample=MemberSample(rng.normal(size=(3, 12, 12)).astype(np.float32), np.array([0, 4, 7])),
        initial_average=rng.normal(size=(18, 18)).astype(np.float32),
    )


@pytest.fixture
def empty_report() -> ReportData:
    """A run of ten images that found no class, and of which nothing else is known."""
    whole, real = np.empty(0, np.int64), np.empty(0)
    averages = np.empty((0, 1, 1), np.float32)
    classes = ClassTable(averages, whole, whole, real, real, real, whole, whole)
    return ReportData("empty", "", (), 10, math.nan, math.nan, classes)
