"""A few members of each class, in their poses, for the eye to compare with the average."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isac2.images.transform import apply_poses
from isac2.report.data import MemberSample, ReportData
from isac2.report.payload import MOST_MEMBERS

__all__ = ["sample_members"]

_MOST_A_CLASS = 12
_MOST_PIXELS = 12_000_000  # of all samples together: about 5 MB on the page
_MARGIN = 2  # pixels kept beyond the disc


def sample_members(data: ReportData, working_images: Path) -> ReportData:
    """Add a sample of the members, if the run kept its working images.

    Up to twelve members a class, fewer when there are many classes, evenly spread from the lowest
    to the highest pixel error; cut to the particle's disc.

    Parameters
    ----------
    data : ReportData
    working_images : pathlib.Path
        NumPy file, float32 (particles, n, n).
    """
    members = data.members
    if members is None or len(members.ids) > MOST_MEMBERS or not working_images.exists():
        return data
    images = np.load(working_images, mmap_mode="r", allow_pickle=False)
    if images.ndim != 3 or members.ids.max(initial=-1) >= len(images):
        return data
    box = images.shape[-1]
    radius = data.radius if math.isfinite(data.radius) else box / 2
    half = min(box // 2, math.ceil(radius) + _MARGIN)
    a_class = _MOST_PIXELS // max(1, len(data.classes.sizes) * (2 * half) ** 2)
    chosen = _spread_over_errors(
        members.pixel_errors, data.classes.sizes, min(a_class, _MOST_A_CLASS)
    )
    if len(chosen) == 0:
        return data
    moved = apply_poses(
        np.asarray(images[members.ids[chosen]], dtype=np.float32), members.poses[chosen]
    )
    window = slice(box // 2 - half, box // 2 + half)
    return replace(data, sample=MemberSample(moved[:, window, window], chosen))


def _spread_over_errors(
    errors: NDArray[np.float64], sizes: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Choose `count` members of each class, evenly spread by rank of error, lowest first."""
    chosen = [np.empty(0, dtype=np.int64)]
    starts = np.cumsum(sizes) - sizes
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        ranked = start + np.argsort(errors[start : start + size], kind="stable")
        places = np.unique(np.linspace(0, size - 1, min(count, size)).astype(np.int64))
        chosen.append(ranked[places])
    return np.concatenate(chosen)
