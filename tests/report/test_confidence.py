"""The page's part on confidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from isac2.report.confidence import confidence_section
from isac2.report.data import ClassBelief, ReportData
from isac2.report.remarks import remarks


def belief(count: int, **changed: Any) -> ClassBelief:
    ones = np.ones(count)
    values = {
        "stable_again": ones,
        "mirror_agreement": ones,
        "margin": 4 * ones,
        "second_class": np.ones(count, np.int64),
        "chance": 1e-9 * ones,
        "reproducibility": np.full(count, np.nan),
    }
    return ClassBelief(**{**values, **changed})


def test_the_least_believed_class_comes_first_and_is_remarked_upon(report: ReportData) -> None:
    count = len(report.classes.sizes)
    margin = np.full(count, 4.0)
    margin[1] = -2.5
    random = {"size": 50, "stable": [5, 0], "passed": 0, "highest_rate": 0.78}
    judged = replace(report, belief=belief(count, margin=margin), random_groups=random)
    shown = confidence_section(judged)
    assert shown.index('<th scope="row">2</th>') < shown.index('<th scope="row">1</th>')
    assert "-2.5" in shown
    assert "&lt; 1e-6" in shown
    assert "Of 2 groups of 50 particles" in shown
    assert "at most 78 %" in shown
    assert "more similar to another class, of class 2" in remarks(judged).warnings[-1]


def test_a_run_that_was_only_compared_claims_no_new_test(report: ReportData) -> None:
    count = len(report.classes.sizes)
    unknown = np.full(count, np.nan)
    none = {name: unknown for name in ("stable_again", "mirror_agreement", "margin", "chance")}
    found = belief(
        count, **none, second_class=np.zeros(count, int), reproducibility=np.full(count, 0.83)
    )
    shown = confidence_section(replace(report, belief=found, compared_with=("another",)))
    assert "nan" not in shown
    assert "tested once more" not in shown
    assert "in common with its match in another" in shown
    assert ">83 %<" in shown
    assert "tested once more" in confidence_section(replace(report, belief=belief(count)))


def test_a_run_that_was_not_judged_says_nothing(report: ReportData) -> None:
    assert confidence_section(report) == ""
