import json

import numpy as np
import pytest

from isac2.classes.fidelity import (
    AverageFidelity,
    correlate_with_clean,
    score_average,
    summarise,
)
from isac2.images.filters import tanh_low_pass
from isac2.images.spectra import RingCorrelation


def _blob(box: int = 48) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(box, box)).astype(np.float32)


def test_what_lies_outside_the_disc_does_not_count() -> None:
    clean = _blob()
    average = clean.copy()
    average[:6] += 50.0
    curve = correlate_with_clean(average, clean, 12.0)
    np.testing.assert_allclose(curve.correlation[1:], 1.0, atol=1e-5)


def test_a_filtered_average_is_as_good_but_noise_is_not() -> None:
    clean = tanh_low_pass(_blob()[None], 0.3, 0.2)[0]
    softer = tanh_low_pass(clean[None], 0.25, 0.3)[0]
    curve = correlate_with_clean(softer, clean, 16.0)
    assert curve.correlation[2:10].min() > 0.99
    noisy = correlate_with_clean(_blob() + np.float32(0), clean[::-1].copy(), 16.0)
    assert abs(noisy.correlation[5:].mean()) < 0.2


def test_scores_of_a_curve_by_hand() -> None:
    curve = RingCorrelation(np.array([0, 0.1, 0.2]), np.array([1, 0.75, 0.25]), np.ones(3))
    score = score_average(4, 7, curve, 3.0)
    assert (score.identifier, score.size, score.mean_correlation) == (4, 7, 0.5)
    assert score.resolution_in_angstroms == pytest.approx(3.0 / 0.15)
    nothing = RingCorrelation(curve.frequency, np.array([1, 0.1, 0.0]), np.ones(3))
    assert score_average(4, 7, nothing, 3.0).resolution_in_angstroms == float("inf")


def test_a_summary_weighs_by_members_and_is_json() -> None:
    scores = [AverageFidelity(0, 1, 9.0, 0.9), AverageFidelity(1, 3, float("inf"), 0.1)]
    found = summarise(scores)
    assert found.mean_correlation == pytest.approx(0.3)
    assert found.resolution_in_angstroms == float("inf")
    values = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert values["resolution_in_angstroms"] is None
    assert values["averages"][0]["resolution_in_angstroms"] == 9.0
    assert summarise([]).as_dict()["mean_correlation"] is None
