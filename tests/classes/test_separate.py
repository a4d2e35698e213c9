"""Processing the members of a class: each step by hand, and the poses that are left."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
from numpy.typing import NDArray

from isac2.classes.separate import Processing, process_members
from isac2.errors import InputError
from isac2.images.ctf import CtfParameters
from isac2.images.transform import apply_poses
from isac2.poses import PoseArray, make_poses

BOX = 32


def dots() -> tuple[NDArray[np.float32], PoseArray]:
    """Dots off the centre, and the poses that bring each to it."""
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    places = np.array([(3.3, -2.0), (-4.0, 5.4)])
    images = np.stack([np.exp(-((x - a) ** 2 + (y - b) ** 2) / 6) for a, b in places])
    alpha, mirror = np.array([30.0, -70.0]), np.array([0, 1])
    turn = np.radians(alpha)
    tx = -(np.cos(turn) * places[:, 0] + np.sin(turn) * places[:, 1])
    ty = -(np.cos(turn) * places[:, 1] - np.sin(turn) * places[:, 0])
    return images.astype(np.float32), make_poses(alpha, tx, ty, mirror)


def centre_of_mass(image: NDArray[np.float32]) -> NDArray[np.float64]:
    y, x = np.mgrid[: len(image), : len(image)] - len(image) // 2
    weight = np.clip(image, 0.05, None) - 0.05
    return np.array([(x * weight).sum() / weight.sum(), (y * weight).sum() / weight.sum()])


def test_nothing_is_done_unless_asked() -> None:
    images, poses = dots()
    same, left, pixel = process_members(images, poses, 2.0, Processing())
    assert not Processing().changes_pixels
    assert pixel == 2.0
    np.testing.assert_array_equal(same, images)
    np.testing.assert_array_equal(left, poses)


@pytest.mark.parametrize("shrink", [1, 2])
@pytest.mark.parametrize("align", ["none", "centre", "pose"])
def test_what_is_left_of_the_poses_brings_the_dot_to_the_centre(align: str, shrink: int) -> None:
    images, poses = dots()
    how = Processing(align=align, shrink=shrink)
    moved, left, pixel = process_members(images, poses, 2.0, how)
    assert how.changes_pixels == (align != "none" or shrink > 1)
    assert pixel == 2.0 * shrink
    assert moved.shape[-1] == BOX // shrink
    for image in apply_poses(moved, left):
        np.testing.assert_allclose(centre_of_mass(image), 0, atol=0.1)
    if align == "pose":
        assert (left["alpha"] == 0).all()
    if align == "centre":
        shift = np.hypot(left["tx"], left["ty"])
        assert (shift < 0.75).all()


def test_centring_interpolates_nothing() -> None:
    images, poses = dots()
    moved, _, _ = process_members(images, poses, 2.0, Processing(align="centre"))
    for before, after in zip(images, moved, strict=True):
        np.testing.assert_array_equal(np.sort(before.ravel()), np.sort(after.ravel()))


def test_filters() -> None:
    noise = np.random.default_rng(3).standard_normal((1, BOX, BOX)).astype(np.float32)
    poses = make_poses([0.0], 0.0, 0.0, 0)

    def power(how: Processing) -> NDArray[np.float64]:
        image = process_members(noise, poses, 2.0, how)[0][0]
        ratio = np.abs(scipy.fft.rfft2(image))[0] / np.abs(scipy.fft.rfft2(noise[0]))[0]
        return np.asarray(ratio, dtype=np.float64)

    low = power(Processing(low_pass_in_angstroms=10.0))  # 0.2/px: coefficient 6.4
    assert low[3] == pytest.approx(1, abs=0.01)
    assert low[9] < 0.05
    band = power(Processing(band_in_angstroms=10.0, band_half_width=0.06))
    assert band[6] > 0.8
    assert max(band[2], band[11]) < 0.05


def test_the_ctf_is_corrected_image_by_image() -> None:
    images, poses = dots()
    ctf = CtfParameters(*(np.array([v, v]) for v in (9e3, 9e3, 0.0, 300.0, 2.7, 0.1, 0.0)))
    from isac2.images.ctf import phase_flip

    flipped, _, _ = process_members(images, poses, 2.0, Processing("flip"), ctf)
    np.testing.assert_array_equal(flipped, phase_flip(images, ctf, 2.0))
    known = np.array([True, False])
    mixed, _, _ = process_members(images, poses, 2.0, Processing("flip"), ctf, known)
    np.testing.assert_array_equal(mixed, [images[0], flipped[1]])
    wiener, _, _ = process_members(images, poses, 2.0, Processing("wiener"), ctf)
    assert np.corrcoef(wiener[0].ravel(), flipped[0].ravel())[0, 1] > 0.7
    assert not np.allclose(wiener, flipped)


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="--ctf=turn is none of"):
        Processing("turn")
    with pytest.raises(InputError, match="--align=left is none of"):
        Processing(align="left")
