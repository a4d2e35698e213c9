from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from isac2.report.data import ReportData
from isac2.report.page import render_page

VOID = {"meta", "link", "input", "br", "img", "hr"}


class Page(HTMLParser):
    """Checks that elements nest, and keeps what the tests look at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.labels: list[str] = []
        self.addresses: list[str] = []
        self.text: dict[str, str] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        for name in ("aria-labelledby", "for"):
            self.labels += (values.get(name) or "").split()
        self.addresses += [values[name] or "" for name in ("src", "href") if name in values]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        place = " ".join(self.open)
        self.text[place] = self.text.get(place, "") + data


def test_page_nests_and_its_labels_exist(report: ReportData) -> None:
    page = Page(render_page(report, "1.2.3"))
    assert len(page.ids) == len(set(page.ids))
    assert set(page.labels) <= set(page.ids)


def test_page_asks_nothing_of_the_network(report: ReportData) -> None:
    text = render_page(report, "1.2.3")
    for address in Page(text).addresses:
        assert address.startswith(("data:", "#"))
    assert "default-src 'none'" in text
    without_names = text.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttpRequest", without_names)


def test_text_from_outside_is_escaped(report: ReportData) -> None:
    text = render_page(report, "1.2.3")
    assert "<one>" not in text
    assert "<constant>" not in text
    assert "run &lt;one&gt;" in text
    assert "Range of &lt;x&gt;." in text
    assert "particles &amp; more.star" in text


def test_data_can_be_read_back(report: ReportData) -> None:
    text = render_page(report, "1.2.3")
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', text)
    assert found
    document = json.loads(found[1])
    assert document["title"] == "run <one>"
    assert document["classes"]["size"] == [4, 3, 2]


def test_figures_add_up(report: ReportData) -> None:
    text = render_page(report, "1.2.3")
    assert "<dd>45.0 %<small>9 particles" in text
    assert "<dd>55.0 %<small>11 of 20" in text
    odd = render_page(replace(report, particle_count=2000), "1.2.3")
    shares = [float(share) for share in re.findall(r"<dd>([\d.]+) %<small>\d", odd)]
    assert sum(shares[:2]) == pytest.approx(100.0)


def test_flow_says_in_words_what_it_shows(report: ReportData) -> None:
    text = render_page(report, "1.2.3")
    assert (
        "Particles: 4 in generation 1.1, 3 in generation 1.2, 2 in generation 2.1, 11 left over."
    ) in text


def test_generations_have_one_row_each(report: ReportData) -> None:
    table = re.search(r"<h3>Generations</h3>\s*<table>.*?</table>", render_page(report, "1"), re.S)
    assert table
    rows = re.findall(r"<tr><th scope=\"row\">(\d)</th>(.*?)</tr>", table[0])
    assert [main for main, _ in rows] == ["1", "1", "2"]
    cells = re.findall(r"<td class=\"number\">(.*?)</td>", rows[0][1])
    assert cells == ["1", "20", "4", "1", "4", "7", "80 %", "12.0 s"]


def test_options_that_were_set_come_before_the_others(report: ReportData) -> None:
    text = render_page(report, "1.2.3")
    assert text.index("--radius</code>") < text.index("1 options at their defaults")
    assert text.index("1 options at their defaults") < text.index("--xr</code>")


def test_a_run_without_classes_has_a_page(empty_report: ReportData) -> None:
    text = render_page(empty_report, "1.2.3")
    Page(text)
    assert "left no record of its generations" in text
    Page(render_page(replace(empty_report, particle_count=0), "1.2.3"))
