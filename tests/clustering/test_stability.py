from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from isac2.clustering.stability import Stability, test_stability
from isac2.poses import PoseArray, make_poses

Floats = NDArray[np.float64]


def move_runs(runs: PoseArray, angle: Floats, x: Floats, y: Floats) -> PoseArray:
    """Compose each run's poses with one more rotation and shift, written with 2x2 matrices."""
    moved = runs.copy()
    for run, (b, dx, dy) in enumerate(zip(np.radians(angle), x, y, strict=True)):
        sign = np.where(runs["mirror"][run] == 1, -1.0, 1.0)
        tx, ty = runs["tx"][run], runs["ty"][run]
        # v'' = R_b M (R v + t) + s = M (R_(+-b) R v + R_(+-b) t + M s)
        moved["alpha"][run] += sign * np.degrees(b)
        moved["tx"][run] = np.cos(b) * tx + sign * np.sin(b) * ty + sign * dx
        moved["ty"][run] = -sign * np.sin(b) * tx + np.cos(b) * ty + dy
    return moved


def squared_errors(runs: PoseArray, radius: float) -> Floats:
    """The formula of the specification, section 5."""
    phasors = np.exp(1j * np.radians(runs["alpha"])).mean(axis=0)
    squares: Floats = radius**2 * (1 - np.abs(phasors))
    squares += runs["tx"].var(axis=0) + runs["ty"].var(axis=0)
    return squares


def noisy_runs(seed: int, noise: float = 1.0, images: int = 40, count: int = 5) -> PoseArray:
    rng = np.random.default_rng(seed)
    truth = make_poses(rng.uniform(0, 360, images), 0, 0, rng.integers(0, 2, images))
    runs = np.stack([truth] * count)
    runs["alpha"] += rng.normal(0, noise, runs.shape)
    for name in ("tx", "ty"):
        runs[name] = rng.normal(0, 0.2 * noise, runs.shape)
    return move_runs(runs, *rng.uniform(-180, 180, (1, count)), *rng.normal(0, 2, (2, count)))


def test_golden(shared: Path) -> None:
    with np.load(shared / "golden" / "reference_vectors.npz") as vectors:
        golden = dict(vectors)
    threshold, diameter = golden["stability_params"]
    runs = make_poses(*np.moveaxis(golden["stability_runs"], -1, 0))
    result = test_stability(runs, diameter / 2, threshold)
    assert np.array_equal(result.stable, golden["stability_index"])
    assert result.mirror_consistency == pytest.approx(float(golden["stability_mirror_rate"]))
    np.testing.assert_allclose(result.pixel_errors, golden["stability_error"], atol=1e-3)
    # The established figure is taken over all images whose mirror agrees; one of them is far off.
    assert result.rms_pixel_error_consistent == pytest.approx(
        float(golden["stability_rms_error"]), rel=0.01
    )
    alpha, tx, ty, mirror = golden["stability_pose"].T
    turn = (result.poses["alpha"] - alpha + 180) % 360 - 180
    np.testing.assert_allclose(turn, 0, atol=2e-3)
    np.testing.assert_allclose(result.poses["tx"], tx, atol=1e-4)
    np.testing.assert_allclose(result.poses["ty"], ty, atol=1e-4)
    assert np.array_equal(result.poses["mirror"], mirror)


@pytest.mark.parametrize("seed", range(5))
def test_reaches_the_least_mean_squared_error(seed: int) -> None:
    """A general minimiser, from sixteen starts, finds nothing better."""
    runs = noisy_runs(seed, count=3)
    result = test_stability(runs, 29.0, 100.0)
    ours = np.mean(result.all_pixel_errors**2)

    def mean_error(free: Floats) -> float:
        angle, x, y = np.append(free.reshape(2, 3), np.zeros((1, 3)), axis=0).T
        return float(squared_errors(move_runs(runs, angle, x, y), 29.0).mean())

    best = min(
        minimize(mean_error, [90 * a, 0, 0, 90 * b, 0, 0], method="L-BFGS-B").fun
        for a, b in np.ndindex(4, 4)
    )
    assert ours == pytest.approx(best, rel=1e-5)


@given(
    st.integers(0, 1000),
    st.lists(st.tuples(st.floats(-180, 180), st.floats(-5, 5), st.floats(-5, 5)), min_size=5).map(
        lambda rows: np.array(rows[:5])
    ),
    st.lists(st.integers(0, 1), min_size=5, max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_moving_and_flipping_whole_runs_changes_no_error(
    seed: int, moves: Floats, flips: list[int]
) -> None:
    runs = noisy_runs(seed)
    before = test_stability(runs, 29.0, 0.7)
    moved = move_runs(runs, *moves.T)
    moved["mirror"] ^= np.array(flips, dtype=np.int8)[:, np.newaxis]
    after = test_stability(moved, 29.0, 0.7)
    np.testing.assert_allclose(after.all_pixel_errors, before.all_pixel_errors, atol=1e-6)
    assert after.mirror_consistency == 1.0


def test_mirror_states_agree_up_to_flips_of_whole_runs() -> None:
    mirror = np.array([[0, 0, 1, 1, 0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0]])
    result = test_stability(make_poses(0, 0, 0, mirror), 29.0, 0.7)
    assert result.stable.tolist() == [0, 1, 2, 3]
    assert result.mirror_consistency == pytest.approx(0.8)
    assert result.all_pixel_errors[4] == np.inf
    assert result.poses["mirror"].tolist() == [0, 0, 1, 1]  # as the last run has it


def test_errors_of_one_turned_and_one_shifted_image() -> None:
    """Many exact images hold the runs in place; two differ by known amounts between two runs."""
    runs = make_poses(np.zeros((2, 1000)), 0, 0, 0)
    runs["alpha"][0, 1] = 2.0
    runs["tx"][0, 2] = 0.6
    result = test_stability(runs, 30.0, 0.7)
    turned = 30.0 * np.sqrt(1 - np.cos(np.radians(1.0)))  # |1 + exp(i a)| / 2 = cos(a / 2)
    assert result.all_pixel_errors[1] == pytest.approx(turned, abs=1e-3)
    assert result.all_pixel_errors[2] == pytest.approx(0.3, abs=1e-3)
    assert result.all_pixel_errors[0] == pytest.approx(0.0, abs=5e-3)


def test_finds_the_common_part_of_a_group_posed_mostly_at_random() -> None:
    rng = np.random.default_rng(5)
    runs = make_poses(np.zeros((5, 100)), 0, 0, 0)
    runs["alpha"][:, 30:] = rng.uniform(0, 360, (5, 70))
    result = test_stability(runs, 29.0, 0.7)
    assert result.stable.tolist() == list(range(30))


def test_mean_pose_is_in_the_last_runs_frame() -> None:
    runs = make_poses([[10.0], [100.0]], [[0.0], [1.0]], 0, [[0], [1]])
    poses = test_stability(runs, 29.0, 0.7).poses
    assert poses["alpha"].tolist() == pytest.approx([100.0])
    assert poses["tx"].tolist() == pytest.approx([1.0])
    assert poses["mirror"].tolist() == [1]


def test_keeps_at_least_the_most_reproducible() -> None:
    runs = make_poses(np.zeros((2, 6)), 0, 0, 0)
    runs["tx"][0] = [0, 9, 0, 8, 0, 0]
    runs["mirror"][0, 2] = 1
    result = test_stability(runs, 29.0, 0.1)
    assert result.stable.tolist() == [0, 4, 5]
    assert result.keep_at_least(2) is result
    kept = result.keep_at_least(5)
    assert kept.stable.tolist() == [0, 1, 3, 4, 5]
    assert len(kept.poses) == len(kept.pixel_errors) == 5
    assert kept.rms_pixel_error > result.rms_pixel_error
    assert result.keep_at_least(60).stable.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("shape", [(1, 4), (5, 1)])
def test_one_run_or_one_image_is_stable(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    tx, ty = rng.normal(size=(2, *shape))
    runs = make_poses(rng.uniform(0, 360, shape), tx, ty, 0)
    result = test_stability(runs, 29.0, 0.7)
    assert result.stable.tolist() == list(range(shape[1]))


def test_an_empty_group_is_an_empty_result() -> None:
    result: Stability = test_stability(make_poses(np.zeros((5, 0)), 0, 0, 0), 29.0, 0.7)
    assert len(result.stable) == 0
    assert result.mirror_consistency == 0.0


def test_does_not_change_its_input() -> None:
    runs = noisy_runs(1)
    before = runs.copy()
    test_stability(runs, 29.0, 0.7)
    assert np.array_equal(runs, before)


def test_refuses_poses_of_one_run_without_the_run_axis() -> None:
    with pytest.raises(ValueError, match="alignments, images"):
        test_stability(make_poses(np.zeros(3), 0, 0, 0), 29.0, 0.7)
