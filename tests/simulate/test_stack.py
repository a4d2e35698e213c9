import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from isac2.classes.evaluate_files import read_truth
from isac2.errors import InputError
from isac2.simulate import PRESETS, Recipe, simulate_stack
from isac2.simulate.molecule import built_in_molecule
from isac2.simulate.rendering import Renderer
from isac2.simulate.scene import draw_scene
from isac2.stacks import open_stack, write_mrcs

SMALL = PRESETS["tiny"].with_changes(
    particles=60, box=48, pixel_size_in_angstroms=5.0, junk_fraction=0.3
)


def _renderer(recipe: Recipe) -> Renderer:
    molecule = built_in_molecule("complex", 2 * recipe.box, recipe.pixel_size_in_angstroms)
    return Renderer(recipe, draw_scene(recipe, 15.0), [molecule])


def test_the_same_recipe_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (simulate_stack(SMALL, tmp_path / name) for name in "ab")
    for name in ("pixels", "star", "views", "truth"):
        assert getattr(first, name).read_bytes() == getattr(second, name).read_bytes()
    other = simulate_stack(SMALL.with_changes(seed=2), tmp_path / "c")
    assert other.pixels.read_bytes() != first.pixels.read_bytes()


def test_the_cut_into_chunks_does_not_matter() -> None:
    renderer = _renderer(SMALL)
    whole = renderer.images(0, 60)
    pieces = [renderer.images(start, min(start + 7, 60)) for start in range(0, 60, 7)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_signal_and_noise_are_in_the_wanted_proportion() -> None:
    recipe = SMALL.with_changes(snr=0.5, junk_fraction=0.0)
    clean, noisy = (_renderer(r).images(0, 60) for r in (recipe.with_changes(snr=np.inf), recipe))
    offsets = np.arange(48) - 24
    radius = built_in_molecule("complex", 96, 5.0).radius_in_angstroms / 5.0
    disc = offsets[:, None] ** 2 + offsets**2 <= radius**2
    assert noisy.std() > 1
    signal = clean[:, disc].var(axis=1).mean()
    ratio = signal / (noisy * np.float32(np.sqrt(1 / 0.5)) - clean).var()
    assert ratio == pytest.approx(0.5, rel=0.1)


def test_files_say_what_the_recipe_says(tmp_path: Path) -> None:
    written = simulate_stack(SMALL, tmp_path)
    with mrcfile.open(written.pixels) as handle:
        assert handle.data.shape == (60, 48, 48)
        assert handle.voxel_size.x == pytest.approx(5.0)
    stack, truth = open_stack(written.star), read_truth(written.truth)
    assert len(stack) == len(truth) == 60
    np.testing.assert_allclose(stack.metadata.pixel_size_in_angstroms, 5.0)
    np.testing.assert_allclose(stack.metadata.voltage_in_kilovolts, 300.0)
    with np.load(written.truth) as archive:
        assert set(archive.files) == {
            *("euler", "shift", "defocus", "label", "junk", "view", "mirror", "tube"),
            *("coordinates", "map_names", "junk_names"),
        }
        np.testing.assert_array_equal(archive["coordinates"][:, 1], stack.metadata.coordinate_y)
        np.testing.assert_allclose(
            archive["defocus"][:, 0], stack.metadata.defocus_u_in_angstroms, atol=0.01
        )
    assert json.loads(written.recipe.read_text())["box"] == 48


def test_the_truth_has_the_form_of_the_published_sets(shared: Path, tmp_path: Path) -> None:
    written = simulate_stack(SMALL, tmp_path)
    published = np.load(shared / "data/views_simulated/truth.npz")
    ours = np.load(written.truth)
    assert set(ours.files) == {*published.files, "coordinates"}
    for name in set(published.files) - {"map_names", "junk_names"}:
        assert ours[name].dtype == published[name].dtype
        assert ours[name].shape[1:] == published[name].shape[1:]


def test_filaments_go_through_the_box_along_their_prior(tmp_path: Path) -> None:
    recipe = PRESETS["filament"].with_changes(
        particles=12,
        box=48,
        pixel_size_in_angstroms=5.0,
        ctf=False,
        snr=np.inf,
        shift_in_pixels=0.0,
        junk_fraction=0.0,
    )
    written = simulate_stack(recipe, tmp_path)
    stack = open_stack(written.star)
    assert written.views is None
    np.testing.assert_array_equal(stack.metadata.tube_id, 1)
    y, x = np.mgrid[:48, :48] - 24
    psi = np.deg2rad(stack.metadata.psi_prior_in_degrees)
    for image, angle in zip(stack.read(np.arange(12)), psi, strict=True):
        across = np.abs(np.sin(angle) * x + np.cos(angle) * y)  # z points to (-cos psi, sin psi)
        assert image[across < 3].mean() > 10 * np.abs(image[across > 12]).mean()
        ends = (across < 3) & (np.hypot(x, y) > 21)
        assert image[ends].mean() > 0.5 * image[across < 3].mean()


def test_a_density_map_can_be_used(tmp_path: Path) -> None:
    density = built_in_molecule("complex:2", 48, 5.0).density
    write_mrcs(tmp_path / "map.mrc", density, 5.0)
    by_map, by_name = (
        SMALL.with_changes(molecules=(name,), snr=np.inf)
        for name in (str(tmp_path / "map.mrc"), "complex:2")
    )
    first, second = (
        open_stack(tmp_path / folder / "views.mrcs").read(np.arange(5))
        for recipe, folder in ((by_map, "a"), (by_name, "b"))
        if simulate_stack(recipe, tmp_path / folder).views is not None
    )
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.999


def test_small_integers_save_space(tmp_path: Path) -> None:
    written = simulate_stack(SMALL.with_changes(pixel_type="int8"), tmp_path)
    with mrcfile.open(written.pixels) as handle:
        assert handle.data.dtype == np.int8
        assert 18 < handle.data.std() < 35


def test_coloured_noise_and_preferred_directions(tmp_path: Path) -> None:
    recipe = SMALL.with_changes(noise="coloured", orientations="preferred", ctf=False)
    stack = open_stack(simulate_stack(recipe, tmp_path).star)
    assert np.isfinite(stack.read(np.arange(60))).all()
    assert np.isnan(stack.metadata.defocus_u_in_angstroms).all()


def test_what_cannot_be_made_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--box 32 is too small"):
        simulate_stack(SMALL.with_changes(box=32, pixel_size_in_angstroms=2.0), tmp_path / "a")
    with pytest.raises(InputError, match="there is no molecule 'cube'"):
        simulate_stack(SMALL.with_changes(molecules=("cube",)), tmp_path / "a")
    with pytest.raises(InputError, match=r"nowhere\.mrc"):
        simulate_stack(SMALL.with_changes(molecules=("nowhere.mrc",)), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_folder_with_other_particles_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "particles.star").write_text("mine")
    with pytest.raises(InputError, match="no simulation wrote"):
        simulate_stack(SMALL, tmp_path)
    with pytest.raises(InputError, match="a file is in its place"):
        simulate_stack(SMALL, tmp_path / "particles.star")
    assert (tmp_path / "particles.star").read_text() == "mine"
