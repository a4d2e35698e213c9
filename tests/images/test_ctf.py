"""The CTF and phase flipping."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isac2.images.ctf import CtfParameters, ctf_2d, electron_wavelength, phase_flip


def ctf_from_eman(rows: np.ndarray) -> tuple[CtfParameters, np.ndarray]:
    """Read rows of defocus um, Cs mm, kV, A/px, B, amplitude %, astigmatism um, its angle deg."""
    defocus, aberration, voltage, pixel_size, _, contrast, astigmatism, angle = rows.T
    ctf = CtfParameters(
        defocus_u_in_angstroms=1e4 * (defocus - astigmatism / 2),
        defocus_v_in_angstroms=1e4 * (defocus + astigmatism / 2),
        defocus_angle_in_degrees=45.0 - angle,
        voltage_in_kilovolts=voltage,
        spherical_aberration_in_millimetres=aberration,
        amplitude_contrast=contrast / 100.0,
        phase_shift_in_degrees=np.zeros(len(rows)),
    )
    return ctf, pixel_size


def one_ctf(phase_shift: float = 0.0) -> CtfParameters:
    values = (15000.0, 14000.0, 30.0, 300.0, 2.7, 0.07, phase_shift)
    return CtfParameters(*(np.array([value]) for value in values))


def test_the_ctf_meets_the_established_implementation(shared: Path) -> None:
    golden = np.load(shared / "golden" / "reference_vectors.npz")
    ctf, pixel_size = ctf_from_eman(golden["ctf_params"])
    computed = ctf_2d(76, pixel_size, ctf)
    # The established one rounds the wavelength, by 3 parts in 1e5, which shows where the CTF is
    # steep.
    np.testing.assert_allclose(computed, golden["ctf_image"], atol=0.012)
    np.testing.assert_allclose(computed[0, 0], golden["ctf_1d"][0, :39], atol=0.01)


def test_phase_flipping_meets_the_established_implementation(shared: Path) -> None:
    golden = np.load(shared / "golden" / "reference_vectors.npz")
    ctf, pixel_size = ctf_from_eman(golden["ctf_params"])
    flipped = phase_flip(np.stack([golden["ctf_input"]] * 2), ctf, pixel_size)
    for own, expected in zip(flipped, golden["ctf_phase_flipped"], strict=True):
        assert np.corrcoef(own.ravel(), expected.ravel())[0, 1] > 0.994


def test_the_ctf_starts_at_the_amplitude_contrast() -> None:
    assert ctf_2d(8, 1.5, one_ctf())[0, 0, 0] == pytest.approx(0.07)
    quarter_wave = ctf_2d(8, 1.5, one_ctf(phase_shift=90.0))[0, 0, 0]
    assert quarter_wave == pytest.approx(np.cos(np.arcsin(0.07)))


def test_the_ctf_along_the_angle_has_the_first_defocus() -> None:
    # 30 degrees from x towards y, down the rows, is where U holds: check against the 1D formula.
    box, pixel_size = 64, 1.5
    u, v = 4, 7  # nearly 60 degrees
    value = ctf_2d(box, pixel_size, one_ctf())[0, v, u]
    frequency = np.hypot(u, v) / (box * pixel_size)
    turn = np.arctan2(v, u) - np.radians(30.0)
    defocus = 14500.0 + 500.0 * np.cos(2 * turn)
    wavelength = float(electron_wavelength(300.0))
    phase = np.pi * wavelength * defocus * frequency**2
    phase -= 0.5 * np.pi * 2.7e7 * wavelength**3 * frequency**4
    assert value == pytest.approx(np.sin(phase + np.arcsin(0.07)), abs=1e-5)


def test_exchanging_the_defoci_and_turning_the_angle_is_the_same_ctf() -> None:
    ctf = one_ctf()
    exchanged = CtfParameters(
        ctf.defocus_v_in_angstroms,
        ctf.defocus_u_in_angstroms,
        ctf.defocus_angle_in_degrees + 90.0,
        ctf.voltage_in_kilovolts,
        ctf.spherical_aberration_in_millimetres,
        ctf.amplitude_contrast,
        ctf.phase_shift_in_degrees,
    )
    np.testing.assert_allclose(ctf_2d(32, 1.5, exchanged), ctf_2d(32, 1.5, ctf), atol=1e-6)


def test_flipping_adds_nothing_to_a_constant_and_undoes_itself_inside() -> None:
    ctf = one_ctf()
    constant = np.full((1, 32, 32), 3.0, np.float32)
    np.testing.assert_allclose(phase_flip(constant, ctf, 3.0), constant, atol=1e-5)
    offset = np.hypot(*(np.mgrid[:128, :128] - 64.0))
    blob = np.exp(-(offset**2) / 18.0).astype(np.float32)[None]
    twice = phase_flip(phase_flip(blob, ctf, 3.0), ctf, 3.0)
    assert np.abs(twice - blob).max() < 0.02


def test_parameters_are_picked_by_index_slice_and_mask() -> None:
    ctf = CtfParameters(
        np.array([1e4, 2e4, 3e4]), *(np.array([v]) for v in (1e4, 0, 300, 2.7, 0.1, 0))
    )
    assert len(ctf) == 3
    assert ctf[np.array([2, 0])].defocus_u_in_angstroms.tolist() == [3e4, 1e4]
    assert ctf[1].defocus_u_in_angstroms.tolist() == [2e4]
    assert len(ctf[np.array([True, False, True])]) == 2
    assert ctf[:2].voltage_in_kilovolts.tolist() == [300, 300]
