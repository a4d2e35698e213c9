"""Write what was measured into `docs/quality.md`: tables and a figure, from the measured file.

Only what lies between the two marks of the page is replaced; the rest is prose.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.quality.collection import Summary, period
from benchmarks.quality.sets import QualitySet, all_sets

__all__ = ["BEGIN", "END", "draw_quality", "replace_between_marks", "write_tables"]

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_NAMES = {"isac2": "isac2", "relion": "RELION"}

# heading, score, how it is printed, whether more is better
_COLUMNS: tuple[tuple[str, str, str, bool | None], ...] = (
    ("purity", "purity", "{:.3f}", True),
    ("ARI", "adjusted_rand_index", "{:.2f}", True),
    ("views", "views_found", "{:.0f}", True),
    ("good in", "good_accounted", "{:.0%}", None),
    ("junk in", "junk_accounted", "{:.0%}", False),
    ("junk left", "junk_selected", "{:.0%}", False),
    ("good left", "good_selected", "{:.0%}", None),
    ("spread, deg", "angular_spread_median", "{:.1f}", False),
    ("pose, px", "pixel_error", "{:.2f}", False),
    ("averages, A", "average_resolution", "{:.1f}", False),
    ("corr.", "average_correlation", "{:.3f}", True),
    ("classes", "classes", "{:.0f}", None),
    ("core-s", "core_seconds", "{:.0f}", None),
    ("a pass", "seconds_a_pass", "{:.2f}", None),
)
_COMPARED = ("purity", "adjusted_rand_index", "views_found", "junk_accounted", "junk_selected",
             "pixel_error", "average_correlation")  # fmt: skip
_FACTOR = 10.0
_SECONDS = (10, 20, 50, 100, 200, 500, 1000)


def replace_between_marks(page: Path, text: str) -> None:
    """Replace what lies between the marks of a page."""
    old = page.read_text("utf-8")
    before, after = old[: old.index(BEGIN) + len(BEGIN)], old[old.index(END) :]
    page.write_text(f"{before}\n\n{text.strip()}\n\n{after}", "utf-8")


def write_tables(summaries: Sequence[Summary]) -> str:
    """Return the measured part of the page as markdown."""
    sets = all_sets()
    known = {(s.set, s.program): s for s in summaries if s.set in sets}
    names = [name for name in sets if any((name, program) in known for program in _NAMES)]
    parts = [_how_it_was_measured(list(known.values())), _sets_table([sets[n] for n in names])]
    parts += ["![Scores of all sets](pictures/quality.png)", _scores_table(names, known)]
    parts += [_not_ahead(names, known)]
    return "\n\n".join(parts)


def _how_it_was_measured(summaries: list[Summary]) -> str:
    runs = [run for summary in summaries for run in summary.runs]
    lines = []
    for program, name in _NAMES.items():
        mine = [run for run in runs if run["program"] == program]
        if mine:
            versions = ", ".join(sorted({run["version"] for run in mine}))
            example = next((run for run in mine if run["set"] == "base"), mine[0])
            seeds = sorted({run["seed"] for run in mine})
            lines += [
                f"{name}, version {versions}, {period(mine)}, seeds "
                f"{', '.join(map(str, seeds))}; for the set `{example['set']}`:",
                "",
                "```text",
                *_wrapped(example["command"]),
                "```",
                "",
            ]
    return "\n".join(lines).strip()


def _wrapped(command: str, width: int = 96) -> list[str]:
    lines = [""]
    for word in command.split():
        if len(lines[-1]) + len(word) > width:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines


def _sets_table(sets: list[QualitySet]) -> str:
    rows = ["| set | what it is | a group | `isac2 simulate OUT` |", "|---|---|---|---|"]
    for item in sets:
        made = f"`{item.simulate}`" if item.simulate else "given"
        rows.append(f"| {item.name} | {item.shows} | {item.images_per_group} | {made} |")
    return "\n".join(rows)


def _scores_table(names: list[str], known: dict[tuple[str, str], Summary]) -> str:
    headings = ["set", "program", *(column[0] for column in _COLUMNS), "seeds agree"]
    rows = ["| " + " | ".join(headings) + " |", "|---|---|" + "---:|" * (len(headings) - 2)]
    for name in names:
        for program, shown in _NAMES.items():
            summary = known.get((name, program))
            if summary is not None:
                other = known.get((name, "relion" if program == "isac2" else "isac2"))
                cells = [_cell(summary, other, column) for column in _COLUMNS]
                agree = "" if summary.agreement is None else f"{summary.agreement:.2f}"
                rows.append("| " + " | ".join([name, shown, *cells, agree]) + " |")
    return "\n".join(rows)


def _cell(
    summary: Summary, other: Summary | None, column: tuple[str, str, str, bool | None]
) -> str:
    """Return a score, bold where it is the better of two; and its spread over the seeds."""
    _, score, form, more_is_better = column
    value = summary.median(score)
    if value is None:
        return ""
    text = form.format(value)
    if score == "views_found":
        text += f" of {summary.median('views_total'):.0f}"
    rival = None if other is None else other.median(score)
    if (
        rival is not None
        and more_is_better is not None
        and form.format(rival) != form.format(value)
    ):
        text = f"**{text}**" if (value > rival) == more_is_better else text
    spread = summary.spread(score)
    if spread and score not in ("core_seconds", "seconds_a_pass", "classes"):
        text += f" ± {form.format(spread)}"
    return text


def _not_ahead(names: list[str], known: dict[tuple[str, str], Summary]) -> str:
    """Say on which sets and scores isac2 is not ahead of RELION."""
    behind, slow, both, faster = [], [], [], []
    for name in names:
        ours, theirs = known.get((name, "isac2")), known.get((name, "relion"))
        if ours is None or theirs is None:
            continue
        both.append(name)
        words = []
        for heading, score, form, more_is_better in _COLUMNS:
            mine, other = ours.median(score), theirs.median(score)
            if score in _COMPARED and mine is not None and other is not None:
                level = form.format(mine) == form.format(other)
                if not level and (mine > other) != more_is_better:
                    words.append(f"{heading} {form.format(mine)} to {form.format(other)}")
        if words:
            behind.append(f"- {name}: {'; '.join(words)}")
        factor = (theirs.median("seconds_a_pass") or 0) / (ours.median("seconds_a_pass") or 1)
        faster.append(factor)
        if factor < _FACTOR:
            slow.append(f"{name} ({factor:.1f})")
    if not both:
        return ""
    low, high = min(faster), max(faster)
    text = [f"Side by side: {len(both)} sets. A pass of isac2 takes RELION's time divided by "
            f"{low:.0f} to {high:.0f}."]  # fmt: skip
    text += [f"Less than ten times faster a pass on {', '.join(slow)}."] if slow else []
    text += ["", "Sets and scores on which isac2 is behind RELION (isac2's first):", ""]
    return "\n".join([*text, *(behind or ["none."])])


def draw_quality(summaries: Sequence[Summary], output: Path) -> None:
    """Draw the main scores of all sets, one row a set, both programs."""
    from matplotlib.figure import Figure

    sets = all_sets()
    known = {(s.set, s.program): s for s in summaries if s.set in sets}
    names = [name for name in sets if (name, "isac2") in known]
    panels = [
        ("purity", "purity", False),
        ("good_accounted", "good particles in classes", False),
        ("junk_accounted", "junk in classes", False),
        ("average_correlation", "averages with clean views", False),
        ("core_seconds", "core-seconds", True),
    ]
    figure = Figure(figsize=(13, 0.8 + 0.27 * len(names)), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True)
    for axis, (score, title, logarithmic) in zip(axes, panels, strict=True):
        for program, colour, marker in (("relion", "#c06020", "s"), ("isac2", "#1f5f9f", "o")):
            rows = [(i, known[name, program]) for i, name in enumerate(names)
                    if (name, program) in known]  # fmt: skip
            for row, summary in rows:
                values = summary.values(score)
                axis.plot(values, [row] * len(values), marker, color=colour, ms=3, alpha=0.4)
            middle = [(row, summary.median(score)) for row, summary in rows]
            shown = [(row, value) for row, value in middle if value is not None]
            axis.plot([value for _, value in shown], [row for row, _ in shown], marker,
                      color=colour, ms=6, label=_NAMES[program])  # fmt: skip
        axis.set_title(title, fontsize=10)
        axis.grid(axis="both", color="#dddddd", lw=0.6)
        axis.set_axisbelow(True)
        if logarithmic:
            axis.set_xscale("log")
            axis.set_xticks(_SECONDS, list(map(str, _SECONDS)))
            axis.minorticks_off()
        else:
            axis.set_xlim(-0.03, 1.03)
    axes[0].set_yticks(range(len(names)), names, fontsize=8)
    axes[0].invert_yaxis()
    axes[0].legend(fontsize=8, loc="lower left")
    figure.savefig(output, dpi=110)
