"""The truth says where images come from: its poses must bring them onto their clean views."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
from numpy.typing import NDArray

from isac2.classes.evaluate_files import read_truth
from isac2.classes.truth import Truth, true_poses
from isac2.images.ctf import CtfParameters, ctf_2d
from isac2.images.masks import disc_mask
from isac2.images.transform import apply_poses
from isac2.simulate import PRESETS, simulate_stack
from isac2.stacks import Metadata, Stack, open_stack


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    simulate_stack(PRESETS["tiny"], folder)
    return folder


def _ctf_of(metadata: Metadata, rows: NDArray[np.int64]) -> CtfParameters:
    return CtfParameters(
        defocus_u_in_angstroms=metadata.defocus_u_in_angstroms[rows],
        defocus_v_in_angstroms=metadata.defocus_v_in_angstroms[rows],
        defocus_angle_in_degrees=metadata.defocus_angle_in_degrees[rows],
        voltage_in_kilovolts=metadata.voltage_in_kilovolts[rows],
        spherical_aberration_in_millimetres=metadata.spherical_aberration_in_millimetres[rows],
        amplitude_contrast=metadata.amplitude_contrast[rows],
        phase_shift_in_degrees=np.zeros(len(rows)),
    )


def _average_in_true_poses(
    stack: Stack, truth: Truth, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Average images in their true poses, CTF-corrected by a Wiener filter."""
    box, wide = stack.box_size, (2 * stack.box_size,) * 2
    pixel_size = stack.metadata.pixel_size_in_angstroms[rows]
    ctf = ctf_2d(wide[0], pixel_size, _ctf_of(stack.metadata, rows))
    spectra = scipy.fft.rfft2(stack.read(rows), wide) * ctf
    weighted = scipy.fft.irfft2(spectra, wide)[:, :box, :box].astype(np.float32)
    average = apply_poses(weighted, true_poses(truth)[rows]).mean(axis=0)
    corrected = scipy.fft.rfft2(average, wide) / ((ctf**2).mean(axis=0) + 0.02)
    return scipy.fft.irfft2(corrected, wide)[:box, :box]


def _correlations(folder: Path, radius: float, truth: Truth | None = None) -> list[float]:
    """Correlate each view with the average of its images, inside the disc."""
    truth = read_truth(folder / "truth.npz") if truth is None else truth
    stack, views = open_stack(folder / "particles.star"), open_stack(folder / "views.mrcs")
    inside = disc_mask(stack.box_size, radius).astype(bool)
    found = []
    for number, view in enumerate(views.read(np.arange(len(views)))):
        assert truth.view is not None
        rows = np.flatnonzero((truth.junk == 0) & (truth.view == number))
        average = _average_in_true_poses(stack, truth, rows)
        found.append(float(np.corrcoef(average[inside], view[inside])[0, 1]))
    return found


def test_true_poses_bring_our_images_onto_their_views(tiny: Path) -> None:
    assert min(_correlations(tiny, radius=22)) > 0.95


def test_other_signs_of_mirror_and_shift_do_worse(tiny: Path) -> None:
    truth = read_truth(tiny / "truth.npz")
    assert truth.mirror is not None
    assert 0.3 < truth.mirror[truth.junk == 0].mean() < 0.7
    assert truth.shift is not None
    right = np.mean(_correlations(tiny, 22, truth))
    for wrong in (replace(truth, mirror=None), replace(truth, shift=-truth.shift)):
        assert np.mean(_correlations(tiny, 22, wrong)) < right - 0.01


def test_the_convention_is_that_of_the_published_sets(shared: Path) -> None:
    assert min(_correlations(shared / "data/views_simulated", radius=34)) > 0.9
