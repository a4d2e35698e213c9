"""What travels out of the method: that it cannot be changed on the way."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

from isac2.clustering.generations import start_state
from isac2.clustering.state import IsacState, StableGroup
from isac2.poses import POSE


def test_the_start_has_everything_before_it() -> None:
    state = start_state(np.array([1, 4, 6]))
    assert (state.main_iteration, state.generation, state.sac_round) == (1, 1, 0)
    assert state.pool.tolist() == state.start_of_main.tolist() == [1, 4, 6]
    assert state.poses.dtype == POSE
    assert not any(state.poses[name].any() for name in POSE.names or ())
    for empty in (state.groups, state.accounted, state.candidates, state.agreement):
        assert empty == ()
    assert not any((state.generation_done, state.main_done, state.finished))


def test_states_and_groups_cannot_be_changed() -> None:
    state = start_state(np.arange(3))
    with pytest.raises(FrozenInstanceError):
        state.generation = 2  # type: ignore[misc]
    group = StableGroup(
        members=np.arange(2),
        poses=state.poses[:2],
        pixel_errors=np.zeros(2),
        average=np.zeros((4, 4), np.float32),
        rms_pixel_error=0.0,
        mirror_consistency=1.0,
        tested=2,
    )
    with pytest.raises(FrozenInstanceError):
        group.tested = 3  # type: ignore[misc]
    assert (group.main_iteration, group.generation) == (0, 0)


def test_defaults_are_not_shared() -> None:
    first, second = (IsacState(1, 1, 0, np.arange(2)) for _ in range(2))
    for entry in fields(IsacState):
        one, other = getattr(first, entry.name), getattr(second, entry.name)
        if isinstance(one, np.ndarray):
            assert one is not other
