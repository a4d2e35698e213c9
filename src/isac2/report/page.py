"""The page: templates of this folder, filled in. One file, nothing fetched from anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

from isac2.report.confidence import confidence_section
from isac2.report.data import Parameter, ReportData
from isac2.report.payload import payload, script_json
from isac2.run.record import GenerationRecord

__all__ = ["Served", "render_page"]

_SCRIPTS = ("pictures.js", "charts.js", "gallery.js", "class_page.js", "compare.js", "main.js")
_SERVED_SCRIPTS = ("marks.js", "selection.js", "live.js")
_MISSING = "\u2013"
_LEFT, _NOT_YET = "left over", "in no class yet"
_NO_PICTURE = "data:,"


@dataclass(frozen=True)
class Served:
    """How a page differs that is served by the viewer: classes can be chosen on it.

    Attributes
    ----------
    nonce : str
        Word that its scripts are allowed by.
    tag : str
        Which state of the run it shows.
    """

    nonce: str
    tag: str


def render_page(data: ReportData, version: str, served: Served | None = None) -> str:
    """Return the whole page as HTML.

    Parameters
    ----------
    data : ReportData
    version : str
        Of the program, for the footer.
    served : Served, optional
        For the viewer; without it the page is a file that fetches nothing.
    """
    document = payload(data)
    scripts = [*_SCRIPTS[:-1], *(_SERVED_SCRIPTS if served else ()), _SCRIPTS[-1]]
    initial = document["initialAverage"]
    parts = {
        "version": escape(version),
        "title": escape(data.title),
        "facts": " · ".join(_facts(data)),
        "figures": "".join(_figure(*figure) for figure in _figures(data)),
        "flow": _flow(data),
        "flow_label": escape(_flow_sentence(data)),
        "flow_legend": _flow_legend(data),
        "warnings": _warnings(data),
        "confidence": confidence_section(data),
        "generations": _generations(data),
        "phases": _phases(data),
        "parameters": _parameters(data),
        "initial_hidden": "" if initial else "hidden",
        "initial_address": initial["address"] if initial else _NO_PICTURE,
        "initial_caption": escape(_initial_caption(initial["centre"] if initial else None)),
        "footer": escape(
            f"Written by isac2 {version}. "
            f"{'' if served else 'Everything is in this file; '}"
            f"{'I' if served else 'i'}ds count from 0, classes from 1."
        ),
        "style": _template("page.css"),
        "script": "\n".join(_template(name) for name in scripts),
        "connect": " connect-src 'self';" if served else "",
        "nonce": f' nonce="{escape(served.nonce)}"' if served else "",
        "served": f' data-tag="{escape(served.tag)}"' if served else "",
        "selection": _template("selection.html") if served else "",
        "data": script_json(document),
    }
    return Template(_template("page.html")).substitute(parts)


def _template(name: str) -> str:
    return (files("isac2.report") / "template" / name).read_text(encoding="utf-8")


def _count(number: int) -> str:
    return f"{number:,}"


def _measure(value: float, digits: int, unit: str) -> str:
    return f"{value:.{digits}f} {unit}".strip() if math.isfinite(value) else _MISSING


def _duration(seconds: float) -> str:
    """Say a time in the two units that matter.

    Examples
    --------
    >>> _duration(7505)
    '2 h 5 min'
    """
    if not math.isfinite(seconds):
        return _MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _facts(data: ReportData) -> Iterable[str]:
    if data.stack:
        yield f"from <code>{escape(data.stack)}</code>"
    for name, value in data.facts:
        yield f"{escape(name)} {escape(value)}"


def _accounted(data: ReportData) -> int:
    return int(data.classes.sizes.sum())


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else _MISSING


def _share_left(part: int, whole: int) -> str:
    """What is missing from `_share`, so that the two add up to 100.0 % as they are shown."""
    return f"{100 - round(100 * part / whole, 1):.1f} %" if whole else _MISSING


def _figures(data: ReportData) -> list[tuple[str, str, str]]:
    """Name, value and remark of the numbers at the head of the page."""
    classes, accounted = data.classes, _accounted(data)
    weights = classes.sizes / max(1, accounted)
    seconds = sum(phase.seconds for phase in data.phases)

    def mean(values: Iterable[float]) -> float:
        if not accounted:
            return math.nan
        return float(sum(w * v for w, v in zip(weights, values, strict=True)))

    resolution = sorted(v for v in classes.resolution_in_angstroms if math.isfinite(v))
    best = f"{resolution[0]:.1f} to {resolution[-1]:.1f} Å" if resolution else ""
    median = resolution[len(resolution) // 2] if resolution else math.nan
    typical = f"{accounted / len(classes.sizes):.0f} particles each" if accounted else ""
    figures = [
        ("Classes", _count(len(classes.sizes)), typical),
        ("In classes", _share(accounted, data.particle_count), f"{_count(accounted)} particles"),
        (
            "Left over" if data.is_finished else "Not yet",
            _share_left(accounted, data.particle_count),
            f"{_count(data.particle_count - accounted)} of {_count(data.particle_count)}",
        ),
        ("Median resolution", _measure(median, 1, "Å"), best),
        ("Pixel error", _measure(mean(classes.rms_pixel_error), 2, "px"), "mean, working pixels"),
        ("Mirror consistency", _measure(100 * mean(classes.mirror_consistency), 0, "%"), "mean"),
    ]
    if data.phases:
        count = len(data.generations)
        remark = f"{count} generation{'' if count == 1 else 's'}"
        figures.append(("Time", _duration(seconds), remark))
    return [figure for figure in figures if figure[1] != _MISSING]


def _figure(name: str, value: str, remark: str) -> str:
    small = f"<small>{escape(remark)}</small>" if remark else ""
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{small}</dd></div>"


def _steps(data: ReportData) -> list[tuple[str, int]]:
    """Name and particles of each generation that accounted for any, and of what is left over."""
    rows = [
        (f"in generation {row.main_iteration}.{row.generation}", row.accounted)
        for row in data.generations
        if row.accounted > 0
    ]
    rows = rows or [("in classes", _accounted(data))]
    left = data.particle_count - _accounted(data)
    return [*rows, (_LEFT if data.is_finished else _NOT_YET, left)] if left > 0 else rows


def _flow(data: ReportData) -> str:
    return "".join(
        f'<i {_flow_look(name, place, f"flex:{count}")} title="{escape(name)}: {_count(count)}">'
        "</i>"
        for place, (name, count) in enumerate(_steps(data))
        if count
    )


def _flow_legend(data: ReportData) -> str:
    return "".join(
        f"<li><i {_flow_look(name, place)}></i>{escape(name)}: {_count(count)}</li>"
        for place, (name, count) in enumerate(_steps(data))
    )


def _flow_look(name: str, place: int, style: str = "") -> str:
    """Return the attributes that colour a part of the flow."""
    kind = "rest" if name in (_LEFT, _NOT_YET) else "taken"
    return f'class="{kind}" style="--fade:{min(place, 5)};{style}"'


def _flow_sentence(data: ReportData) -> str:
    parts = ", ".join(f"{_count(count)} {name}" for name, count in _steps(data))
    return f"Particles: {parts}."


def _warnings(data: ReportData) -> str:
    if not data.warnings:
        return ""
    rows = "".join(f"<li>{escape(warning)}</li>" for warning in data.warnings)
    return f'<ul class="warnings" aria-label="Worth a look">{rows}</ul>'


def _table(head: Iterable[tuple[str, bool]], rows: Iterable[str]) -> str:
    """Return a table; each column has a name and is numeric or not."""
    cells = "".join(
        f'<th scope="col"{" class=number" if number else ""}>{escape(name)}</th>'
        for name, number in head
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _number_cells(values: Iterable[str]) -> str:
    return "".join(f'<td class="number">{escape(value)}</td>' for value in values)


def _generations(data: ReportData) -> str:
    if not data.generations:
        return '<p class="note">The run left no record of its generations.</p>'
    head = [("Main", False), ("Generation", True), ("Images", True), ("Groups", True)]
    head += [("Classes", True), ("Accounted", True), ("Rounds", True), ("Agreement", True)]
    head += [("Time", True), ("Share of the stack", False)]
    return _table(head, (_generation(row, data.particle_count) for row in data.generations))


def _generation(row: GenerationRecord, particle_count: int) -> str:
    numbers = [
        str(row.generation),
        _count(row.images),
        _count(row.groups) if row.groups else _MISSING,
    ]
    numbers += [_count(row.classes), _count(row.accounted)]
    numbers += [str(row.rounds) if row.rounds else _MISSING, _measure(100 * row.agreement, 0, "%")]
    numbers += [_duration(row.seconds)]
    before = particle_count - row.images
    came = max(0, row.accounted)
    left = row.images - came
    track = (
        f'<span class="track"><i class="before" style="flex:{before}"></i>'
        f'<i style="flex:{came}"></i><i class="left" style="flex:{left}"></i></span>'
    )
    main = f'<th scope="row">{row.main_iteration}</th>'
    return f'<tr>{main}{_number_cells(numbers)}<td class="share">{track}</td></tr>'


def _phases(data: ReportData) -> str:
    if not data.phases:
        return '<p class="note">The run left no times.</p>'
    longest = max(phase.seconds for phase in data.phases) or 1.0
    rows = []
    for phase in data.phases:
        memory = f"{phase.peak_memory_in_bytes / 2**20:.0f} MiB"
        numbers = [_duration(phase.seconds), memory if phase.peak_memory_in_bytes else _MISSING]
        part = phase.seconds / longest
        track = (
            f'<span class="track"><i style="flex:{part:.4f}"></i>'
            f'<span style="flex:{1 - part:.4f}"></span></span>'
        )
        name = f'<th scope="row">{escape(phase.name)}</th>'
        rows.append(f'<tr>{name}{_number_cells(numbers)}<td class="share">{track}</td></tr>')
    return _table([("Phase", False), ("Time", True), ("Memory", True), ("", False)], rows)


def _parameters(data: ReportData) -> str:
    if not data.parameters:
        return '<p class="note">The run left no record of its options.</p>'
    head = [("Option", False), ("Value", False), ("Meaning", False)]
    changed = [_parameter(option) for option in data.parameters if not option.is_default]
    default = [_parameter(option) for option in data.parameters if option.is_default]
    summary = f"<summary>{len(default)} options at their defaults</summary>"
    rest = f"<details>{summary}{_table(head, default)}</details>" if default else ""
    return (_table(head, changed) if changed else "") + rest


def _parameter(option: Parameter) -> str:
    value = f"{option.value} {option.unit}".strip()
    return (
        f'<tr><th scope="row"><code>{escape(option.name)}</code></th>'
        f'<td>{escape(value)}</td><td class="meaning">{escape(option.meaning)}</td></tr>'
    )


def _initial_caption(centre: list[float] | None) -> str:
    if centre is None:
        return "All images, aligned to one average before the classification."
    distance = math.hypot(*centre)
    return (
        "All images, aligned to one average before the classification. Dashed: the particle's "
        f"disc. The bright part is centred {distance:.1f} px from the middle (dot)."
    )
