"""How well class averages agree with clean projections of the molecule, where those are known.

Pure: an average and a projection in, their correlation out; `isac2.after.fidelity` makes both.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isac2.classes.quality import soft_disc
from isac2.images.spectra import RingCorrelation, fourier_ring_correlation, resolution_at

__all__ = ["AverageFidelity", "Fidelity", "correlate_with_clean", "score_average", "summarise"]

_THRESHOLD = 0.5


@dataclass(frozen=True)
class AverageFidelity:
    """One class's average against the clean projection that it should show.

    Attributes
    ----------
    identifier, size : int
        Number of the class, and its members.
    resolution_in_angstroms : float
        Where their Fourier ring correlation first falls below 0.5; infinite when it never was
        above.
    mean_correlation : float
        Mean of the curve over the rings from the first to Nyquist.
    """

    identifier: int
    size: int
    resolution_in_angstroms: float
    mean_correlation: float


@dataclass(frozen=True)
class Fidelity:
    """All averages against their clean projections, each with the weight of its members.

    Attributes
    ----------
    averages : tuple of AverageFidelity
    resolution_in_angstroms : float or None
        Median over particles of their class's resolution; None without classes.
    mean_correlation : float or None
        Mean over particles of their class's mean correlation.
    """

    averages: tuple[AverageFidelity, ...]
    resolution_in_angstroms: float | None
    mean_correlation: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON; an infinite resolution is None."""
        values = asdict(self)
        for scores in (values, *values["averages"]):
            if scores["resolution_in_angstroms"] == float("inf"):
                scores["resolution_in_angstroms"] = None
        return values


def correlate_with_clean(
    average: NDArray[np.float32], clean: NDArray[np.float32], radius: float
) -> RingCorrelation:
    """Correlate an average with a clean projection ring by ring, under a soft disc.

    Parameters
    ----------
    average, clean : float32 (n, n)
    radius : float
        Of the particle, pixels; what lies outside is damped as a cosine over five pixels.

    Examples
    --------
    >>> image = np.random.default_rng(1).normal(size=(32, 32)).astype(np.float32)
    >>> correlate_with_clean(3 * image + 7, image, 10.0).correlation[1:].round(4).min()
    np.float64(1.0)
    """
    mask = soft_disc(average.shape[-1], radius)
    both = np.stack([average, clean])
    # the mean under the mask is taken off, else the mask's own transform would correlate
    means = (both * mask).sum(axis=(1, 2), dtype=np.float64) / mask.sum(dtype=np.float64)
    first, second = np.asarray((both - means[:, None, None]) * mask, np.float32)
    return fourier_ring_correlation(first, second)


def score_average(
    identifier: int, size: int, curve: RingCorrelation, pixel_size_in_angstroms: float
) -> AverageFidelity:
    """Read the scores of one class off its curve."""
    frequency = resolution_at(curve, _THRESHOLD)
    resolution = pixel_size_in_angstroms / frequency if frequency > 0 else float("inf")
    return AverageFidelity(identifier, size, resolution, float(curve.correlation[1:].mean()))


def summarise(averages: list[AverageFidelity]) -> Fidelity:
    """Put the scores of all classes together.

    Examples
    --------
    >>> scores = [AverageFidelity(0, 30, 9.0, 0.8), AverageFidelity(1, 10, 20.0, 0.4)]
    >>> found = summarise(scores)
    >>> found.resolution_in_angstroms, round(found.mean_correlation, 3)
    (9.0, 0.7)
    """
    if not averages:
        return Fidelity((), None, None)
    sizes = np.array([average.size for average in averages])
    resolutions = np.array([average.resolution_in_angstroms for average in averages])
    means = np.array([average.mean_correlation for average in averages])
    return Fidelity(
        averages=tuple(averages),
        resolution_in_angstroms=float(np.sort(np.repeat(resolutions, sizes))[sizes.sum() // 2]),
        mean_correlation=float((sizes * means).sum() / sizes.sum()),
    )
