"""Write what the options do to quality and time: a table and a picture an option."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.quality.ablations import ABLATION_BASE, ABLATIONS, Ablation
from benchmarks.quality.collection import period

__all__ = ["draw_ablations", "write_ablation_tables"]

_SCORES: tuple[tuple[str, str, str], ...] = (
    ("purity", "purity", "{:.3f}"),
    ("views", "views_found", "{:.0f}"),
    ("classes", "classes", "{:.0f}"),
    ("good in classes", "good_accounted", "{:.1%}"),
    ("junk in classes", "junk_accounted", "{:.1%}"),
    ("pose error, px", "pixel_error", "{:.2f}"),
    ("averages, Å", "average_resolution", "{:.1f}"),
    ("core-seconds", "core_seconds", "{:.0f}"),
)


def write_ablation_tables(rows: Sequence[dict[str, Any]]) -> str:
    """Return the measured part of the page as markdown."""
    versions = ", ".join(sorted({row["version"] for row in rows}))
    usual = next(row for row in rows if row["value"] == _usual(row["option"]))
    parts = [
        f"Measured {period(rows)}, engine {versions}. The stack: {ABLATION_BASE.shows}; "
        f"`isac2 simulate OUT {ABLATION_BASE.simulate}`. The command, into which the option is "
        "put:",
        f"    {usual['command']}",
        "![Purity, good and junk in classes, and time, by option](pictures/ablations.png)",
        "*Blue: purity. Green: share of the good particles in classes. Red: share of the junk. "
        "Grey, on the right: core-seconds. The default is shaded.*",
    ]
    for ablation in ABLATIONS:
        mine = [row for row in rows if row["option"] == ablation.option]
        if len({row["value"] for row in mine}) > 1:
            parts.append(_table(ablation, mine))
    return "\n\n".join(parts)


def _usual(option: str) -> str:
    return next(ablation.usual for ablation in ABLATIONS if ablation.option == option)


def _table(ablation: Ablation, rows: list[dict[str, Any]]) -> str:
    lines = [
        f"| `{ablation.option}` | " + " | ".join(name for name, _, _ in _SCORES) + " |",
        "|---|" + "---:|" * len(_SCORES),
    ]
    for value in ablation.values:
        cells = [_cell(rows, value, score, form) for _, score, form in _SCORES]
        if any(cells):
            shown = f"**{value}**" if value == ablation.usual else value
            lines.append(f"| {shown} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _of_value(rows: list[dict[str, Any]], value: str, score: str) -> list[float]:
    found = [row.get(score) for row in rows if row["value"] == value]
    return [float(item) for item in found if item is not None]


def _cell(rows: list[dict[str, Any]], value: str, score: str, form: str) -> str:
    values = _of_value(rows, value, score)
    return form.format(median(values)) if values else ""


def draw_ablations(rows: Sequence[dict[str, Any]], output: Path) -> None:
    """Draw good and junk accounted, purity and time against each option's values."""
    from matplotlib.figure import Figure

    drawn = [
        ablation for ablation in ABLATIONS
        if len({row["value"] for row in rows if row["option"] == ablation.option}) > 1
    ]  # fmt: skip
    across = 4
    down = -(-len(drawn) // across)
    figure = Figure(figsize=(3.3 * across, 2.4 * down), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for axis in axes[len(drawn) :]:
        axis.set_axis_off()
    for number, (axis, ablation) in enumerate(zip(axes, drawn, strict=False)):
        mine = [row for row in rows if row["option"] == ablation.option]
        tried = [value for value in ablation.values if _of_value(mine, value, "core_seconds")]
        for score, colour, name in (
            ("purity", "#1f5f9f", "purity"),
            ("good_accounted", "#2c8f4f", "good in classes"),
            ("junk_accounted", "#c03030", "junk in classes"),
        ):
            points = [(i, median(v)) for i, value in enumerate(tried)
                      if (v := _of_value(mine, value, score))]  # fmt: skip
            axis.plot(*zip(*points, strict=True), "o-", ms=3, lw=1.2, color=colour, label=name)
        seconds = [median(_of_value(mine, value, "core_seconds")) for value in tried]
        time = axis.twinx()
        time.plot(range(len(tried)), seconds, "s:", ms=3, lw=1, color="#888888")
        time.set_ylim(0, 1.15 * max(seconds))
        time.tick_params(labelsize=7, colors="#888888")
        axis.set_ylim(-0.03, 1.05)
        axis.set_xticks(range(len(tried)), tried, fontsize=8)
        axis.tick_params(axis="y", labelsize=7)
        if ablation.usual in tried:
            axis.axvline(tried.index(ablation.usual), color="#dddddd", lw=5, zorder=0)
        axis.set_title(ablation.option, fontsize=9)
        if number == 0:
            axis.legend(fontsize=7)
    figure.savefig(output, dpi=110)
