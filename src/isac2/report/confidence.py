"""The page's part on how far the classes can be believed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

import numpy as np

from isac2.report.data import ClassBelief, ReportData

__all__ = ["confidence_section", "doubtful"]

_ALWAYS_SHOWN = 12  # classes, those least believed
_DOUBTFUL_SHARE = 0.7  # of the members stable again
_MISSING = "\u2013"
_COLUMNS = (
    "Class",
    "Particles",
    "Pixel error",
    "Stable again",
    "Mirror agreement",
    "Margin",
    "Second best",
    "By chance",
    "In other runs",
)


def doubtful(belief: ClassBelief) -> list[int]:
    """Classes, from 0, of which much is unstable in new alignments or likes another class better.

    Examples
    --------
    >>> import numpy as np
    >>> share, margin, one = np.array([1.0, 0.5, 1.0]), np.array([3.0, 3.0, -1.0]), np.ones(3)
    >>> doubtful(ClassBelief(share, one, margin, one.astype(int), one, one))
    [1, 2]
    """
    found = (belief.stable_again < _DOUBTFUL_SHARE) | (belief.margin < 0)
    return [int(number) for number in np.flatnonzero(found)]


def confidence_section(data: ReportData) -> str:
    """Return the section's HTML; empty where the run was not judged."""
    belief = data.belief
    if belief is None or not len(belief.margin):
        return ""
    order = np.lexsort((belief.margin, belief.stable_again))
    rows = [_row(data, belief, int(number)) for number in order]
    first, rest = rows[:_ALWAYS_SHOWN], rows[_ALWAYS_SHOWN:]
    more = ""
    if rest:
        more = f"<details><summary>{len(rest)} more classes</summary>{_table(rest)}</details>"
    said = "".join(f'<p class="note">{escape(text)}</p>' for text in _sentences(data))
    return (
        '<section id="confidence" aria-labelledby="confidence-title">'
        '<h2 id="confidence-title">Confidence</h2>'
        f"{said}{_table(first)}{more}</section>"
    )


def _sentences(data: ReportData) -> Iterable[str]:
    if data.belief is not None and np.isfinite(data.belief.stable_again).any():
        yield (
            "Every class was tested once more, in alignments that the run had not seen. Stable "
            "again: share of its particles. Margin: by how many standard deviations of the noise "
            "its particles are more similar to it than to the second-best class (median). By "
            "chance: how likely as much of a random group of its size would be stable. The least "
            "believed come first."
        )
    random = data.random_groups
    if random:
        stable, size = random["stable"], random["size"]
        share = sum(stable) / (len(stable) * size)
        yield (
            f"Of {len(stable)} groups of {size} particles drawn at random from the stack "
            f"{random['passed']} would have been a class; with 95 % confidence at most "
            f"{100 * random['highest_rate']:.0f} % of such groups would. "
            f"{100 * share:.1f} % of their particles were stable."
        )
    if data.compared_with:
        yield (
            f"In other runs: the share of particles that the class has in common with its match in "
            f"{', '.join(data.compared_with)} (isac2 compare)."
        )


def _row(data: ReportData, belief: ClassBelief, number: int) -> str:
    second = belief.second_class[number]
    cells = (
        str(data.classes.sizes[number]),
        _pixels(data.classes.rms_pixel_error[number]),
        _share(belief.stable_again[number]),
        _share(belief.mirror_agreement[number]),
        f"{belief.margin[number]:.1f}" if second else _MISSING,
        str(second) if second else _MISSING,
        _probability(belief.chance[number]),
        _share(belief.reproducibility[number]),
    )
    values = "".join(f'<td class="number">{escape(value)}</td>' for value in cells)
    return f'<tr><th scope="row">{number + 1}</th>{values}</tr>'


def _probability(value: float) -> str:
    """Say a probability; what is extrapolated far beyond what was seen is only called small.

    Examples
    --------
    >>> _probability(0.031), _probability(3e-14)
    ('0.031', '< 1e-6')
    """
    if not math.isfinite(value):
        return _MISSING
    return f"{value:.2g}" if value >= 1e-6 else "< 1e-6"


def _pixels(value: float) -> str:
    return f"{value:.2f} px" if math.isfinite(value) else _MISSING


def _share(value: float) -> str:
    return f"{100 * value:.0f} %" if math.isfinite(value) else _MISSING


def _table(rows: list[str]) -> str:
    head = "".join(
        f'<th scope="col"{" class=number" if place else ""}>{escape(name)}</th>'
        for place, name in enumerate(_COLUMNS)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
