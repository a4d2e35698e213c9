"""What is said of final classes: true ones, one with strangers in it, and random groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isac2.clustering.confidence import (
    RandomGroups,
    judge_classes,
    most_frequent_rate,
    test_random_groups,
)
from isac2.workers import SerialWorkers


def test_true_classes_are_stable_again_and_strangers_prefer_their_own(
    known: Any, parameters: Any
) -> None:
    strangers = known.rows_of(1)[:3]
    rows = [np.concatenate([known.rows_of(0), strangers]), known.rows_of(1)[3:], known.rows_of(2)]
    classes = tuple(known.group(members, parameters) for members in rows)
    found = judge_classes(known.images, classes, parameters, 1, SerialWorkers())
    strange = np.isin(classes[0].members, strangers)
    assert (found[0].margin[strange] < 0).all()
    np.testing.assert_array_equal(found[0].second_class[strange], 1)
    for one in found:
        own = np.ones(len(one.margin), bool) if one is not found[0] else ~strange
        assert np.median(one.margin[own]) > 3
        assert one.stable_share > 0.7
        assert (one.mirror_agreement >= 0.5).all()
    assert found[1].mirror_agreement.mean() > 0.95


def test_the_only_class_has_no_second_best(known: Any, parameters: Any) -> None:
    one = (known.group(known.rows_of(0), parameters),)
    found = judge_classes(known.images, one, parameters, 1, SerialWorkers())[0]
    assert np.isinf(found.margin).all()
    assert (found.second_class == -1).all()
    assert judge_classes(known.images, (), parameters, 1, SerialWorkers()) == []


def test_little_of_noise_is_stable_and_a_true_class_is_no_chance(
    known: Any, parameters: Any
) -> None:
    noise = known.rows_of(-1)
    random = test_random_groups(known.images, noise, 4, parameters, 1, SerialWorkers())
    assert random.size == 25
    assert random.stable.mean() < 8
    assert random.chance(24, 25) < 1e-3
    again = test_random_groups(known.images, noise, 4, parameters, 1, SerialWorkers())
    np.testing.assert_array_equal(random.stable, again.stable)


def test_groups_alike_are_binomial_and_groups_that_differ_make_more_chance() -> None:
    alike = RandomGroups(10, np.array([5, 5, 5, 5]))
    assert alike.chance(10, 10) == pytest.approx(0.5**10, rel=1e-6)
    differing = RandomGroups(10, np.array([0, 10, 0, 10]))
    assert differing.chance(10, 10) > 0.3
    assert alike.passing(4) == (4, 1.0)
    count, most = alike.passing(5)
    assert count == 0
    assert most == pytest.approx(1 - 0.05**0.25)


def test_a_rate_that_was_never_seen_has_a_limit() -> None:
    assert most_frequent_rate(0, 1) == pytest.approx(0.95)
    assert most_frequent_rate(0, 100) < most_frequent_rate(3, 100) < 0.08
