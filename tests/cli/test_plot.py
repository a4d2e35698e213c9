from __future__ import annotations

from pathlib import Path

import pytest

from isac2.cli.main import main


def test_plot_draws_a_run_of_sphire(shared: Path, tmp_path: Path) -> None:
    run = shared / "golden" / "sphire_run"
    for kind in ("montage", "chain", "histogram"):
        assert main(["plot", kind, str(run), "-o", str(tmp_path / f"{kind}.pdf")]) == 0
        assert (tmp_path / f"{kind}.pdf").read_bytes().startswith(b"%PDF-")


def test_plot_says_what_it_cannot_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", "montage", str(tmp_path), "-o", str(tmp_path / "a.pdf")]) == 2
    assert "is not the directory of a run" in capsys.readouterr().err
