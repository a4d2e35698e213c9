"""From what is on the images to their pixels: projections, shifts, CTF, junk and noise.

Everything is done on images twice as wide, whose first `box` pixels are kept: what the CTF spreads
over one edge does not come back at the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from isac2.classes.orientations_in_class import euler_matrices
from isac2.images.ctf import ctf_2d
from isac2.simulate.junk import edge_image, ice_image
from isac2.simulate.molecule import Molecule
from isac2.simulate.noise import coloured_amplitudes, image_generators, noise_images
from isac2.simulate.projection import central_slices, projection_volume, shift_phases
from isac2.simulate.recipe import Recipe
from isac2.simulate.scene import GOOD, Instances, Scene, junk_number

__all__ = ["Levels", "Renderer"]

_JUNK_STREAM = 3
_LEVEL_IMAGES = 64
_INT8_SIGMA = 20.0


@dataclass(frozen=True)
class Levels:
    """Grey levels of a stack, in the units of the molecules' densities.

    Attributes
    ----------
    signal : float
        Standard deviation of the clean, CTF-free signal within the particle's disc.
    noise : float
        Standard deviation of the noise that gives the wanted SNR; it becomes 1 in the images.
    """

    signal: float
    noise: float


class Renderer:
    """Renders the images of a scene, any of them in any order, with the same result.

    Parameters
    ----------
    recipe : Recipe
    scene : Scene
    molecules : sequence of Molecule
        By label.
    """

    def __init__(self, recipe: Recipe, scene: Scene, molecules: list[Molecule]) -> None:
        self._recipe, self._scene = recipe, scene
        self._box, self._size = recipe.box, 2 * recipe.box
        self._pixel_size = recipe.pixel_size_in_angstroms
        self._volumes = [projection_volume(m, self._size, self._pixel_size) for m in molecules]
        self._colour = coloured_amplitudes(recipe.box) if recipe.noise == "coloured" else None
        radius = max(m.radius_in_angstroms for m in molecules) / self._pixel_size
        offsets = np.arange(self._box) - self._box // 2
        self._disc = offsets[:, None] ** 2 + offsets**2 <= radius**2
        self.levels = self._measure_levels()

    def views(self) -> NDArray[np.float32]:
        """Return the clean projections (v, box, box) of the discrete views, psi 0, no mirror.

        Their grey levels are those of the particles before the CTF.
        """
        directions = self._scene.view_directions
        count = len(directions)
        euler = np.column_stack([directions, np.zeros(count)])
        label = np.arange(count) // self._recipe.views
        instances = Instances(np.arange(count), label, euler, np.zeros((count, 2)))
        images = self._pixels(self._spectra(instances, count)) / np.float32(self.levels.noise)
        return np.asarray(images, np.float32)

    def images(self, start: int, stop: int) -> NDArray[np.float32] | NDArray[np.int8]:
        """Return images `start` to `stop`, float32 or int8 (n, box, box), noise of variance 1."""
        numbers = range(start, stop)
        images = self._signal(start, stop) / np.float32(self.levels.noise)
        if np.isfinite(self._recipe.snr):
            images += noise_images(self._recipe.seed, numbers, self._box, self._colour)
        if self._recipe.pixel_type == "int8":
            return np.asarray(np.clip(np.rint(_INT8_SIGMA * images), -127, 127), np.int8)
        return np.asarray(images, np.float32)

    def _measure_levels(self) -> Levels:
        """Measure the signal on the first good images, with and without the CTF."""
        truth = self._scene.truth
        assert truth.label is not None
        assert truth.euler is not None
        rows = np.flatnonzero(truth.junk == GOOD)[:_LEVEL_IMAGES]
        instances = Instances(
            np.arange(len(rows)), truth.label[rows], truth.euler[rows], np.zeros((len(rows), 2))
        )
        spectra = self._spectra(instances, len(rows))
        clean = self._pixels(spectra)[:, self._disc].var(axis=1, dtype=np.float64).mean()
        seen = clean
        if self._recipe.ctf:
            spectra *= ctf_2d(self._size, self._pixel_size, self._scene.ctf[rows])
            seen = self._pixels(spectra)[:, self._disc].var(axis=1, dtype=np.float64).mean()
        snr = self._recipe.snr
        noise = float(np.sqrt(seen / snr)) if np.isfinite(snr) else float(np.sqrt(seen))
        return Levels(signal=float(np.sqrt(clean)), noise=noise)

    def _signal(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return noise-free images, in the units of the densities."""
        spectra = self._spectra(self._scene.instances.of_images(start, stop), stop - start)
        self._add_junk(spectra, start, stop)
        if self._recipe.ctf:
            spectra *= ctf_2d(self._size, self._pixel_size, self._scene.ctf[start:stop])
        return self._pixels(spectra)

    def _spectra(self, instances: Instances, count: int) -> NDArray[np.complex64]:
        """Return the transforms (count, size, size // 2 + 1) of images of these molecules."""
        spectra = np.zeros((count, self._size, self._size // 2 + 1), np.complex64)
        for label, (volume, scale) in enumerate(self._volumes):
            rows = np.flatnonzero(instances.label == label)
            matrices = euler_matrices(instances.euler[rows].reshape(-1, 3))
            slices = central_slices(volume, scale, matrices, self._size)
            slices *= shift_phases(instances.shift[rows] + self._box // 2, self._size)
            np.add.at(spectra, instances.image[rows], slices)
        return spectra

    def _add_junk(self, spectra: NDArray[np.complex64], start: int, stop: int) -> None:
        """Add ice and edges, in place."""
        junk = self._scene.truth.junk[start:stop]
        generators = image_generators(self._recipe.seed, range(start, stop), _JUNK_STREAM)
        for kind, draw in (("ice", ice_image), ("edge", edge_image)):
            for row in np.flatnonzero(junk == junk_number(kind)):
                image = draw(generators[row], self._size, self._box)
                spectra[row] += scipy.fft.rfft2(image * np.float32(self.levels.signal))

    def _pixels(self, spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
        images = scipy.fft.irfft2(spectra, (self._size, self._size))
        return np.ascontiguousarray(images[:, : self._box, : self._box], np.float32)
