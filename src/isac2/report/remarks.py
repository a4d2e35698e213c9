"""What is worth a look in a run, in words."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from isac2.report.checks import bright_centre, has_rings, is_off_centre, touches_the_edge
from isac2.report.confidence import doubtful
from isac2.report.data import ReportData
from isac2.report.payload import MOST_MEMBERS

__all__ = ["remarks"]

_MUCH_LEFT = 0.5
_LITTLE_AGREEMENT = 0.5
_NAMED = 12  # classes that a sentence lists


def remarks(data: ReportData) -> ReportData:
    """Add what the counts and the averages show to the warnings of the run itself."""
    found = (*_about_counts(data), *_about_averages(data), *_about_belief(data))
    return replace(data, warnings=(*data.warnings, *found))


def _about_belief(data: ReportData) -> list[str]:
    """Name the classes that the last test speaks against."""
    found = [] if data.belief is None else doubtful(data.belief)
    if not found:
        return []
    return [
        f"Much is unstable in new alignments, or more similar to another class, of "
        f"{_named([number + 1 for number in found])}: see Confidence below."
    ]


def _about_counts(data: ReportData) -> list[str]:
    found = []
    accounted = int(data.classes.sizes.sum())
    if not data.is_finished:
        pass  # what is missing may still come
    elif len(data.classes.sizes) == 0:
        found.append(
            "No class was reproducible: lower --minimum_grp_size, or check the radius and the "
            "images."
        )
    elif data.particle_count and 1 - accounted / data.particle_count > _MUCH_LEFT:
        found.append(
            f"More than half of the particles are in no class ({data.particle_count - accounted} "
            f"of {data.particle_count})."
        )
    if data.is_finished and len(data.classes.sizes) == 1:
        found.append(
            "There is one class only, which could be held against no other: of faint images such a "
            "class may mix views."
        )
    # Generations that found nothing have nothing to settle.
    unsettled = [
        row for row in data.generations if row.classes and row.agreement < _LITTLE_AGREEMENT
    ]
    if unsettled:
        names = ", ".join(f"{row.main_iteration}.{row.generation}" for row in unsettled)
        found.append(
            f"The groups had not settled when generation {names} ended: the agreement of its last "
            f"two tests was below {100 * _LITTLE_AGREEMENT:.0f} %."
        )
    if data.members is not None and len(data.members.ids) > MOST_MEMBERS:
        found.append(
            f"With more than {MOST_MEMBERS:,} particles in classes this page shows no data about "
            "single particles; particles.star has them."
        )
    return found


def _about_averages(data: ReportData) -> list[str]:
    if not math.isfinite(data.radius):
        return []
    found = []
    averages = data.classes.averages
    if len(averages):
        off = np.flatnonzero(is_off_centre(averages, data.radius)) + 1
        if len(off):
            found.append(f"The bright part is off the centre in {_named(off.tolist())}.")
        rings = np.flatnonzero(has_rings(averages, data.radius)) + 1
        if len(rings):
            found.append(
                f"Mostly rings about the centre are in {_named(rings.tolist())}: unless the "
                "particle is round, their members agree in place but not in angle."
            )
        edge = np.flatnonzero(touches_the_edge(averages, data.radius)) + 1
        if 2 * len(edge) > len(averages):
            found.append(
                "In most averages much of what is bright lies at the edge of the particle's disc: "
                "the radius may be too small."
            )
    if data.initial_average is not None:
        x, y = bright_centre(data.initial_average[np.newaxis], data.radius)[0]
        if math.hypot(x, y) > data.radius / 4:
            found.append(
                f"The average of the pre-alignment is {math.hypot(x, y):.1f} px off the centre: "
                "look at it below, and try another --center_method."
            )
    return found


def _named(classes: list[int]) -> str:
    names = ", ".join(str(number) for number in classes[:_NAMED])
    more = f" and {len(classes) - _NAMED} more" if len(classes) > _NAMED else ""
    return f"class {names}{more}" if len(classes) == 1 else f"classes {names}{more}"
