"""Figures for papers: averages, their distributions, their curves, and the chain; by matplotlib."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isac2.errors import InputError
from isac2.files import atomic_path
from isac2.images.transform import apply_poses
from isac2.poses import make_poses
from isac2.report.data import ReportData
from isac2.report.pictures import to_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ENDINGS", "FIGURES", "draw_figure", "write_figure"]

ENDINGS = (".pdf", ".svg", ".png")
_STYLE: Any = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
    "svg.hashsalt": "isac2",  # the same figure is the same file
}
_INK = "#0a6a70"
_WIDTH_IN_INCHES = 7.0  # two columns of most journals
_TILE_IN_INCHES = 0.7
_DOTS_PER_INCH = 300
_MISSING = "'isac2 plot' needs matplotlib, which is not installed: pip install 'isac2[view]'."


def write_figure(data: ReportData, kind: str, path: Path, columns: int | None = None) -> None:
    """Draw a figure and write it; the format is told by the name.

    Parameters
    ----------
    data : ReportData
    kind : str
        One of `FIGURES`.
    path : pathlib.Path
        Ends in one of `ENDINGS`.
    columns : int, optional
        Averages in a row, for figures of averages; about ten by default.

    Raises
    ------
    InputError
        When the run lacks what the figure shows, or matplotlib is missing.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path}: the name has to end in one of {', '.join(ENDINGS)}.")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}.")
    figure = draw_figure(data, kind, columns)
    import matplotlib

    # a file that changes only when the figure does
    dateless = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    with matplotlib.rc_context(_STYLE), atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=_DOTS_PER_INCH, metadata=dateless.get(path.suffix.lower()))


def draw_figure(data: ReportData, kind: str, columns: int | None = None) -> Figure:
    """Draw a figure; a notebook shows what is returned.

    Raises
    ------
    InputError
        As `write_figure`.
    """
    if len(data.classes.sizes) == 0:
        raise InputError(f"The run {data.title} has no class, so there is nothing to draw.")
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise InputError(_MISSING) from None
    with matplotlib.rc_context(_STYLE):
        return FIGURES[kind](data, columns)


def _montage(data: ReportData, columns: int | None) -> Figure:
    """All averages, the largest class first, with the number of their members."""
    order = np.argsort(-data.classes.sizes, kind="stable")
    labels = [f"{size:,}" for size in data.classes.sizes[order]]
    return _sheet(data, data.classes.averages[order], labels, columns)


def _chain(data: ReportData, columns: int | None) -> Figure:
    """Averages along the chain of look-alikes, each turned to match the one before."""
    chain = data.chain
    if chain is None:
        raise InputError(
            f"The run {data.title} has no chain: it was made with --skip_ordering, or goes on."
        )
    turned = apply_poses(
        data.classes.averages[chain.order], make_poses(chain.alpha, 0.0, 0.0, chain.mirror)
    )
    labels = [str(number + 1) for number in chain.order]
    return _sheet(data, turned, labels, columns)


def _sheet(
    data: ReportData,
    averages: NDArray[np.float32],
    labels: list[str],
    columns: int | None,
) -> Figure:
    """Averages in rows, each with its own contrast and a label, and one scale bar."""
    from matplotlib.figure import Figure

    across = columns or min(len(averages), round(_WIDTH_IN_INCHES / _TILE_IN_INCHES))
    down = -(-len(averages) // across)
    side = _WIDTH_IN_INCHES / max(across, 1)
    height = down * side * 1.16 + 0.16
    figure = Figure(figsize=(_WIDTH_IN_INCHES, height))
    grid = figure.subplots(
        down,
        across,
        squeeze=False,
        gridspec_kw=dict(wspace=0.05, hspace=0.2, left=0, right=1, top=0.995, bottom=0.16 / height),
    )
    greys, windows = to_bytes(averages)
    for place, axes in enumerate(grid.ravel()):
        axes.set_axis_off()
        if place < len(averages):
            low, high = windows[place]
            axes.imshow(greys[place], cmap="gray", vmin=low, vmax=high, interpolation="bicubic")
            axes.set_title(labels[place], y=-0.16, fontsize=7, pad=0)
    _scale_bar(grid[0, 0], data)
    return figure


def _scale_bar(axes: Axes, data: ReportData) -> None:
    """Mark a round length on an average whose pixel size is known."""
    pixel, box = data.pixel_size_in_angstroms, data.classes.averages.shape[-1]
    if not math.isfinite(pixel):
        return
    length = _round_length(0.3 * box * pixel)
    start = 0.06 * box
    axes.plot([start, start + length / pixel], [0.92 * box] * 2, color="white", linewidth=1.5)
    axes.text(start, 0.88 * box, f"{length:g} Å", color="white", fontsize=5.5, va="bottom")


def _round_length(length: float) -> float:
    """The largest of 1, 2, 5, 10, ... that is not longer.

    Examples
    --------
    >>> _round_length(73.0), _round_length(20.0)
    (50.0, 20.0)
    """
    power = 10.0 ** math.floor(math.log10(length) + 1e-9)
    return next(step * power for step in (5.0, 2.0, 1.0) if step * power <= length * (1 + 1e-9))


def _histogram(data: ReportData, columns: int | None) -> Figure:
    """Distributions of class size, resolution, pixel error and mirror consistency."""
    from matplotlib.figure import Figure

    classes = data.classes
    known = [
        ("class size (particles)", classes.sizes.astype(np.float64)),
        ("resolution (Å)", classes.resolution_in_angstroms),
        ("pixel error (px)", classes.rms_pixel_error),
        ("mirror consistency (%)", 100 * classes.mirror_consistency),
    ]
    shown = [(name, values[np.isfinite(values)]) for name, values in known]
    shown = [(name, values) for name, values in shown if len(values)]
    figure = Figure(figsize=(_WIDTH_IN_INCHES, 1.8), layout="constrained")
    for axes, (name, values) in zip(
        figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True
    ):
        axes.hist(values, bins=min(20, max(5, len(values) // 3)), color=_INK, edgecolor="white")
        axes.axvline(float(np.median(values)), color="black", linewidth=0.8, linestyle="--")
        axes.set_xlabel(name)
    figure.axes[0].set_ylabel("classes")
    return figure


def _ring_correlation(data: ReportData, columns: int | None) -> Figure:
    """Fourier ring correlation of the half averages: all classes, and their median."""
    from matplotlib.figure import Figure

    table = data.ring_correlation
    if table is None:
        raise InputError(f"The run {data.title} has no Fourier ring correlations, as SPHIRE's.")
    pixel = data.pixel_size_in_angstroms
    known = math.isfinite(pixel)
    frequency = table.frequency / pixel if known else table.frequency
    figure = Figure(figsize=(_WIDTH_IN_INCHES / 2, 2.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(frequency, table.correlation.T, color=_INK, linewidth=0.5, alpha=0.35)
    median = np.median(table.correlation, axis=0)
    axes.plot(frequency, median, color="black", linewidth=1.4, label="median")
    # where the half averages correlate by 1/3, the whole average is half signal, half noise
    axes.axhline(1 / 3, color="black", linewidth=0.7, linestyle="--")
    axes.text(float(frequency[-1]), 1 / 3 + 0.02, "1/3", ha="right", va="bottom")
    axes.set(ylim=(-0.15, 1.02), xlim=(0, float(frequency[-1])))
    axes.set_xlabel("spatial frequency (1/Å)" if known else "spatial frequency (1/px)")
    axes.set_ylabel("ring correlation of half averages")
    axes.legend(frameon=False)
    return figure


FIGURES: dict[str, Callable[[ReportData, int | None], Figure]] = {
    "montage": _montage,
    "histogram": _histogram,
    "frc": _ring_correlation,
    "chain": _chain,
}
"""What can be drawn."""
