"""What is on every image of a stack, drawn before anything is rendered.

All random numbers but those of the pixels are drawn here, for the whole stack at once, so that they
do not depend on how the rendering is cut into chunks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isac2.classes.truth import JUNK_NAMES, Truth
from isac2.images.ctf import CtfParameters
from isac2.simulate.molecule import (
    FILAMENT_RISE_IN_ANGSTROMS,
    FILAMENT_TWIST_IN_DEGREES,
    is_built_in,
)
from isac2.simulate.orientations import (
    draw_preferred,
    draw_segments,
    draw_uniform,
    draw_views,
    spread_directions,
)
from isac2.simulate.recipe import JUNK_KINDS, Recipe

__all__ = ["GOOD", "Instances", "Scene", "draw_scene", "junk_number"]

GOOD = 0
_DEFOCUS_SCATTER_IN_ANGSTROMS = 150.0
_MICROGRAPH_SIDE = 4096


@dataclass(frozen=True)
class Instances:
    """Molecules on images: k of them, in the order of their images.

    Attributes
    ----------
    image : int64 (k,)
    label : int64 (k,)
        Which molecule.
    euler : float64 (k, 3)
    shift : float64 (k, 2)
        Pixels from the box's centre, x and y.
    """

    image: NDArray[np.int64]
    label: NDArray[np.int64]
    euler: NDArray[np.float64]
    shift: NDArray[np.float64]

    def of_images(self, start: int, stop: int) -> Instances:
        """Return those on images `start` to `stop`, the images counted from `start`."""
        low, high = np.searchsorted(self.image, [start, stop])
        rows = slice(low, high)
        return Instances(
            self.image[rows] - start, self.label[rows], self.euler[rows], self.shift[rows]
        )


@dataclass(frozen=True)
class Scene:
    """All images of a stack before rendering.

    Attributes
    ----------
    truth : Truth
        With every array there.
    view_directions : float64 (molecules * views, 2)
        rot and tilt of each view's number; empty unless views are discrete. Views of the second
        molecule follow those of the first.
    ctf : CtfParameters
        Of each image.
    instances : Instances
        What molecules are where; none on images of noise, ice or an edge.
    micrograph : int64 (n,)
    coordinates : int64 (n, 2)
    track_in_angstroms : float64 (n,)
        Length along the filament; 0 without filaments.
    """

    truth: Truth
    view_directions: NDArray[np.float64]
    ctf: CtfParameters
    instances: Instances
    micrograph: NDArray[np.int64]
    coordinates: NDArray[np.int64]
    track_in_angstroms: NDArray[np.float64]


@dataclass(frozen=True)
class _Orientations:
    """How the molecules lie; fields as those of `Scene` and its truth."""

    euler: NDArray[np.float64]
    view: NDArray[np.int64]
    mirror: NDArray[np.int64]
    tube: NDArray[np.int64]
    track_in_angstroms: NDArray[np.float64]
    view_directions: NDArray[np.float64]


def junk_number(kind: str) -> int:
    """Return a kind's number in the truth: ``noise`` is 1."""
    return JUNK_KINDS.index(kind) + 1


def draw_scene(recipe: Recipe, radius_in_pixels: float) -> Scene:
    """Draw what is on every image.

    Parameters
    ----------
    recipe : Recipe
    radius_in_pixels : float
        Of the largest molecule: neighbours in aggregates are about that far apart.
    """
    rng = np.random.default_rng([recipe.seed, 1])
    count = recipe.particles
    junk = _draw_junk(rng, recipe)
    micrograph = np.arange(count) // recipe.particles_per_micrograph
    label = rng.integers(0, len(recipe.molecules), count)
    drawn = _draw_orientations(rng, recipe, label)
    shift = _draw_shifts(rng, recipe, junk)
    shows_molecule = np.isin(junk, [GOOD, junk_number("off-centre"), junk_number("aggregate")])
    truth = Truth(
        junk=junk,
        label=np.where(shows_molecule, label, -1),
        view=np.where(shows_molecule, drawn.view, -1),
        mirror=drawn.mirror,
        euler=drawn.euler,
        shift=shift,
        tube=drawn.tube,
        label_names=recipe.molecules,
        junk_names=JUNK_NAMES,
    )
    return Scene(
        truth=truth,
        view_directions=drawn.view_directions,
        ctf=_draw_ctf(rng, recipe, micrograph),
        instances=_instances(rng, truth, len(recipe.molecules), radius_in_pixels),
        micrograph=micrograph,
        coordinates=rng.integers(recipe.box, _MICROGRAPH_SIDE - recipe.box, (count, 2)),
        track_in_angstroms=drawn.track_in_angstroms,
    )


def _draw_orientations(
    rng: np.random.Generator, recipe: Recipe, label: NDArray[np.int64]
) -> _Orientations:
    """Draw how each image's molecule lies."""
    count = recipe.particles
    if recipe.orientations == "views":
        directions = _view_directions(rng, recipe)
        view = label * recipe.views + rng.permutation(count) % recipe.views
        euler, mirror = draw_views(rng, directions, view, recipe.mirrors)
        return replace(_orientations(euler), view=view, mirror=mirror, view_directions=directions)
    if recipe.orientations == "helical":
        segments = draw_segments(
            rng,
            count,
            recipe.segments_per_tube,
            FILAMENT_RISE_IN_ANGSTROMS,
            FILAMENT_TWIST_IN_DEGREES,
        )
        return replace(
            _orientations(segments.euler),
            tube=segments.tube,
            track_in_angstroms=segments.track_in_angstroms,
        )
    draw = draw_uniform if recipe.orientations == "uniform" else draw_preferred
    return _orientations(draw(rng, count))


def _view_directions(rng: np.random.Generator, recipe: Recipe) -> NDArray[np.float64]:
    """Return rot and tilt of all views; conformations of one molecule are seen from the same."""
    first_rot: dict[str, float] = {}
    directions = []
    for name in recipe.molecules:
        drawn = rng.uniform(0, 360)
        molecule = name.replace("bent", "complex") if is_built_in(name) else name
        turn = first_rot.setdefault(molecule, drawn)
        directions.append(spread_directions(recipe.views, turn))
    return np.concatenate(directions)


def _orientations(euler: NDArray[np.float64]) -> _Orientations:
    """Return orientations that are no discrete views and no segments of filaments."""
    none = np.full(len(euler), -1, np.int64)
    return _Orientations(
        euler=euler,
        view=none,
        mirror=np.zeros(len(euler), np.int64),
        tube=none,
        track_in_angstroms=np.zeros(len(euler)),
        view_directions=np.empty((0, 2)),
    )


def _draw_junk(rng: np.random.Generator, recipe: Recipe) -> NDArray[np.int64]:
    """Return the kind of each image, the share of junk exact to one image."""
    total = min(round(recipe.junk_fraction * recipe.particles), recipe.particles - 1)
    kinds = np.array([junk_number(kind) for kind in recipe.junk_kinds], dtype=np.int64)
    junk = np.zeros(recipe.particles, np.int64)
    if total:
        junk[:total] = kinds[np.arange(total) % len(kinds)]
    return np.asarray(rng.permutation(junk), np.int64)


def _draw_shifts(
    rng: np.random.Generator, recipe: Recipe, junk: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Draw places in the disc of the allowed shift; off-centre ones between 0.28 and 0.45 boxes."""
    count = recipe.particles
    distance = recipe.shift_in_pixels * np.sqrt(rng.random(count))
    far = recipe.box * rng.uniform(0.28, 0.45, count)
    distance = np.where(junk == junk_number("off-centre"), far, distance)
    angle = rng.uniform(0, 2 * np.pi, count)
    return np.column_stack([distance * np.cos(angle), distance * np.sin(angle)])


def _draw_ctf(
    rng: np.random.Generator, recipe: Recipe, micrograph: NDArray[np.int64]
) -> CtfParameters:
    """Draw a defocus and an astigmatism a micrograph, and a little scatter a particle."""
    micrographs = int(micrograph[-1]) + 1
    low, high = (1e4 * value for value in recipe.defocus_in_micrometres)
    mean = rng.uniform(low, high, micrographs)[micrograph]
    mean = mean + rng.normal(0, _DEFOCUS_SCATTER_IN_ANGSTROMS, len(micrograph))
    difference = rng.uniform(0, recipe.astigmatism_in_angstroms, micrographs)[micrograph]
    alike = np.ones(len(micrograph))
    return CtfParameters(
        defocus_u_in_angstroms=mean + 0.5 * difference,
        defocus_v_in_angstroms=mean - 0.5 * difference,
        defocus_angle_in_degrees=rng.uniform(0, 180, micrographs)[micrograph],
        voltage_in_kilovolts=recipe.voltage_in_kilovolts * alike,
        spherical_aberration_in_millimetres=recipe.spherical_aberration_in_millimetres * alike,
        amplitude_contrast=recipe.amplitude_contrast * alike,
        phase_shift_in_degrees=0.0 * alike,
    )


def _instances(
    rng: np.random.Generator, truth: Truth, molecules: int, radius_in_pixels: float
) -> Instances:
    """List the molecules on the images: one each, two or three more where they stick together."""
    assert truth.label is not None
    assert truth.euler is not None
    assert truth.shift is not None
    single = np.flatnonzero(truth.label >= 0)
    clumped = np.flatnonzero(truth.junk == junk_number("aggregate"))
    beside = np.repeat(clumped, rng.integers(1, 4, len(clumped)))
    distance = radius_in_pixels * rng.uniform(0.6, 1.3, len(beside))
    angle = rng.uniform(0, 2 * np.pi, len(beside))
    offset = np.column_stack([distance * np.cos(angle), distance * np.sin(angle)])
    image = np.concatenate([single, beside])
    order = np.argsort(image, kind="stable")
    neighbours = rng.integers(0, molecules, len(beside))
    return Instances(
        image=image[order],
        label=np.concatenate([truth.label[single], neighbours])[order],
        euler=np.concatenate([truth.euler[single], draw_uniform(rng, len(beside))])[order],
        shift=np.concatenate([truth.shift[single], truth.shift[beside] + offset])[order],
    )
