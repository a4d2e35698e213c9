"""Preparing the members of one class to be looked at: CTF, filters, size and alignment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.space import centres_from_poses
from isac2.errors import InputError
from isac2.images.ctf import CtfParameters, phase_flip
from isac2.images.ctf_correction import wiener_filter
from isac2.images.filters import tanh_low_pass
from isac2.images.resample import resample
from isac2.images.transform import apply_poses
from isac2.poses import PoseArray, compose, identity_poses, make_poses

__all__ = ["ALIGNMENTS", "CTF_MODES", "Processing", "process_members"]

ALIGNMENTS = ("none", "centre", "pose")
CTF_MODES = ("none", "flip", "wiener")
_FALLOFF = 0.1


@dataclass(frozen=True)
class Processing:
    """What is done to the images of a class, in this order.

    Attributes
    ----------
    ctf : str
        ``none``, ``flip`` (phases) or ``wiener`` (``c / (c^2 + 0.1)``, image by image).
    low_pass_in_angstroms : float or None
    band_in_angstroms : float or None
        Middle of a band-pass filter.
    band_half_width : float
        From there to its edges, 1/px.
    shrink : int
        By how much the images are made smaller.
    align : str
        ``none``, ``centre`` (moved by whole pixels, so that nothing is interpolated) or ``pose``
        (rotated, shifted and mirrored onto the average).
    """

    ctf: str = "none"
    low_pass_in_angstroms: float | None = None
    band_in_angstroms: float | None = None
    band_half_width: float = 0.03
    shrink: int = 1
    align: str = "none"

    def __post_init__(self) -> None:
        if self.ctf not in CTF_MODES:
            raise InputError(f"--ctf={self.ctf} is none of {', '.join(CTF_MODES)}.")
        if self.align not in ALIGNMENTS:
            raise InputError(f"--align={self.align} is none of {', '.join(ALIGNMENTS)}.")

    @property
    def changes_pixels(self) -> bool:
        """Whether anything is done at all."""
        return self != Processing(band_half_width=self.band_half_width)


def process_members(
    images: NDArray[np.float32],
    poses: PoseArray,
    pixel_size_in_angstroms: float,
    how: Processing,
    ctf: CtfParameters | None = None,
    flipped: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float32], PoseArray, float]:
    """Process the members of a class.

    Parameters
    ----------
    images : float32 (m, n, n)
    poses : POSE (m,)
        Onto the average, px of the images.
    pixel_size_in_angstroms : float
    how : Processing
    ctf : CtfParameters, optional
        Of the m images; needed for the CTF modes.
    flipped : bool (m,), optional
        Images whose phases have been flipped already.

    Returns
    -------
    images : float32 (m, k, k)
    poses : POSE (m,)
        What is left to bring each onto the average, px of these images.
    pixel_size_in_angstroms : float
    """
    images = _correct(images, pixel_size_in_angstroms, how.ctf, ctf, flipped)
    if how.low_pass_in_angstroms is not None:
        cutoff = pixel_size_in_angstroms / how.low_pass_in_angstroms
        images = tanh_low_pass(images, cutoff, _FALLOFF)
    if how.band_in_angstroms is not None:
        middle = pixel_size_in_angstroms / how.band_in_angstroms
        images = _band_pass(images, middle, how.band_half_width)
    if how.shrink > 1:
        images, poses = resample(images, 1.0 / how.shrink), poses.copy()
        poses["tx"] /= how.shrink
        poses["ty"] /= how.shrink
    if how.align == "pose":
        images, poses = apply_poses(images, poses), identity_poses(len(poses))
    elif how.align == "centre":
        images, poses = _centre(images, poses)
    return images, poses, pixel_size_in_angstroms * how.shrink


def _correct(
    images: NDArray[np.float32],
    pixel: float,
    mode: str,
    ctf: CtfParameters | None,
    flipped: NDArray[np.bool_] | None,
) -> NDArray[np.float32]:
    if mode == "none":
        return images
    assert ctf is not None
    if mode == "wiener":
        return wiener_filter(images, ctf, pixel, flipped)
    if flipped is not None and flipped.all():
        return images
    corrected = phase_flip(images, ctf, pixel)
    return corrected if flipped is None else np.where(flipped[:, None, None], images, corrected)


def _band_pass(
    images: NDArray[np.float32], middle: float, half_width: float
) -> NDArray[np.float32]:
    """Keep the frequencies (1/px) within half a width of the middle."""
    passed = tanh_low_pass(images, middle + half_width, _FALLOFF)
    if middle > half_width:
        passed = passed - tanh_low_pass(images, middle - half_width, _FALLOFF)
    return passed


def _centre(images: NDArray[np.float32], poses: PoseArray) -> tuple[NDArray[np.float32], PoseArray]:
    """Move images by whole pixels so that the particles lie in the middle; the edge wraps round."""
    moves = -np.rint(centres_from_poses(poses)).astype(np.int64)
    moved = np.stack(
        [np.roll(image, (y, x), axis=(0, 1)) for image, (x, y) in zip(images, moves, strict=True)]
    )
    back = make_poses(0.0, -moves[:, 0], -moves[:, 1], 0)
    return moved, compose(back, poses)
