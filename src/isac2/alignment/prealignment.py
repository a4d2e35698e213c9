"""Pre-alignment: all images, reference-free, to one common average, to find where particles lie.

The common average of all views is a blob without detail, low-passed as far as its halves agree; so
the images may be handed in at half the working resolution (`coarse_radius`), at a fraction of the
cost. The whole range of translations is searched in a few rounds only; in between an image's
surroundings are enough, because the rounds walk. In the end what each image says is weighed against
how far particles are spread (`isac2.alignment.likely_centres`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from isac2.alignment.backends import cpu
from isac2.alignment.centring import centre_average
from isac2.alignment.likely_centres import Spread, weigh_places
from isac2.alignment.reference_free import is_shaken
from isac2.alignment.search import angle_grid, discrete_angles, reference_coefficients
from isac2.alignment.space import SearchSpace, centres_from_poses, poses_from_search
from isac2.images.filters import fourier_shift, tanh_low_pass
from isac2.images.resample import resample
from isac2.images.spectra import fit_low_pass, fourier_ring_correlation
from isac2.images.transform import average_in_poses
from isac2.poses import PoseArray, compose, identity_poses, make_poses
from isac2.workers import Workers

__all__ = ["PreAlignment", "centre_on_average", "coarse_radius", "pre_align", "search_stages"]

_ROUNDS_A_STAGE = 14
_WIDE_ROUNDS = (0, 5)  # of a stage: these search its whole range
_NEAR_STEPS = 2  # the other rounds' range; with less, a peak beside the middle cannot be refined
_SMALLEST_COARSE_RADIUS = 12
_LOWEST_CUTOFF, _HIGHEST_CUTOFF = 0.12, 0.4
_NYQUIST = 0.5
_ROLL_OFF = 1.25
_LIKELY_ROUNDS = 4
_SAMPLE = 600  # images that are enough to find the common average
_MEAN_SHIFT = -1  # centring methods
_NO_CENTRING = 0

_Spaces = Callable[[float, float], SearchSpace]  # of a range and a step of translations, px
_Reference = tuple[NDArray[np.float32], float]  # an average, and its cut-off in 1/px


@dataclass(frozen=True)
class PreAlignment:
    """Where the particle is in each image.

    Attributes
    ----------
    centres : float64 (n, 2)
        x and y of the particle from the centre of the box, px.
    averages : float32 (rounds, n, n)
        The common average after each round; the last one is that of all images at their centres.
    spread : Spread
        Of the particles around the middle of their images, px.
    """

    centres: NDArray[np.float64]
    averages: NDArray[np.float32]
    spread: Spread


def coarse_radius(radius: int) -> int:
    """Particle radius (px) that is enough for pre-alignment, for a radius in working images.

    Examples
    --------
    >>> coarse_radius(29), coarse_radius(15)
    (14, 15)
    """
    half = radius // 2
    return half if half >= _SMALLEST_COARSE_RADIUS else radius


def search_stages(box: int, radius: int) -> list[tuple[int, int]]:
    """Range and step (px) of the translations, widest first.

    Examples
    --------
    >>> search_stages(82, 29)
    [(8, 2), (4, 1)]
    >>> search_stages(66, 29)
    [(3, 1)]
    """
    margin = (box - 2 * (radius + 1)) // 2
    stages = []
    while margin // 4 > 0:
        stages.append((4 * (margin // 4), margin // 4))
        margin //= 2
    return stages or [(max(0, margin), 1)]


def pre_align(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    radius: int,
    center_method: int,
    workers: Workers,
    pixel: float = 1.0,
    notify: Callable[[int, int], None] | None = None,
    device: str = "cpu",
) -> PreAlignment:
    """Align images reference-free to one common average.

    Of many images some, evenly spread, make the average in many rounds; then all are centred on it.

    Parameters
    ----------
    images : float32 (N, n, n)
        Particles in a box that leaves room to look around.
    rows : int64 (m,)
        Images to align; the others keep their centre.
    radius : int
        Particle radius in these images, px.
    center_method : int
        How the average is kept in the middle: -1 by the mean shift of the images, 0 not at all,
        1 to 7 by its own looks (`isac2.alignment.centring.centre_average`).
    workers : Workers
    pixel : float
        Working pixels that one pixel of these images spans; the ranges and steps of the search, the
        limits of the low-pass filter and the centring are those of working pixels.
    notify : callable, optional
        Told (rounds done, rounds in all).
    device : str
        What computes it, as in a `SearchSpace`.

    Returns
    -------
    PreAlignment
        In pixels of these images.
    """
    how = radius, center_method, pixel
    sample = rows[:: -(-len(rows) // _SAMPLE)]
    spaces = partial(_square_search, radius, device)
    rounds = _rounds_from_nothing(spaces, _stages(images.shape[-1], radius, pixel))
    total = len(rounds) + _LIKELY_ROUNDS + 1
    progress = iter(range(1, total + 1))

    def tell() -> None:
        if notify is not None:
            notify(next(progress), total)

    averages, poses = _align_in_rounds(images, sample, rounds, how, workers, tell)
    found = centres_from_poses(poses)
    spread = Spread.of(found)
    still = spaces(0.0, 1.0)
    for _ in range(_LIKELY_ROUNDS):
        known = _limited(averages[-1])
        likely, spread = weigh_places(images, sample, found, known, spread, still, workers, pixel)
        averages.append(_average_there(images, sample, likely, averages[-1], still, how, workers))
        tell()
    likely, spread = centre_on_average(
        images, rows, averages[-1], spread, radius, workers, pixel, device
    )
    averages.append(_average_there(images, rows, likely, averages[-1], still, how, workers))
    tell()
    centres = np.zeros((len(images), 2))
    centres[rows] = likely
    return PreAlignment(centres, np.stack([average for average, _ in averages]), spread)


def centre_on_average(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    reference: tuple[NDArray[np.float32], float],
    spread: Spread,
    radius: int,
    workers: Workers,
    pixel: float = 1.0,
    device: str = "cpu",
) -> tuple[NDArray[np.float64], Spread]:
    """Find particles by an average that is known: where they look like it, and likely lie.

    Parameters
    ----------
    images, radius, workers, pixel, device
        As of `pre_align`.
    rows : int64 (m,)
        Images to centre.
    reference : tuple
        The average, float32 (n, n), and the cut-off of its low-pass filter, 1/px.
    spread : Spread
        Where particles lie in general, px.

    Returns
    -------
    centres : float64 (m, 2)
        x and y from the centre of the box, px.
    spread : Spread
        That of these particles; without any, as it was.
    """
    if not len(rows):
        return np.empty((0, 2)), spread
    poses: PoseArray = identity_poses(len(rows))
    for reach, step in _stages(images.shape[-1], radius, pixel):
        space = _square_search(radius, device, reach, step)
        poses = _align_to_average(images, rows, poses, reference, (space, False), workers)
    found, still = centres_from_poses(poses), _square_search(radius, device, 0.0, 1.0)
    return weigh_places(images, rows, found, _limited(reference), spread, still, workers, pixel)


def _stages(box: int, radius: int, pixel: float) -> list[tuple[float, float]]:
    """Range and step of the translations, widest first, in these images' px."""
    stages = search_stages(round(box * pixel), round(radius * pixel))
    return [(reach / pixel, step / pixel) for reach, step in stages]


def _rounds_from_nothing(
    spaces: _Spaces, stages: list[tuple[float, float]]
) -> list[tuple[SearchSpace, bool]]:
    """Translations that each round searches, and whether it is shaken, when no average is known."""
    total = _ROUNDS_A_STAGE * len(stages)
    rounds: list[tuple[SearchSpace, bool]] = []
    for reach, step in stages:
        wide = spaces(reach, step)
        near = spaces(min(reach, _NEAR_STEPS * step), step)
        for number in range(_ROUNDS_A_STAGE):
            shaken = is_shaken(len(rounds), total)
            rounds.append((wide if number in _WIDE_ROUNDS else near, shaken))
    return rounds


def _align_in_rounds(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    rounds: list[tuple[SearchSpace, bool]],
    how: tuple[int, int, float],
    workers: Workers,
    tell: Callable[[], None],
) -> tuple[list[_Reference], PoseArray]:
    """Align images to their average round by round.

    Returns the average of each round and that of the images as they are in the end, and the poses.
    """
    poses: PoseArray = identity_poses(len(rows))
    averages: list[_Reference] = []
    for space, shaken in rounds:
        reference, poses = _centred_average(images, rows, poses, how, workers)
        averages.append(reference)
        poses = _align_to_average(images, rows, poses, reference, (space, shaken), workers)
        tell()
    reference, poses = _centred_average(images, rows, poses, how, workers)
    return [*averages, reference], poses


def _average_there(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    centres: NDArray[np.float64],
    reference: _Reference,
    space: SearchSpace,
    how: tuple[int, int, float],
    workers: Workers,
) -> _Reference:
    """Average of images that lie at known centres, turned as they look most like a reference."""
    there = make_poses(0.0, -centres[:, 0], -centres[:, 1], 0)
    poses = _align_to_average(images, rows, there, reference, (space, False), workers)
    return _centred_average(images, rows, poses, how, workers)[0]


def _limited(reference: _Reference) -> _Reference:
    """The average, and the frequency beyond which its filter leaves nothing."""
    average, cutoff = reference
    return average, min(_NYQUIST, cutoff * _ROLL_OFF)


def _square_search(radius: int, device: str, reach: float, step: float) -> SearchSpace:
    """Rings of a disc, and the same range of translations along both axes."""
    return SearchSpace(radius, x_range=reach, y_range=reach, translation_step=step, device=device)


def _centred_average(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    poses: PoseArray,
    how: tuple[int, int, float],
    workers: Workers,
) -> tuple[_Reference, PoseArray]:
    """Average in poses, low-passed and moved to the middle of the box; the poses, moved with it."""
    average, cutoff = _filtered_average(images, rows, poses, how[2], workers)
    centred, moved = _centre(average, poses, how)
    return (centred, cutoff), moved


def _filtered_average(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    poses: PoseArray,
    pixel: float,
    workers: Workers,
) -> _Reference:
    """Average in poses, low-passed as its halves agree, and the cut-off (1/px)."""

    def halves(first: int) -> NDArray[np.float64]:
        some = slice(first, first + 256)
        parity = np.arange(first, first + len(rows[some])) % 2
        averages = average_in_poses(images[rows[some]], poses[some], parity, 2)
        counts = np.bincount(parity, minlength=2)
        return averages.astype(np.float64) * counts[:, None, None]

    sums = np.zeros((2, *images.shape[1:]))
    for part in workers.map(halves, range(0, len(rows), 256)):
        sums += part
    half = (len(rows) + 1) // 2
    odd, even = sums[0] / half, sums[1] / max(1, len(rows) - half)
    curve = fourier_ring_correlation(odd.astype(np.float32), even.astype(np.float32))
    limits = _LOWEST_CUTOFF * pixel, min(_NYQUIST, _HIGHEST_CUTOFF * pixel)
    cutoff, falloff = fit_low_pass(curve, limits)
    average = (sums.sum(axis=0) / len(rows)).astype(np.float32)
    return tanh_low_pass(average, cutoff, falloff), cutoff


def _centre(
    average: NDArray[np.float32], poses: PoseArray, how: tuple[int, int, float]
) -> tuple[NDArray[np.float32], PoseArray]:
    """Move the average to the middle of the box, and the images' poses with it."""
    radius, method, pixel = how
    if method == _NO_CENTRING:
        return average, poses
    if method == _MEAN_SHIFT:
        x = np.where(poses["mirror"] == 1, -poses["tx"], poses["tx"])
        move = -np.array([x.mean(), poses["ty"].mean()])
    else:
        full = resample(average[None], pixel)[0]
        move = np.asarray(centre_average(full, method, round(radius * pixel))) / pixel
    shifted = fourier_shift(average[None], move[None])[0]
    return shifted, compose(poses, make_poses(0.0, move[0], move[1], np.zeros(len(poses), np.int8)))


def _align_to_average(
    images: NDArray[np.float32],
    rows: NDArray[np.int64],
    poses: PoseArray,
    known: _Reference,
    how: tuple[SearchSpace, bool],
    workers: Workers,
) -> PoseArray:
    """Best pose of every image against the average, around its present centre."""
    (average, limit), (space, shaken) = _limited(known), how
    geometry, table = space.geometry(limit), space.sampling_table(limit)
    angles = angle_grid(geometry.n_orders)
    if shaken:
        angles = discrete_angles(90.0, geometry.n_orders)
    backend = space.backend
    reference = reference_coefficients(average[None], geometry, backend)
    middles = space.permitted(centres_from_poses(poses), images.shape[-1])

    def align_block(first: int) -> tuple[NDArray[np.float64], cpu.Peaks]:
        some = slice(first, first + backend.images_a_block)
        bank = backend.ring_bank(images, rows[some], middles[some], geometry, table)
        alike = np.zeros(len(middles[some]), np.int64)
        return middles[some], backend.find_peaks(
            bank, alike, reference, (angles, None), table, refine=not shaken
        )

    found = workers.map(align_block, range(0, len(rows), backend.images_a_block))
    centres = np.concatenate([centre + peaks.move[:, 0] for centre, peaks in found])
    angle = np.concatenate([peaks.angle[:, 0] for _, peaks in found])
    mirror = np.concatenate([peaks.mirror[:, 0] for _, peaks in found])
    return poses_from_search(centres, angle, mirror)
