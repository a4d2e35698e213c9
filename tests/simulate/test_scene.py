import numpy as np

from isac2.simulate import Recipe
from isac2.simulate.scene import draw_scene, junk_number


def test_junk_has_the_wanted_share_in_equal_parts() -> None:
    scene = draw_scene(Recipe(particles=1000, junk_fraction=0.1), 30.0)
    np.testing.assert_array_equal(np.bincount(scene.truth.junk), [900, 20, 20, 20, 20, 20])


def test_views_are_equally_frequent_and_molecules_have_their_own() -> None:
    scene = draw_scene(
        Recipe(particles=3200, views=8, molecules=("complex", "ring"), junk_fraction=0.0), 30.0
    )
    assert scene.truth.view is not None
    assert scene.truth.label is not None
    np.testing.assert_array_equal(scene.truth.view // 8, scene.truth.label)
    np.testing.assert_array_equal(np.bincount(scene.truth.view % 8), 400)
    assert len(scene.view_directions) == 16


def test_conformations_are_seen_from_the_same_directions() -> None:
    molecules = ("complex:2", "bent:2", "complex:3")
    scene = draw_scene(Recipe(particles=20, views=4, molecules=molecules), 30.0)
    first, second, other = np.split(scene.view_directions, 3)
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, other)


def test_maps_are_not_taken_for_conformations_by_their_names() -> None:
    molecules = ("maps/bent.mrc", "maps/complex.mrc")
    scene = draw_scene(Recipe(particles=20, views=4, molecules=molecules), 30.0)
    first, second = np.split(scene.view_directions, 2)
    assert not np.allclose(first, second)


def test_shifts_stay_in_their_disc_and_off_centre_particles_outside() -> None:
    scene = draw_scene(Recipe(particles=2000, junk_fraction=0.3, shift_in_pixels=4.0), 30.0)
    truth = scene.truth
    assert truth.shift is not None
    distance = np.hypot(*truth.shift.T)
    assert distance[truth.junk == 0].max() <= 4.0
    assert distance[truth.junk == junk_number("off-centre")].min() >= 0.28 * 96


def test_molecules_are_on_images_that_show_them() -> None:
    scene = draw_scene(Recipe(particles=500, junk_fraction=0.5), 30.0)
    truth, counts = scene.truth, np.bincount(scene.instances.image, minlength=500)
    assert truth.label is not None
    for kind in ("noise", "ice", "edge"):
        assert counts[truth.junk == junk_number(kind)].max() == 0
        assert (truth.label[truth.junk == junk_number(kind)] == -1).all()
    assert (counts[truth.junk == 0] == 1).all()
    assert counts[truth.junk == junk_number("aggregate")].min() >= 2
    part = scene.instances.of_images(100, 120)
    assert part.image.min() >= 0
    np.testing.assert_array_equal(np.bincount(part.image, minlength=20), counts[100:120])


def test_a_micrograph_shares_its_astigmatism() -> None:
    scene = draw_scene(Recipe(particles=100, particles_per_micrograph=50), 30.0)
    angle = scene.ctf.defocus_angle_in_degrees
    assert len(np.unique(angle)) == 2
    difference = scene.ctf.defocus_u_in_angstroms - scene.ctf.defocus_v_in_angstroms
    assert difference.min() >= 0
    assert difference.max() <= 300.0
