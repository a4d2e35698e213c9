"""Checkpoints: what is loaded is what was saved, or an error."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac2.clustering.state import IsacState, StableGroup
from isac2.errors import RunError
from isac2.poses import make_poses
from isac2.run.checkpoint import load_arrays, load_state, save_arrays, save_state


def _group(size: int, random: np.random.Generator) -> StableGroup:
    return StableGroup(
        members=np.arange(size) * 3,
        poses=make_poses(random.random(size), random.random(size), 0.5, np.arange(size) % 2),
        pixel_errors=random.random(size),
        average=random.random((8, 8), dtype=np.float32),
        rms_pixel_error=float(random.random()),
        mirror_consistency=0.9,
        tested=size + 2,
        main_iteration=1,
        generation=2,
    )


@pytest.fixture
def state() -> IsacState:
    """A state in which no field has its default."""
    random = np.random.default_rng(5)
    return IsacState(
        main_iteration=2,
        generation=3,
        sac_round=4,
        pool=np.array([1, 5, 7]),
        poses=make_poses(random.random(3), 0.1, 0.2, 1),
        groups=(_group(4, random), _group(0, random)),
        agreement=(0.1, float(random.random())),
        accounted=(_group(3, random),),
        candidates=(_group(2, random), _group(5, random)),
        generation_done=True,
        main_done=True,
        finished=True,
        start_of_main=np.array([0, 9]),
    )


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and bool(np.array_equal(first, second))
    if isinstance(first, StableGroup):
        return all(_same(getattr(first, f.name), getattr(second, f.name)) for f in fields(first))
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(_same, first, second))
    return type(first) is type(second) and first == second


def test_a_state_comes_back_bit_for_bit(state: IsacState, tmp_path: Path) -> None:
    save_state(tmp_path / "state.npz", state)
    loaded = load_state(tmp_path / "state.npz")
    for entry in fields(IsacState):
        assert _same(getattr(state, entry.name), getattr(loaded, entry.name)), entry.name


def test_an_empty_state_comes_back(tmp_path: Path) -> None:
    state = IsacState(1, 1, 0, np.arange(5))
    save_state(tmp_path / "state.npz", state)
    loaded = load_state(tmp_path / "state.npz")
    assert (loaded.groups, loaded.accounted, loaded.finished) == ((), (), False)
    assert np.array_equal(loaded.pool, np.arange(5))


def test_the_same_state_makes_the_same_bytes(state: IsacState, tmp_path: Path) -> None:
    save_state(tmp_path / "a.npz", state)
    save_state(tmp_path / "b.npz", replace(state))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_damage_anywhere_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    save_arrays(path, {"shifts": np.arange(40.0)}, {"rounds": 14})
    whole = path.read_bytes()
    place = whole.index(np.arange(40.0).tobytes()) + 80
    for damaged in (whole[:-30], whole[:place] + b"?" + whole[place + 1 :], b"", b"nonsense"):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match="cannot be read"):
            load_arrays(path)
    with pytest.raises(RunError, match="cannot be read"):
        load_arrays(tmp_path / "missing.npz")


def test_a_wrong_checksum_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    np.savez(path, a=np.arange(3), document=np.zeros(2, np.uint8), checksum=np.zeros(32, np.uint8))
    with pytest.raises(RunError, match="checksum"):
        load_arrays(path)


def test_a_state_without_a_field_is_of_another_version(tmp_path: Path) -> None:
    save_arrays(tmp_path / "state.npz", {"pool": np.arange(3)}, {"generation": 1})
    with pytest.raises(RunError, match="another version"):
        load_state(tmp_path / "state.npz")
