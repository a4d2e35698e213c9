"""Write a simulated stack: pixels, star file, truth, clean views and recipe."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.files import atomic_path, write_text_atomic
from isac2.simulate.molecule import Molecule, built_in_molecule, is_built_in, resampled_map
from isac2.simulate.recipe import Recipe
from isac2.simulate.rendering import Renderer
from isac2.simulate.scene import Scene, draw_scene
from isac2.stacks import open_stack, write_mrcs, write_star
from isac2.stacks._text import text_column
from isac2.stacks.star import StarTable

__all__ = ["SimulatedStack", "make_molecule", "simulate_stack"]

_CHUNK_PIXELS = 1 << 22  # of the images twice as wide: some 120 MB of temporary arrays


@dataclass(frozen=True)
class SimulatedStack:
    """Where a simulated stack lies, and what a run needs to know of it.

    Attributes
    ----------
    star, pixels, truth, recipe : pathlib.Path
    views : pathlib.Path or None
        Clean projections, when views are discrete.
    radius_in_pixels : float
        Of the largest molecule; for a filament, half its width.
    symmetries : tuple of str
        Point group of each molecule.
    """

    star: Path
    pixels: Path
    truth: Path
    recipe: Path
    views: Path | None
    radius_in_pixels: float
    symmetries: tuple[str, ...]


def simulate_stack(
    recipe: Recipe,
    outdir: str | os.PathLike[str],
    progress: Callable[[int, int], None] | None = None,
) -> SimulatedStack:
    """Simulate a stack and write it to a folder.

    Files: ``particles.mrcs``, ``particles.star`` (RELION 3.1), ``truth.npz`` (see
    `isac2.classes.truth.Truth`), ``views.mrcs`` (image i is view i, when views are discrete) and
    ``recipe.json``. The star file comes last: when it is there, all is there.

    Parameters
    ----------
    recipe : Recipe
    outdir : path-like
        Made when it is not there; an older simulation in it is replaced.
    progress : callable, optional
        Called with the number of images written, and of all.

    Raises
    ------
    InputError
        When a molecule does not fit into the box, a map cannot be read, or `outdir` is a file or
        holds particles that no simulation wrote.
    """
    folder = Path(outdir)
    molecules = [make_molecule(name, recipe) for name in recipe.molecules]
    radius = max(m.radius_in_angstroms for m in molecules) / recipe.pixel_size_in_angstroms
    if radius > 0.5 * recipe.box:
        raise InputError(
            f"--box {recipe.box} is too small: the molecule's radius is {radius:.0f} pixels; give "
            f"at least --box {2 * int(np.ceil(1.2 * radius))}, or a larger --pixel-size."
        )
    scene = draw_scene(recipe, radius)
    renderer = Renderer(recipe, scene, molecules)
    _make_folder(folder)
    written = SimulatedStack(
        star=folder / "particles.star",
        pixels=folder / "particles.mrcs",
        truth=folder / "truth.npz",
        recipe=folder / "recipe.json",
        views=folder / "views.mrcs" if len(scene.view_directions) else None,
        radius_in_pixels=radius,
        symmetries=tuple(m.symmetry for m in molecules),
    )
    written.star.unlink(missing_ok=True)
    record = {"radius_in_pixels": round(radius, 2), "symmetries": list(written.symmetries)}
    write_text_atomic(written.recipe, json.dumps({**recipe.as_dict(), **record}, indent=2) + "\n")
    chunks = _chunks(renderer, recipe, progress)
    write_mrcs(written.pixels, chunks, recipe.pixel_size_in_angstroms)
    if written.views is not None:
        write_mrcs(written.views, renderer.views(), recipe.pixel_size_in_angstroms)
    _write_truth(written.truth, scene)
    write_star(written.star, _star_tables(recipe, scene))
    return written


def _make_folder(folder: Path) -> None:
    """Make the folder; one with particles that no simulation wrote is left alone."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"'{folder}' cannot be made: a file is in its place.") from None
    there = [name for name in ("particles.star", "particles.mrcs") if (folder / name).exists()]
    if there and not (folder / "recipe.json").exists():
        raise InputError(
            f"'{folder}' holds a {there[0]} that no simulation wrote: give another folder."
        )


def make_molecule(name: str, recipe: Recipe) -> Molecule:
    """Make a built-in molecule, or read a map, for the images of a recipe."""
    size = recipe.pixel_size_in_angstroms
    if is_built_in(name):
        return built_in_molecule(name, 2 * recipe.box, size)
    if not Path(name).suffix:
        return built_in_molecule(name, 16, size)  # says which names there are
    stack = open_stack(name)
    voxel_size = float(stack.metadata.pixel_size_in_angstroms[0])
    if not np.isfinite(voxel_size):
        raise InputError(f"the map '{name}' has no voxel size in its header: write it there.")
    return resampled_map(name, stack.read(np.arange(len(stack))), voxel_size, size)


def _chunks(
    renderer: Renderer, recipe: Recipe, progress: Callable[[int, int], None] | None
) -> Iterator[NDArray[Any]]:
    """Yield the images, some at a time."""
    count, step = recipe.particles, max(_CHUNK_PIXELS // (2 * recipe.box) ** 2, 1)
    for start in range(0, count, step):
        stop = min(start + step, count)
        yield renderer.images(start, stop)
        if progress is not None:
            progress(stop, count)


def _write_truth(path: Path, scene: Scene) -> None:
    """Write the truth under the names that `truth_from_arrays` reads."""
    truth, ctf = scene.truth, scene.ctf
    defocus = np.column_stack(
        [ctf.defocus_u_in_angstroms, ctf.defocus_v_in_angstroms, ctf.defocus_angle_in_degrees]
    )
    names = ("euler", "shift", "label", "junk", "view", "mirror", "tube")
    arrays = {name: getattr(truth, name) for name in names}
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            defocus=defocus,
            coordinates=scene.coordinates,
            map_names=np.array(truth.label_names),
            junk_names=np.array(truth.junk_names),
            **arrays,
        )


def _star_tables(recipe: Recipe, scene: Scene) -> dict[str, StarTable]:
    """Return the optics and the particles as RELION 3.1 lays them out."""
    size = f"{recipe.pixel_size_in_angstroms:.6f}"
    optics = {
        "rlnOpticsGroup": ["1"],
        "rlnOpticsGroupName": ["opticsGroup1"],
        "rlnVoltage": [f"{recipe.voltage_in_kilovolts:.6f}"],
        "rlnSphericalAberration": [f"{recipe.spherical_aberration_in_millimetres:.6f}"],
        "rlnAmplitudeContrast": [f"{recipe.amplitude_contrast:.6f}"],
        "rlnImagePixelSize": [size],
        "rlnImageSize": [str(recipe.box)],
        "rlnImageDimensionality": ["2"],
        "rlnMicrographOriginalPixelSize": [size],
    }
    count, ctf, truth = recipe.particles, scene.ctf, scene.truth
    particles: dict[str, Any] = {
        "rlnImageName": [f"{number:06d}@particles.mrcs" for number in range(1, count + 1)],
        "rlnMicrographName": [f"mic{number:04d}.mrc" for number in scene.micrograph],
        "rlnOpticsGroup": np.ones(count, np.int64),
    }
    if recipe.ctf:
        particles["rlnDefocusU"] = ctf.defocus_u_in_angstroms.round(2)
        particles["rlnDefocusV"] = ctf.defocus_v_in_angstroms.round(2)
        particles["rlnDefocusAngle"] = ctf.defocus_angle_in_degrees.round(3)
    particles["rlnCoordinateX"], particles["rlnCoordinateY"] = scene.coordinates.T
    if recipe.orientations == "helical":
        assert truth.tube is not None
        assert truth.euler is not None
        particles["rlnHelicalTubeID"] = truth.tube + 1
        particles["rlnHelicalTrackLengthAngst"] = scene.track_in_angstroms.round(2)
        particles["rlnAngleTiltPrior"] = np.full(count, 90.0)
        particles["rlnAnglePsiPrior"] = truth.euler[:, 2].round(3)
    tables = {"optics": optics, "particles": particles}
    return {
        name: StarTable({label: text_column(values) for label, values in table.items()})
        for name, table in tables.items()
    }
