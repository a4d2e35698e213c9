"""Full correction of the CTF: averages weighted by it, divided by the sum of its squares.

With images ``d_i = c_i S + noise`` (c_i the CTF), the best linear estimate of the signal is
``sum(c_i d_i) / (sum(c_i^2) + q)``, q the power of the noise over that of the signal (a Wiener
filter). Images are padded to twice their box for it, so that the CTF is sampled finely enough.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from isac2.images.ctf import CtfParameters, ctf_2d, ctf_phase_terms
from isac2.images.filters import frequency_grid
from isac2.poses import PoseArray

__all__ = [
    "CtfSums",
    "ctf_in_poses",
    "divide_by_ctf",
    "ring_means",
    "weigh_by_ctf",
    "wiener_filter",
]

_TILE_BYTES = 2**20  # of the images transformed together: they fit the cache


def _images_a_tile(box: int) -> int:
    """How many images of a box are transformed together."""
    return int(max(1, _TILE_BYTES // (16 * box * (box + 1))))


def weigh_by_ctf(
    images: NDArray[np.float32],
    ctf: CtfParameters,
    pixel_size_in_angstroms: ArrayLike,
    flipped: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Multiply the images' transforms by their CTFs, on twice the box.

    Parameters
    ----------
    images : float32 (m, n, n)
        Of mean about zero.
    ctf : CtfParameters
        Of the m images.
    pixel_size_in_angstroms : float or (m,)
    flipped : bool (m,), optional
        Images whose phases have been flipped already: the CTF's magnitude counts.

    Returns
    -------
    float32 (m, n, n)
    """
    from isac2.images.ctf_kernels import multiply_by_ctf

    box = images.shape[-1]
    terms = ctf_phase_terms(ctf, pixel_size_in_angstroms)
    known = np.zeros(len(images), np.bool_) if flipped is None else flipped
    weighed = np.empty(images.shape, np.float32)
    step = _images_a_tile(box)
    for start in range(0, len(images), step):
        tile = slice(start, start + step)
        spectra = _padded_transform(images[tile])
        multiply_by_ctf(spectra, terms[tile], known[tile])
        weighed[tile] = _corner(spectra, box)
    return weighed


def wiener_filter(
    images: NDArray[np.float32],
    ctf: CtfParameters,
    pixel_size_in_angstroms: ArrayLike,
    flipped: NDArray[np.bool_] | None = None,
    noise: float = 0.1,
) -> NDArray[np.float32]:
    """Correct the CTF of each image for itself: ``c / (c^2 + noise)``, on twice the box.

    The parameters are those of `weigh_by_ctf`; `noise` is its power over the signal's.
    """
    box = images.shape[-1]
    known = np.zeros(len(images), np.bool_) if flipped is None else flipped
    corrected = np.empty(images.shape, np.float32)
    step = _images_a_tile(box)
    for start in range(0, len(images), step):
        tile = slice(start, min(start + step, len(images)))
        rows = np.arange(tile.start, tile.stop)
        size = np.broadcast_to(pixel_size_in_angstroms, (len(images),))[tile]
        c = ctf_2d(2 * box, size, ctf[rows])
        c = np.where(known[tile, None, None], np.abs(c), c)
        corrected[tile] = _corner(_padded_transform(images[tile]) * (c / (c * c + noise)), box)
    return corrected


def _padded_transform(images: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Transform images (m, n, n) as on twice their box, complex64 (m, 2 n, n + 1).

    The rows of zeros that the padding adds are not transformed.
    """
    box = images.shape[-1]
    rows = scipy.fft.rfft(images, 2 * box, axis=-1)
    return np.asarray(scipy.fft.fft(rows, 2 * box, axis=-2, overwrite_x=True))


def _corner(spectra: NDArray[np.complex64], box: int) -> NDArray[np.float32]:
    """Transform back (m, 2 n, n + 1) to the first n x n pixels, float32."""
    columns = scipy.fft.ifft(spectra, axis=-2, overwrite_x=True)[:, :box]
    return np.asarray(scipy.fft.irfft(columns, 2 * box, axis=-1)[..., :box], dtype=np.float32)


def ctf_in_poses(ctf: CtfParameters, poses: PoseArray) -> CtfParameters:
    """Return the CTFs of images after they have been moved by poses: astigmatism turns with them.

    Examples
    --------
    >>> from isac2.poses import make_poses
    >>> ctf = CtfParameters(*(np.array([x]) for x in (1e4, 9e3, 30.0, 300.0, 2.7, 0.1, 0.0)))
    >>> ctf_in_poses(ctf, make_poses([10.0], 0.0, 0.0, 1)).defocus_angle_in_degrees
    array([-20.])
    """
    turned = ctf.defocus_angle_in_degrees - poses["alpha"]
    angle = np.where(poses["mirror"] != 0, -turned, turned)  # 180 - angle, the same axis
    return replace(ctf, defocus_angle_in_degrees=angle)


@dataclass(frozen=True)
class CtfSums:
    """What averages with the CTF corrected are made of, one sum a group; both grow in place.

    Attributes
    ----------
    weighed : complex128 (K, 2 n, n + 1)
        Transforms of images on twice their box n, times their CTFs.
    squares : float64 (K, 2 n, n + 1)
        Of the CTFs.
    """

    weighed: NDArray[np.complex128]
    squares: NDArray[np.float64]

    @classmethod
    def zeros(cls, group_count: int, box: int) -> CtfSums:
        """Return sums of nothing, for images of a box in px."""
        shape = group_count, 2 * box, box + 1
        return cls(np.zeros(shape, np.complex128), np.zeros(shape))

    def add(
        self,
        images: NDArray[np.float32],
        ctf: CtfParameters,
        pixel_size_in_angstroms: ArrayLike,
        groups: NDArray[np.int64],
        flipped: NDArray[np.bool_] | None = None,
    ) -> None:
        """Add images; the same in several parts, in the same order, gives the same bytes.

        Parameters
        ----------
        images : float32 (m, n, n)
            Of mean about zero.
        ctf : CtfParameters
            Of the m images as they lie here (`ctf_in_poses`).
        pixel_size_in_angstroms : float or (m,)
        groups : int64 (m,)
        flipped : bool (m,), optional
            Images whose phases have been flipped already: the CTF's magnitude counts.
        """
        from isac2.images.ctf_kernels import add_weighed

        terms = ctf_phase_terms(ctf, pixel_size_in_angstroms)
        known = np.zeros(len(images), np.bool_) if flipped is None else flipped
        step = _images_a_tile(images.shape[-1])
        total = self.weighed.view(np.float64)
        for start in range(0, len(images), step):
            tile = slice(start, start + step)
            spectra = _padded_transform(images[tile]).view(np.float32)
            add_weighed(spectra, terms[tile], known[tile], groups[tile], total, self.squares)


def ring_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of coefficients (n, n // 2 + 1) on each ring, float64 (n // 2 + 1,).

    Examples
    --------
    >>> ring_means(np.ones((4, 3))).tolist()
    [1.0, 1.0, 1.0]
    """
    box = values.shape[0]
    ring = np.rint(frequency_grid(box) * box).astype(np.int64).ravel()
    weight = np.full(values.shape, 2.0)
    weight[:, 0] = 1.0
    total = np.bincount(ring, (weight * values).ravel())
    return np.asarray((total / np.bincount(ring, weight.ravel()))[: box // 2 + 1])


def divide_by_ctf(sums: CtfSums, noise: NDArray[np.float64]) -> NDArray[np.float32]:
    """Divide sums of weighed images by the sums of squared CTFs.

    Parameters
    ----------
    sums : CtfSums
        Of K groups of images of a box n.
    noise : float64 (k,)
        What is added to the squares, on rings at equal spacing from frequency 0 to Nyquist.

    Returns
    -------
    float32 (K, n, n)
    """
    box = sums.weighed.shape[-1] - 1
    rings = np.linspace(0.0, 0.5, len(noise))
    below = sums.squares + np.interp(frequency_grid(2 * box), rings, noise)
    spectrum = np.divide(sums.weighed, below, out=np.zeros_like(sums.weighed), where=below > 0)
    found = scipy.fft.irfft2(spectrum, (2 * box, 2 * box), overwrite_x=True)[:, :box, :box]
    return np.asarray(found, dtype=np.float32)
