"""The page in a real browser: its script runs through and draws."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from isac2.report.data import ReportData
from isac2.report.page import render_page

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=3000",
)


@pytest.fixture(scope="module")
def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium is installed: the page is not tried in a browser")
    return found


def load_in_browser(browser: str, page: Path, fragment: str) -> str:
    """Return the document after its script has run; fails on anything the console says."""
    command = [browser, *FLAGS, f"--user-data-dir={page.parent / 'profile'}", "--dump-dom"]
    result = subprocess.run(
        [*command, f"{page.as_uri()}{fragment}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert [line for line in result.stderr.splitlines() if "CONSOLE" in line] == []
    return result.stdout


def test_gallery_and_class_page_are_drawn(browser: str, report: ReportData, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(render_page(report, "1.2.3"), encoding="utf-8")
    document = load_in_browser(browser, page, "#class-2")
    shown = re.findall(r'<li data-index="(\d)"', document)
    assert shown == ["2", "0", "1"]  # along the chain
    assert "All 3 classes, 9 particles" in document
    assert re.search(r'<dialog[^>]* open=""', document)
    assert ">Class 2</h2>" in document
    assert document.count('class="chart"') == 4 + 4  # distributions; of the class, four more
    assert "Particle 0" in document  # the sampled member of class 2


def test_a_page_without_classes_says_so(
    browser: str, empty_report: ReportData, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    page.write_text(render_page(empty_report, "1.2.3"), encoding="utf-8")
    assert "This run found no class." in load_in_browser(browser, page, "")
