import numpy as np
import pytest
import scipy.fft
from numpy.typing import NDArray

from isac2.classes.orientations_in_class import euler_matrices
from isac2.simulate.molecule import Molecule, density_of_atoms
from isac2.simulate.projection import central_slices, projection_volume, shift_phases

BOX = 32


def _blobs() -> Molecule:
    """Three blobs of different weight, none at the origin: (x, y, z) in angstroms."""
    atoms = np.array([[6.0, 2.0, -3.0], [-4.0, 5.0, 1.0], [-4.0, 5.0, 1.0], [0.0, -4.5, 4.5]])
    return Molecule("blobs", density_of_atoms(atoms, BOX, 1.0), 1.0, 10.0)


def _project(
    molecule: Molecule, euler: list[float], pixel_size: float = 1.0
) -> NDArray[np.float32]:
    volume, scale = projection_volume(molecule, 2 * BOX, pixel_size)
    slices = central_slices(volume, scale, euler_matrices(np.array([euler])), 2 * BOX)
    slices *= shift_phases(np.full((1, 2), BOX // 2), 2 * BOX)
    return scipy.fft.irfft2(slices, (2 * BOX, 2 * BOX))[0, :BOX, :BOX].astype(np.float32)


def _centre_of(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Centre of gravity, x and y from the box's centre, pixels."""
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    image = np.where(image > 0.05 * image.max(), image, 0)  # faint ghosts of interpolation aside
    total = image.sum()
    return np.array([(x * image).sum() / total, (y * image).sum() / total], dtype=np.float64)


def _assert_alike(image: NDArray[np.float32], direct: NDArray[np.float32]) -> None:
    """Compare as well as linear interpolation of the transform allows."""
    assert np.corrcoef(image.ravel(), direct.ravel())[0, 1] > 0.999
    assert np.abs(image - direct).max() < 0.06 * direct.max()


def test_straight_on_it_is_the_sum_along_z() -> None:
    molecule = _blobs()
    _assert_alike(_project(molecule, [0, 0, 0]), molecule.density.sum(axis=0))


def test_tilted_by_90_x_shows_minus_z() -> None:
    molecule = _blobs()
    direct = np.roll(molecule.density.sum(axis=2).T[:, ::-1], 1, axis=1)  # [y, -z]
    _assert_alike(_project(molecule, [0, 90, 0]), direct)


@pytest.mark.parametrize("euler", [[10, 20, 30], [200, 110, -70], [0, 0, 45], [77, 180, 3]])
def test_points_land_where_the_matrix_says(euler: list[float]) -> None:
    atom = np.array([[4.5, -2.5, 3.5]])
    point = Molecule("point", density_of_atoms(atom, BOX, 1.0), 1.0, 10.0)
    expected = euler_matrices(np.array([euler], float))[0] @ atom[0]
    np.testing.assert_allclose(_centre_of(_project(point, euler)), expected[:2], atol=0.03)


def test_voxels_of_another_size_keep_lengths() -> None:
    atom = np.array([[12.0, -8.0, 0.0]])
    point = Molecule("point", density_of_atoms(atom, 64, 1.03), 1.03, 20.0)
    np.testing.assert_allclose(
        _centre_of(_project(point, [0, 0, 0], pixel_size=2.0)), [6.0, -4.0], atol=0.03
    )


def test_opposite_view_is_the_mirror_image() -> None:
    molecule = _blobs()
    direct, opposite = _project(molecule, [25, 40, 0]), _project(molecule, [205, 140, 0])
    np.testing.assert_allclose(opposite[1:], direct[1:][::-1], atol=1e-4)


def test_phases_move_images() -> None:
    image = np.zeros((1, 16, 16))
    image[0, 3, 5] = 1
    moved = scipy.fft.irfft2(
        scipy.fft.rfft2(image) * shift_phases(np.array([[2.0, -1.0]]), 16), (16, 16)
    )
    assert np.unravel_index(moved[0].argmax(), (16, 16)) == (2, 7)
