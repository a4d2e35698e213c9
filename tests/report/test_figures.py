from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isac2.errors import InputError
from isac2.report.data import ReportData
from isac2.report.figures import FIGURES, draw_figure, write_figure

STARTS = {".pdf": b"%PDF-", ".png": b"\x89PNG", ".svg": b"<?xml"}


@pytest.mark.parametrize("kind", list(FIGURES))
@pytest.mark.parametrize("ending", list(STARTS))
def test_every_figure_is_written_in_every_format(
    report: ReportData, tmp_path: Path, kind: str, ending: str
) -> None:
    path = tmp_path / f"figure{ending}"
    write_figure(report, kind, path)
    first = path.read_bytes()
    assert first.startswith(STARTS[ending])
    write_figure(report, kind, path)
    assert path.read_bytes() == first  # no dates, no random names
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_montage_shows_the_largest_class_first(report: ReportData) -> None:
    classes = replace(report.classes, sizes=np.array([2, 4, 3]))
    figure = draw_figure(replace(report, classes=classes), "montage", columns=2)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["4", "3", "2", ""]
    assert any("Å" in text.get_text() for text in figure.axes[0].texts)


def test_a_chain_is_in_its_order(report: ReportData) -> None:
    titles = [axes.get_title() for axes in draw_figure(report, "chain").axes]
    assert titles == ["3", "1", "2"]


def test_histograms_leave_out_what_is_not_known(report: ReportData) -> None:
    figure = draw_figure(report, "histogram")
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "class size (particles)",
        "resolution (Å)",
        "pixel error (px)",
        "mirror consistency (%)",
    ]
    counts = [sum(bar.get_height() for bar in axes.patches) for axes in figure.axes]  # type: ignore[attr-defined]
    assert counts == [3, 2, 2, 2]


def test_ring_correlations_end_at_the_pixels_nyquist(report: ReportData) -> None:
    axes = draw_figure(report, "frc").axes[0]
    assert axes.get_xlim()[1] == pytest.approx(0.5 / 2.5)
    assert len(axes.lines) == 3 + 1 + 1  # classes, median, 1/3


@pytest.mark.parametrize(
    ("kind", "missing", "words"),
    [
        ("chain", "chain", "has no chain"),
        ("frc", "ring_correlation", "has no Fourier ring correlations"),
    ],
)
def test_what_a_run_lacks_is_said(
    report: ReportData, tmp_path: Path, kind: str, missing: str, words: str
) -> None:
    nothing: dict[str, Any] = {missing: None}
    with pytest.raises(InputError, match=words):
        write_figure(replace(report, **nothing), kind, tmp_path / "a.pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_classes_has_no_figure(empty_report: ReportData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no class"):
        write_figure(empty_report, "montage", tmp_path / "a.pdf")


def test_names_tell_the_format(report: ReportData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.pdf, \.svg, \.png"):
        write_figure(report, "montage", tmp_path / "a.jpeg")
    with pytest.raises(InputError, match="there is no folder"):
        write_figure(report, "montage", tmp_path / "none" / "a.pdf")


def test_a_missing_library_is_named(report: ReportData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"pip install 'isac2\[view\]'"):
        draw_figure(report, "montage")
