"""The run that another one starts from, as far as the verbs' own tests do not show it."""

from __future__ import annotations

from pathlib import Path

import pytest

from isac2.after.base import open_base_run


@pytest.mark.parametrize(
    ("words", "expected"),
    [({}, 60), ({"images_per_group": 100}, 60), ({"images_per_group": 50}, 30)],
)
def test_the_least_class_of_a_run_of_sphire_is_its_own(
    shared: Path, words: dict[str, int], expected: int
) -> None:
    stack = shared / "data" / "views_simulated" / "particles.star"
    base = open_base_run(shared / "golden" / "sphire_run", stack, words)
    assert base.settings.minimum_group_size == expected
