"""All that was measured, in one file: what the pages are written from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.quality.scoring import agreement_of_seeds
from isac2.files import write_text_atomic

__all__ = ["MEASURED", "Summary", "collect", "period", "read_summaries"]

MEASURED = Path(__file__).with_name("measured.json")


@dataclass(frozen=True)
class Summary:
    """What one program made of one set, over its seeds.

    Attributes
    ----------
    set, program : str
    runs : tuple of dict
        Record and scores of each seed, in the order of the seeds.
    agreement : float or None
        Between the seeds.
    """

    set: str
    program: str
    runs: tuple[dict[str, Any], ...]
    agreement: float | None

    def values(self, name: str) -> list[float]:
        """Return a score of all seeds that have it."""
        found = [run.get(name) for run in self.runs]
        return [float(value) for value in found if value is not None]

    def median(self, name: str) -> float | None:
        """Return the median over the seeds; None where no run has the score."""
        values = self.values(name)
        return median(values) if values else None

    def spread(self, name: str) -> float | None:
        """Return half the range over the seeds; None for fewer than two."""
        values = self.values(name)
        return 0.5 * (max(values) - min(values)) if len(values) > 1 else None


def collect(
    folders: Iterable[Path],
    score: Callable[[Path, dict[str, Any]], dict[str, Any] | None],
    output: Path = MEASURED,
) -> None:
    """Write records and scores of results into one file.

    Parameters
    ----------
    folders : iterable of Path
        Of results; of several of the same set, program and seed the one made last counts.
    score : callable
        Scores of a result from its folder and record; None leaves it out.
    output : Path
        What it holds of other sets and programs is kept.
    """
    newest: dict[tuple[str, str, int], tuple[Path, dict[str, Any]]] = {}
    for folder in sorted(folders, key=lambda item: (item / "record.json").stat().st_mtime):
        record = json.loads((folder / "record.json").read_text("utf-8"))
        newest[record["set"], record["program"], record["seed"]] = folder, record
    groups: dict[tuple[str, str], list[tuple[Path, dict[str, Any]]]] = {}
    for (name, program, _), found in sorted(newest.items()):
        groups.setdefault((name, program), []).append(found)
    kept = {(s.set, s.program): s for s in read_summaries(output)}
    for (name, program), results in groups.items():
        scored = [(folder, record, score(folder, record)) for folder, record in results]
        runs = [(folder, {**record, **made}) for folder, record, made in scored if made is not None]
        if runs:
            agreement = agreement_of_seeds([folder for folder, _ in runs])
            kept[name, program] = Summary(
                name, program, tuple(values for _, values in runs), agreement
            )
    rows = [
        {"set": s.set, "program": s.program, "agreement": s.agreement, "runs": list(s.runs)}
        for s in kept.values()
    ]
    write_text_atomic(output, json.dumps(rows, indent=1) + "\n")


def read_summaries(path: Path = MEASURED) -> list[Summary]:
    """Read what `collect` wrote; nothing where it has not."""
    if not path.exists():
        return []
    return [
        Summary(row["set"], row["program"], tuple(row["runs"]), row["agreement"])
        for row in json.loads(path.read_text("utf-8"))
    ]


def period(runs: Iterable[Mapping[str, Any]]) -> str:
    """Say when runs were made: a day, or the first and the last.

    Examples
    --------
    >>> period([{"date": "2020-02-03"}, {"date": "2020-02-02"}]), period([{"date": "2020-02-02"}])
    ('2020-02-02 to 2020-02-03', '2020-02-02')
    """
    dates = [run["date"] for run in runs]
    return " to ".join(sorted({min(dates), max(dates)}))
