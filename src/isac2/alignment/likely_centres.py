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

__all__ = ["Spread", "correlations_at_places", "likely_centres", "places_around", "weigh_places"]

_EVIDENCE = 1 / 3
"""What a pixel counts for. With 1 the best of all angles of noise is taken for the particle: noise
that has been aligned to the average is in it, too."""
_LEAST_SPREAD = 0.5  # px
_REACH, _STEP = 16.0, 2.0  # working px, of the places that are weighed
_IMAGES_AT_A_TIME = 4096  # of whose places a table is in memory
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
        return cls(middle, max(_LEAST_SPREAD, float(np.sqrt(max(0.0, variance)))))


def weigh_places(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    found: NDArray[np.float64],
    reference: tuple[NDArray[np.float32], float],
    general: Spread,
    space: SearchSpace,
    workers: Workers,
    pixel: float = 1.0,
) -> tuple[NDArray[np.float64], Spread]:
    """Where each particle most likely lies, and how particles are spread.

    Weighed are the places around the middle of all and, where it is not among them, the one at
    which the image has been found.

    Parameters
    ----------
    images : float32 (N, n, n)
        Their noise has unit variance.
    rows : int64 (m,)
    found : float64 (m, 2)
        Where they look most like the reference, x and y from the centre of the box, px.
    reference : tuple
        The common average, float32 (n, n), and the frequency (1/px) that it is limited to.
    general : Spread
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
    box = images.shape[-1]
    farthest = space.farthest_centre(box)
    reach = min(_REACH / pixel, _DEVIATIONS * general.deviation, farthest)
    middle = space.permitted(general.middle[None], box)[0]
    around = places_around(middle, reach, _STEP / pixel, farthest)
    inside = (np.abs(found - middle) <= reach + _STEP / pixel).all(axis=1)
    centres, squares = np.empty((len(rows), 2)), np.empty(len(rows))
    for first in range(0, len(rows), _IMAGES_AT_A_TIME):
        some = slice(first, first + _IMAGES_AT_A_TIME)
        places = np.empty((len(rows[some]), len(around) + 1, 2))
        places[:, :-1], places[:, -1] = around, space.permitted(found[some], box)
        correlations = correlations_at_places(images, rows[some], places, reference, space, workers)
        correlations[inside[some], -1] = -np.inf
        centres[some], squares[some] = likely_centres(correlations, places, space.radius, general)
    return centres, Spread.of_moments(centres, squares)


def places_around(
    middle: NDArray[np.float64], reach: float, step: float, farthest: int
) -> NDArray[np.float64]:
    """Places of a square grid around a point, none farther out than `farthest`; (t, 2), px.

    Examples
    --------
    >>> places_around(np.array([2.0, 0.0]), 1.0, 1.0, 2).tolist()
    [[2.0, 0.0], [2.0, -1.0], [1.0, 0.0], [2.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
    """
    places = middle + shift_grid(reach, reach, step)
    return places[(np.abs(places) <= farthest).all(axis=1)]


def correlations_at_places(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    places: NDArray[np.float64],
    reference: tuple[NDArray[np.float32], float],
    space: SearchSpace,
    workers: Workers,
) -> NDArray[np.float32]:
    """Similarity of images to one reference, at its best angle and mirror, at each of some places.

    Parameters
    ----------
    images : float32 (N, n, n)
    rows : int64 (m,)
        Images to compare.
    places : float64 (m, t, 2)
        Of each image: x and y from the centre of the box, px.
    reference : tuple
        float32 (n, n), and the frequency (1/px) that it is limited to.
    space : SearchSpace
        Says the rings.
    workers : Workers

    Returns
    -------
    float32 (m, t)
    """
    average, limit = reference
    geometry, backend = space.geometry(limit), space.backend
    table = geometry.sampling_table(np.zeros((1, 2)))
    angles = angle_grid(geometry.n_orders)
    known = reference_coefficients(average[None], geometry, backend)

    def compare(first: int) -> NDArray[np.float32]:
        some = slice(first, first + backend.images_a_block)
        found = np.empty((len(rows[some]), places.shape[1]), np.float32)
        for number in range(places.shape[1]):
            centres = np.ascontiguousarray(places[some, number])
            bank = backend.ring_bank(images, rows[some], centres, geometry, table)
            found[:, number] = backend.find_largest(bank, known, angles, None)[:, 0]
        return found

    return np.concatenate(workers.map(compare, range(0, len(rows), backend.images_a_block)))


def likely_centres(
    correlations: NDArray[np.float32],
    places: NDArray[np.float64],
    radius: int,
    spread: Spread,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean place of each particle, and the mean square of how far it is from the box's centre.

    Parameters
    ----------
    correlations : float32 (n, t)
        From `correlations_at_places`: of images whose noise has unit variance.
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
    pixels = np.pi * radius**2
    far = ((places - spread.middle) ** 2).sum(axis=-1) / (2 * spread.deviation**2)
    evidence = _EVIDENCE * pixels * correlations.astype(np.float64) - far
    weights = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    centres = (weights[..., None] * places).sum(axis=1)
    return centres, (weights * (places**2).sum(axis=-1)).sum(axis=1)
