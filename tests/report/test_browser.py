"""The page in a real browser: its script runs through and draws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from isac2.poses import make_poses
from isac2.report.data import (
    ClassTable,
    MemberTable,
    ReportData,
    RingCorrelationTable,
)
from isac2.report.page import render_page

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

MANY, MEMBERS, BOX = 500, 200, 76
MEGABYTE = 1_000_000


def opened(tabs: BrowserContext, data: ReportData, folder: Path, fragment: str = "") -> Page:
    file = folder / "report.html"
    file.write_text(render_page(data, "1.2.3"), encoding="utf-8")
    page = tabs.new_page()
    page.goto(f"{file.as_uri()}{fragment}")
    return page


def shown(page: Page) -> list[int]:
    """Classes in the gallery, from 1, in its order."""
    items = page.locator("#gallery li").all()
    return [int(item.get_attribute("data-index") or "-1") + 1 for item in items]


def wait_until_drawn(page: Page, k: int) -> None:
    """Wait until the canvas of class k, from 0, has been painted: empty ones are transparent."""
    script = """(k) => document.querySelector(`#gallery li[data-index="${k}"] canvas`)
        .getContext("2d").getImageData(0, 0, 1, 1).data[3] > 0"""
    page.wait_for_function(script, arg=k, timeout=60_000, polling=100)


def test_gallery_and_class_page_are_drawn(
    tabs: BrowserContext, report: ReportData, tmp_path: Path
) -> None:
    page = opened(tabs, report, tmp_path, "#class-2")
    assert shown(page) == [3, 1, 2]  # along the chain
    assert page.locator("#count").inner_text() == "All 3 classes, 9 particles"
    assert page.locator("#class-page").is_visible()
    assert page.locator("#class-title").inner_text() == "Class 2"
    assert page.locator(".filters .chart").count() == 4
    assert page.locator("#class-body .chart").count() == 4
    assert page.get_by_label("Particle 0").is_visible()  # the sampled member of class 2
    wait_until_drawn(page, 0)


def test_keys_move_open_and_close(tabs: BrowserContext, report: ReportData, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    page = opened(tabs, report, tmp_path)
    page.locator("#gallery .tile").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#class-title")).to_have_text("Class 1")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#class-title")).to_have_text("Class 2")
    page.keyboard.press("Escape")
    expect(page.locator("#class-page")).to_be_hidden()
    expect(page.locator('#gallery li[data-index="1"] .tile')).to_be_focused()


def test_the_focus_is_at_the_last_class_as_soon_as_its_page_closes(
    tabs: BrowserContext, report: ReportData, tmp_path: Path
) -> None:
    """Without a moment in which the next key would go elsewhere, and without a later change."""
    page = opened(tabs, report, tmp_path)
    page.locator("#gallery .tile").first.click()
    page.keyboard.press("ArrowRight")
    focused = page.evaluate(
        """() => new Promise((resolve) => {
          const place = () => document.activeElement.closest("li").dataset.index;
          const places = [];
          document.getElementById("class-page").addEventListener("close", () => {
            setTimeout(() => { places.push(place()); resolve(places); }, 0);
          });
          document.getElementById("close").click();
          places.push(place());
          document.activeElement.dispatchEvent(
            new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
          places.push(place());
        })"""
    )
    assert focused == ["0", "1", "1"]


def test_a_page_without_classes_says_so(
    tabs: BrowserContext, empty_report: ReportData, tmp_path: Path
) -> None:
    page = opened(tabs, empty_report, tmp_path)
    assert page.locator("#count").inner_text() == "This run found no class."


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(
    tabs: BrowserContext, report: ReportData, tmp_path: Path, scheme: str
) -> None:
    page = opened(tabs, report, tmp_path)
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    script = "(e) => [getComputedStyle(e).color, getComputedStyle(document.body).backgroundColor]"
    for selector in ("h1", ".facts", ".legend", "#count", "nav a"):
        ink, ground = page.locator(selector).first.evaluate(script)
        assert contrast(ink, ground) >= 4.5, selector  # WCAG 2.2, AA


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, as WCAG 2.2 defines it."""

    def luminance(colour: str) -> float:
        parts = [float(p) / 255 for p in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.fixture(scope="module")
def many() -> ReportData:
    """500 classes of 200 members, the averages as hard to compress as noise."""
    rng = np.random.default_rng(5)
    count = MANY * MEMBERS
    rows = np.full(MANY, MEMBERS)
    classes = ClassTable(
        averages=rng.normal(size=(MANY, BOX, BOX)).astype(np.float32),
        sizes=rows - np.arange(MANY) % 7,
        tested=rows,
        resolution_in_angstroms=rng.uniform(8, 20, MANY),
        rms_pixel_error=rng.uniform(0, 0.7, MANY),
        mirror_consistency=rng.uniform(0.6, 1, MANY),
        main_iteration=np.ones(MANY, np.int64),
        generation=1 + np.arange(MANY) % 4,
    )
    members = int(classes.sizes.sum())
    poses = make_poses(rng.uniform(0, 360, members), 0.5, -0.5, np.arange(members) % 2)
    table = MemberTable(np.arange(members), poses, rng.uniform(0, 0.7, members))
    curves = RingCorrelationTable(np.arange(39) / BOX, rng.uniform(-1, 1, (MANY, 39)))
    data = ReportData("many", "p.star", (), count, 3.0, 29.0, classes, members=table)
    return replace(data, ring_correlation=curves)


def test_500_classes_make_a_small_page_that_answers(
    tabs: BrowserContext, many: ReportData, tmp_path: Path
) -> None:
    page = opened(tabs, many, tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 15 * MEGABYTE
    assert page.locator("#gallery li").count() == MANY
    wait_until_drawn(page, 0)
    page.locator("#sort").select_option("size")
    assert shown(page)[:2] == [1, 8]
    page.get_by_label("Class size from, particles").fill("200")
    assert page.locator("#count").inner_text().startswith("72 of 500 classes")
    page.locator("#reset").click()
    page.locator("#low-pass").fill("12")
    page.locator("#gallery li").last.scroll_into_view_if_needed()
    last = shown(page)[-1] - 1
    wait_until_drawn(page, last)
    page.locator("#gallery .tile").last.click()
    assert page.locator("#class-title").inner_text() == f"Class {last + 1}"
