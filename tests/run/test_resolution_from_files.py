"""The resolution in a run's headers follows from the run's files, as docs/files.md says it does.

Everything is computed anew here, with SciPy's interpolation, so that a change of the mask, the
halves or the threshold does not go unnoticed.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from isac2.run.directory import RunDirectory
from isac2.stacks import read_eman_headers, read_star


def moved(image: NDArray[np.float32], row: NDArray[np.float64]) -> NDArray[np.float64]:
    """An image in the pose (alpha, sx, sy, mirror) of its row in all_parameters.txt."""
    alpha, shift, mirrored = np.radians(row[0]), row[1:3], row[3] == 1
    box = image.shape[-1]
    y, x = np.mgrid[:box, :box] - box // 2
    x, y = (-x if mirrored else x) - shift[0], y - shift[1]
    source_x = np.cos(alpha) * x - np.sin(alpha) * y
    source_y = np.sin(alpha) * x + np.cos(alpha) * y
    places = np.array([source_y, source_x]) + box // 2
    inside = ((places >= 0) & (places <= box - 1)).all(axis=0)
    found = map_coordinates(image.astype(np.float64), places, order=3, mode="mirror")
    return np.where(inside, found, image)


def soft_disc(box: int, radius: float) -> NDArray[np.float64]:
    """One up to the radius, from there a cosine down to zero over five pixels."""
    y, x = np.mgrid[:box, :box] - box // 2
    beyond = np.clip((np.hypot(x, y) - radius) / 5, 0, 1)
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * beyond))


def ring_correlation(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Correlation of two images over the coefficients nearest to each whole frequency."""
    box = first.shape[-1]
    a, b = np.fft.fft2(first), np.fft.fft2(second)
    frequency = np.fft.fftfreq(box, 1 / box)
    ring = np.rint(np.hypot(frequency[:, None], frequency)).astype(int)
    curve = np.zeros(box // 2 + 1)
    for number in range(len(curve)):
        p, q = a[ring == number], b[ring == number]
        norm = np.linalg.norm(p) * np.linalg.norm(q)
        curve[number] = np.vdot(p, q).real / norm if norm > 0 else 0.0
    return curve


def resolution(curve: NDArray[np.float64], box: int, apix: float) -> float:
    """Where 2 c / (1 + c) first falls below a half after the zero frequency, angstroms."""
    half = np.maximum(curve, 0)
    share = 2 * half / (1 + half)
    below = [number for number in range(1, len(share)) if share[number] < 0.5]
    if not below:
        return 2 * apix
    last = below[0]
    if last == 1:
        return box * apix
    part = (share[last - 1] - 0.5) / (share[last - 1] - share[last])
    return float(box * apix / (last - 1 + part))


def test_the_resolution_column_follows_from_the_runs_files(finished: RunDirectory) -> None:
    images = np.load(finished.working_images, mmap_mode="r")
    rows = np.loadtxt(finished.all_parameters)
    radius = json.loads(finished.run_json.read_text("utf-8"))["options"]["target_radius"]
    headers = read_eman_headers(finished.class_averages)
    table = read_star(finished.class_averages_star)["model_classes"].columns
    box = images.shape[-1]
    assert len(headers) > 1
    for header, in_star in zip(headers, table["rlnEstimatedResolution"], strict=True):
        members = np.asarray(header["members"])  # odd and even count within this list
        in_pose = np.array([moved(images[member], rows[member]) for member in members])
        halves = [in_pose[first::2].mean(axis=0) * soft_disc(box, radius) for first in (0, 1)]
        curve = ring_correlation(*halves)
        # The ring at Nyquist is half cut off by the box: how it is counted is a matter of taste.
        np.testing.assert_allclose(header["frc"][:-1], curve[:-1], atol=2e-3)
        expected = resolution(curve, box, header["apix_x"])
        assert header["resolution"] == pytest.approx(expected, rel=2e-3)
        assert float(in_star) == pytest.approx(expected, rel=2e-3)
