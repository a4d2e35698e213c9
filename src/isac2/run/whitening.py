"""Whether a run whitens the noise of its images, decided by what lies around the particles."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from isac2.images.background import Background, measure_background, whitening_weights
from isac2.run.checkpoint import load_arrays
from isac2.run.choices import Choice
from isac2.run.directory import RunDirectory
from isac2.run.job import Job
from isac2.run.options import Settings

__all__ = ["decide", "may_whiten", "measure_whitening", "saved_weights"]

_SAMPLE = 300  # images, evenly spread, as far as
_SAMPLE_BYTES = 128 * 2**20  # hold them
_COLOURED = 1.5  # times the usual power of the noise
_SKEWED = 0.2  # ten standard deviations of what 300 images of noise have


def may_whiten(settings: Settings) -> bool:
    """Whether the settings let noise be whitened: not of filaments, and not with ``--VPP``."""
    single = not settings.phase_plate and settings.filament_width <= 0
    return single and settings.noise_whitening != "no"


def saved_weights(directory: RunDirectory) -> NDArray[np.float64] | None:
    """Return the factors that a run's spectra were multiplied with; None where nothing was done.

    Raises
    ------
    isac2.run.checkpoint.DamagedStateError
        What was saved is not as it was.
    """
    if not directory.spectrum_state.exists():
        return None
    weights = load_arrays(directory.spectrum_state)[0]["weights"]
    return weights if (weights != 1.0).any() else None


def measure_whitening(job: Job) -> NDArray[np.float64]:
    """Return the factors that whiten the noise of a run's images, all 1 when nothing is to be done.

    What is decided under ``--noise_whitening=auto`` is told, and put on record as a choice.

    Returns
    -------
    float64 (n // 2 + 1,)
        At the input's frequencies ``k / n``.
    """
    settings = job.settings
    found = job.first(lambda: _measure(job))
    ratio = settings.shrink_ratio
    if settings.noise_whitening == "auto":
        choice = decide(found, ratio)
        job.progress.note(str(choice))
        others = [row for row in job.record.choices if row["option"] != choice.option]
        job.record.choices[:] = [*others, asdict(choice)]
        if choice.value == "no":
            return np.ones(len(found.spectrum))
    return whitening_weights(found.spectrum, ratio)


def decide(background: Background, ratio: float) -> Choice:
    """Choose whether to whiten, and say why.

    Parameters
    ----------
    background : Background
    ratio : float
        Working pixels in an input pixel.

    Examples
    --------
    >>> power = np.array([6.0, 5.0, 2.0, 1.0, 1.0, 1.0, 1.0])
    >>> print(decide(Background(power, 0.01, 300), 1.0))
    --noise_whitening=yes: the noise around 300 particles has up to 6.0 times its usual power
    """
    colour, count = background.colour(ratio), background.images
    times = f"up to {colour:.1f} times its usual power"
    if colour < _COLOURED:
        value, reason = "no", f"the noise around {count} particles is white, it has {times}"
    elif abs(background.skewness) > _SKEWED:
        value, reason = (
            "no",
            f"what lies around {count} particles has {times}, but is no noise alone: it is skewed "
            f"({background.skewness:.2f}), as neighbouring particles are",
        )
    else:
        value, reason = "yes", f"the noise around {count} particles has {times}"
    return Choice("noise_whitening", value, reason)


def _measure(job: Job) -> Background:
    """Read some images, evenly spread, and measure what lies around the particles."""
    stack = job.stack
    room = max(2, _SAMPLE_BYTES // (4 * stack.box_size**2))
    count = min(_SAMPLE, len(stack), room)
    images = stack.read(np.linspace(0, len(stack) - 1, count).astype(np.int64))
    job.tell_images(count, count)
    return measure_background(images, job.settings.radius)
