from __future__ import annotations

from pathlib import Path

import pytest

from isac2.cli.main import main


def test_a_run_of_sphire_gets_a_page_elsewhere(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "sphire.html"
    assert main(["report", str(shared / "golden" / "sphire_run"), "--output", str(page)]) == 0
    assert capsys.readouterr().out == f"Report: {page}\n"
    assert "<title>sphire_run" in page.read_text(encoding="utf-8")


def test_what_is_no_run_is_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: ")
    assert "not the directory of a run" in said
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_for_the_page_is_told(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "missing" / "page.html"
    assert main(["report", str(shared / "golden" / "sphire_run"), "-o", str(page)]) == 2
    assert "There is no folder" in capsys.readouterr().err
