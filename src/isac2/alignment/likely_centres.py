"""Where particles most likely lie, given how far from the middle particles lie in general.

The place where a faint image looks most like the common average is often one where noise does. How
much an image says is weighed against how far all particles are spread around their middle, which
the images themselves tell: each place has the probability that its likelihood and the spread give
it, a centre is the mean over the places, and the spread that of the places, in turns
(expectation and maximisation, with the prior on offsets of maximum-likelihood refinement: Sigworth,
J Struct Biol 122:328, 1998).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.rings import shift_grid
from isac2.alignment.search import angle_grid, reference_coefficients
from isac2.alignment.space import SearchSpace
from isac2.workers import Workers

__all__ = ["Spread", "likely_centres", "places_around", "weigh_places"]

_WEIGHT_OF_A_PIXEL = 1 / 3
"""With 1 the best of all angles of noise is taken for the particle: what has been aligned to the
average is in it, noise too."""
_LEAST_DEVIATION = 1.0  # working px
_REACH, _STEP = 16.0, 2.0  # working px, of the places that are weighed
_DEVIATIONS = 3.0  # no farther out than so many of the spread


@dataclass(frozen=True)
class Spread:
    """Where particles lie in general.

    Attributes
    ----------
    middle : float64 (2,)
        x and y from the centre of the box, px.
    deviation : float
        Standard deviation along an axis, px.

    Examples
    --------
    >>> Spread.of(np.array([[1.0, 0.0], [3.0, 0.0]]))
    Spread(middle=array([2., 0.]), deviation=0.7071067811865476)
    """

    middle: NDArray[np.float64]
    deviation: float

    @classmethod
    def of(cls, centres: NDArray[np.float64]) -> Spread:
        """Spread of known centres (n, 2)."""
        return cls.of_moments(centres, (centres**2).sum(axis=1))

    @classmethod
    def of_moments(cls, centres: NDArray[np.float64], squares: NDArray[np.float64]) -> Spread:
        """Spread of particles whose places have these means (n, 2) and mean squares (n,)."""
        middle = centres.mean(axis=0)
        variance = (squares.mean() - (middle**2).sum()) / 2
        return cls(middle, float(np.sqrt(max(0.0, variance))))

    def scaled(self, factor: float) -> Spread:
        """The same in pixels that are so many times smaller."""
        return Spread(self.middle * factor, self.deviation * factor)


def weigh_places(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    found: NDArray[np.float64],
    reference: tuple[NDArray[np.float32], float],
    spread: Spread,
    space: SearchSpace,
    workers: Workers,
    pixel: float = 1.0,
) -> tuple[NDArray[np.float64], Spread]:
    """Where each particle most likely lies, and how particles are spread.

    Parameters
    ----------
    images : float32 (N, n, n)
        Their noise has unit variance.
    rows : int64 (m,)
    found : float64 (m, 2)
        Where they look most like the reference, x and y from the centre of the box, px; it is one
        of the places.
    reference : tuple
        The common average, float32 (n, n), and the frequency (1/px) that it is limited to.
    spread : Spread
        Where particles lie in general, as far as it is known.
    space : SearchSpace
        Says the rings; without translations.
    workers : Workers
    pixel : float
        Working pixels that one pixel of these images spans.

    Returns
    -------
    centres : float64 (m, 2)
    spread : Spread
    """
    farthest = space.farthest_centre(images.shape[-1])
    spread = Spread(spread.middle, max(spread.deviation, _LEAST_DEVIATION / pixel))
    step = _STEP / pixel
    reach = min(_REACH / pixel, _DEVIATIONS * spread.deviation, farthest + step)
    grid = shift_grid(reach, reach, step)
    block = space.backend.images_a_block

    def weigh(first: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        some = slice(first, first + block)
        places, possible = places_around(spread.middle, grid, step, found[some], farthest)
        similarities = _similarities(images, rows[some], places, reference, space)
        similarities[~possible] = -np.inf
        return likely_centres(similarities, places, space.radius, spread)

    done = workers.map(weigh, range(0, len(rows), block))
    centres = np.concatenate([some for some, _ in done])
    return centres, Spread.of_moments(centres, np.concatenate([squares for _, squares in done]))


def places_around(
    middle: NDArray[np.float64],
    grid: NDArray[np.float64],
    step: float,
    found: NDArray[np.float64],
    farthest: float,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The places of each image: a grid around the middle that runs through where it was found.

    Returns
    -------
    places : float64 (m, t + 1, 2)
        The last one is where the image was found.
    possible : bool (m, t + 1)
        Not too far out, and each place but once.

    Examples
    --------
    >>> grid = shift_grid(2.0, 0.0, 2.0)
    >>> found = np.array([[0.5, 0.0], [6.5, 0.0]])
    >>> places, possible = places_around(np.zeros(2), grid, 2.0, found, 8)
    >>> [places[i, possible[i], 0].tolist() for i in (0, 1)]
    [[0.5, -1.5, 2.5], [0.5, -1.5, 2.5, 6.5]]
    """
    from_middle = found - middle
    beside = from_middle - step * np.round(from_middle / step)
    places = np.empty((len(found), len(grid) + 1, 2))
    places[:, :-1] = middle + beside[:, None] + grid
    places[:, -1] = np.clip(found, -farthest, farthest)  # always possible
    possible = np.asarray((np.abs(places) <= farthest).all(axis=-1))
    again = (np.abs(places[:, :-1] - places[:, -1:]) < step / 2).all(axis=-1) & possible[:, :-1]
    possible[:, -1] = ~again.any(axis=1)
    return np.clip(places, -farthest, farthest), possible


def _similarities(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    places: NDArray[np.float64],
    reference: tuple[NDArray[np.float32], float],
    space: SearchSpace,
) -> NDArray[np.float32]:
    """Similarity of images to a reference, at its best angle and mirror, at each place; (m, t)."""
    average, limit = reference
    geometry, table = space.geometry(limit), space.sampling_table(limit)
    angles, backend = angle_grid(geometry.n_orders), space.backend
    known = reference_coefficients(average[None], geometry, backend)
    found = np.empty((len(rows), places.shape[1]), np.float32)
    for number in range(places.shape[1]):
        centres = np.ascontiguousarray(places[:, number])
        bank = backend.ring_bank(images, rows, centres, geometry, table)
        found[:, number] = backend.find_largest(bank, known, angles, None)[:, 0]
    return found


def likely_centres(
    similarities: NDArray[np.float32],
    places: NDArray[np.float64],
    radius: int,
    spread: Spread,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean place of each particle, and the mean square of how far it is from the box's centre.

    Parameters
    ----------
    similarities : float32 (n, t)
        Of images whose noise has unit variance, at each place; minus infinity: it is none.
    places : float64 (n, t, 2)
        Of each image, px.
    radius : int
        Of the disc that is compared, px.
    spread : Spread
        Where particles lie in general.

    Returns
    -------
    centres : float64 (n, 2)
    squares : float64 (n,)

    Examples
    --------
    >>> places = np.array([[[0.0, 0.0], [8.0, 0.0]]])
    >>> general = Spread(np.zeros(2), 2.0)
    >>> faint, clear = np.float32([[0.0, 0.01]]), np.float32([[0.0, 0.1]])
    >>> likely_centres(faint, places, 15, general)[0].round(1).tolist()
    [[0.0, 0.0]]
    >>> likely_centres(clear, places, 15, general)[0].round(1).tolist()
    [[8.0, 0.0]]
    """
    evidence = _WEIGHT_OF_A_PIXEL * np.pi * radius**2 * similarities.astype(np.float64)
    far = ((places - spread.middle) ** 2).sum(axis=-1) / (2 * spread.deviation**2)
    logarithm = evidence - far
    weights = np.exp(logarithm - logarithm.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    centres = (weights[..., None] * places).sum(axis=1)
    return centres, (weights * (places**2).sum(axis=-1)).sum(axis=1)
