"""A picture of an estimated radius: over the average of all images, and over some of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isac2.files import atomic_path
from isac2.images.filters import tanh_low_pass
from isac2.report.pictures import to_bytes
from isac2.run.suggestion import Sample, Suggestion

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageDraw import ImageDraw as Pen

__all__ = ["draw_estimate"]

_LARGE, _SMALL, _GAP = 320, 159, 2
_COLUMNS, _ROWS = 4, 2
_CUTOFF, _FALLOFF = 0.15, 0.3  # 1/px: particles are seen, most of the noise is not
_RING, _LIMIT = "#ffb000", "#7fd4d6"


def draw_estimate(path: Path, sample: Sample, suggestion: Suggestion) -> None:
    """Write a PNG: the average of the sample with the disc and its limits, and eight images.

    Parameters
    ----------
    path : pathlib.Path
    sample : Sample
    suggestion : Suggestion
    """
    from PIL import Image

    count = min(_COLUMNS * _ROWS, len(sample.images))
    chosen = np.linspace(0, len(sample.images) - 1, count).astype(np.int64)
    shown = tanh_low_pass(sample.images[chosen], _CUTOFF, _FALLOFF)
    tiles = [_tile(shown[i], _SMALL, sample, suggestion, int(k)) for i, k in enumerate(chosen)]
    width = _LARGE + _COLUMNS * (_SMALL + _GAP)
    sheet = Image.new("RGB", (width, _LARGE), "white")
    average = -suggestion.extent.average if suggestion.is_dark else suggestion.extent.average
    sheet.paste(_tile(average, _LARGE, sample, suggestion, None), (0, 0))
    for place, tile in enumerate(tiles):
        row, column = divmod(place, _COLUMNS)
        sheet.paste(tile, (_LARGE + _GAP + column * (_SMALL + _GAP), row * (_SMALL + _GAP)))
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)


def _tile(
    image: NDArray[np.float32],
    side: int,
    sample: Sample,
    suggestion: Suggestion,
    place: int | None,
) -> Picture:
    """Return an image, enlarged, with the disc; the average (`place` None) has its limits, too."""
    from PIL import Image, ImageDraw

    greys, windows = to_bytes(image[np.newaxis])
    low, high = windows[0]
    stretched = np.clip((greys[0].astype(np.float64) - low) * 255.0 / max(1, high - low), 0, 255)
    picture = Image.fromarray(stretched.astype(np.uint8)).convert("RGB")
    picture = picture.resize((side, side), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    scale = side / image.shape[-1]
    middle = np.full(2, image.shape[-1] // 2 + 0.5)
    if place is None and sample.axis_angles is None:
        for limit in (suggestion.least, suggestion.most):
            _circle(draw, middle * scale, limit * sample.ratio * scale, _LIMIT, 1)
    found = middle if place is None else middle + suggestion.extent.centres[place]
    if sample.axis_angles is None:
        middle = found  # where a filament's segment was cut is its middle
    radius = suggestion.settings.radius * sample.ratio * scale
    _circle(draw, middle * scale, radius, _RING, 2)
    if place is not None and sample.axis_angles is not None:
        half = suggestion.settings.filament_width / 2 * sample.ratio
        _edges(draw, found * scale, half * scale, sample.axis_angles[place])
    return picture


def _circle(draw: Pen, middle: NDArray[np.float64], radius: float, ink: str, width: int) -> None:
    corners = [*(middle - radius), *(middle + radius)]
    draw.ellipse(corners, outline=ink, width=width)


def _edges(draw: Pen, middle: NDArray[np.float64], half: float, angle: float) -> None:
    """Draw the two edges of a filament."""
    along = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    across = np.array([-along[1], along[0]])
    for side in (-1, 1):
        start, end = (middle + side * half * across + way * 1000 * along for way in (-1, 1))
        draw.line([*start, *end], fill=_RING, width=2)
