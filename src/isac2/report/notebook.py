"""Classes as a gallery in a notebook's cell: pictures and captions, no script, any theme."""

from __future__ import annotations

import math
from html import escape

import numpy as np
from numpy.typing import NDArray

from isac2.report.pictures import picture_address, to_bytes

__all__ = ["gallery_html"]

_MOST_SHOWN = 120


def gallery_html(
    averages: NDArray[np.float32],
    sizes: NDArray[np.int64],
    resolutions_in_angstroms: NDArray[np.float64],
    heading: str,
) -> str:
    """Return HTML that shows averages, the largest classes first.

    Parameters
    ----------
    averages : float32 (K, n, n)
    sizes : int64 (K,)
    resolutions_in_angstroms : float64 (K,)
    heading : str

    Examples
    --------
    >>> gallery_html(np.zeros((0, 4, 4), np.float32), np.empty(0, int), np.empty(0), "<none>")
    '<div><p><b>&lt;none&gt;</b></p></div>'
    """
    order = np.argsort(-sizes, kind="stable")[:_MOST_SHOWN]
    title = escape(heading)
    if len(sizes) > len(order):
        title += f"; the {len(order)} largest"
    tiles = "".join(
        _tile(averages[k], int(k), int(sizes[k]), float(resolutions_in_angstroms[k])) for k in order
    )
    gallery = f'<div style="display:flex;flex-wrap:wrap;gap:6px">{tiles}</div>' if tiles else ""
    return f"<div><p><b>{title}</b></p>{gallery}</div>"


def _tile(average: NDArray[np.float32], number: int, size: int, resolution: float) -> str:
    greys, windows = to_bytes(average[np.newaxis])
    low, high = windows[0]
    stretched = (greys[0].astype(np.float64) - low) * 255.0 / max(1, high - low)
    address = picture_address(np.clip(stretched, 0, 255).astype(np.uint8))
    words = f"{number}: {size:,}" + (f", {resolution:.1f} Å" if math.isfinite(resolution) else "")
    return (
        '<figure style="margin:0;width:90px;font-size:11px;line-height:1.3">'
        f'<img src="{address}" alt="class {words}" width="90" height="90" '
        'style="display:block;border-radius:4px;max-width:none">'
        f"<figcaption>{words}</figcaption></figure>"
    )
