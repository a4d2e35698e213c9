import numpy as np
import pytest

from isac2.classes.orientations_in_class import symmetry_matrices
from isac2.errors import InputError
from isac2.simulate.molecule import (
    FILAMENT_RISE_IN_ANGSTROMS,
    FILAMENT_TWIST_IN_DEGREES,
    built_in_molecule,
    density_of_atoms,
    resampled_map,
)
from isac2.simulate.pseudo_atoms import complex_atoms, filament_atoms, ring_atoms, shell_atoms


def test_an_atom_weighs_one_and_lies_where_it_should() -> None:
    density = density_of_atoms(np.array([[4.0, -2.0, 6.0]]), 24, 2.0)
    assert density.sum() == pytest.approx(1, abs=1e-5)
    place = np.unravel_index(density.argmax(), density.shape)
    assert [int(index) for index in place] == [15, 11, 14]  # z, y, x


def test_atoms_outside_the_grid_are_left_out() -> None:
    assert density_of_atoms(np.array([[500.0, 0.0, 0.0]]), 24, 2.0).sum() == 0


def test_a_seed_gives_one_molecule() -> None:
    np.testing.assert_array_equal(complex_atoms(3), complex_atoms(3))
    assert complex_atoms(3).shape != complex_atoms(4).shape
    np.testing.assert_allclose(complex_atoms(3).mean(axis=0), 0, atol=1e-9)


def test_the_other_conformation_has_most_of_the_atoms_where_they_were() -> None:
    straight, bent = complex_atoms(1), complex_atoms(1, bend_in_degrees=30.0)
    moved = np.linalg.norm(bent - straight, axis=1)
    assert 0.1 < (moved > 1.0).mean() < 0.5
    np.testing.assert_array_equal(bent[moved == 0], straight[moved == 0])
    first, second = (built_in_molecule(name, 32, 8.0).density for name in ("complex", "bent"))
    assert 0.6 < np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.98


@pytest.mark.parametrize(("atoms", "group"), [(ring_atoms(1), "D7"), (shell_atoms(1), "O")])
def test_symmetric_molecules_look_the_same_from_their_mates(atoms: np.ndarray, group: str) -> None:
    plain = density_of_atoms(atoms, 48, 5.0)
    for turn in symmetry_matrices(group)[[1, -1]]:
        turned = density_of_atoms(atoms @ turn.T, 48, 5.0)
        assert np.corrcoef(plain.ravel(), turned.ravel())[0, 1] > 0.999


def test_a_filament_repeats_along_its_helix() -> None:
    atoms = filament_atoms(1, 200.0, FILAMENT_RISE_IN_ANGSTROMS, FILAMENT_TWIST_IN_DEGREES)
    angle = np.deg2rad(FILAMENT_TWIST_IN_DEGREES)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    moved = atoms @ turn.T + [0, 0, FILAMENT_RISE_IN_ANGSTROMS]
    middle = slice(12, -12)
    plain, again = (density_of_atoms(a, 48, 4.0)[middle] for a in (atoms, moved))
    assert np.corrcoef(plain.ravel(), again.ravel())[0, 1] > 0.999


def test_built_in_names() -> None:
    assert built_in_molecule("complex:5", 32, 8.0).radius_in_angstroms > 40
    for name in ("cube", "complex:x"):
        with pytest.raises(InputError, match="there is no molecule"):
            built_in_molecule(name, 32, 8.0)


def test_a_map_is_resampled_to_the_pixel_size_about_its_centre() -> None:
    atom = np.array([[12.0, -6.0, 9.0]])
    volume = density_of_atoms(atom, 64, 1.5)
    molecule = resampled_map("map", volume, 1.5, 3.0)
    assert molecule.density.shape == (32, 32, 32)
    assert molecule.voxel_size_in_angstroms == pytest.approx(3.0)
    assert molecule.density.sum() * 8 == pytest.approx(8 * volume.sum() / 8, rel=1e-3)
    place = np.unravel_index(molecule.density.argmax(), (32, 32, 32))
    assert [int(index) for index in place] == [19, 14, 20]


def test_the_radius_of_a_map_holds_its_density() -> None:
    offsets = np.arange(32) - 16
    ball = (offsets[:, None, None] ** 2 + offsets[:, None] ** 2 + offsets**2 <= 100).astype("f4")
    assert resampled_map("ball", ball, 2.0, 2.0).radius_in_angstroms == pytest.approx(20, abs=3)


@pytest.mark.parametrize(
    ("volume", "said"),
    [
        (np.ones((4, 4, 5), "f4"), "give a cubic one"),
        (np.zeros((8, 8, 8), "f4"), "no density above 0"),
        (np.full((8, 8, 8), np.nan, "f4"), "no density above 0"),
    ],
)
def test_maps_that_cannot_be_used(volume: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        resampled_map("map.mrc", volume, 1.0, 2.0)
