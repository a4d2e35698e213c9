from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.report import payload as payload_module
from isac2.report.data import ReportData
from isac2.report.payload import payload, script_json


def unpacked(text: str, kind: str) -> NDArray[np.int64]:
    return np.frombuffer(base64.b64decode(text), dtype=kind).astype(np.int64)


def test_everything_survives_the_way_through_json(report: ReportData) -> None:
    document = payload(report)
    assert json.loads(script_json(document)) == json.loads(json.dumps(document))


def test_numbers_that_are_not_known_are_null(report: ReportData) -> None:
    classes = payload(report)["classes"]
    assert classes["resolution"] == [8.0, 9.5, None]
    assert classes["error"] == [0.2, 0.4, None]
    assert classes["tested"] == [5, 5, 0]
    unknown = replace(report, radius=np.nan, pixel_size_in_angstroms=np.nan)
    document = payload(unknown)
    assert document["pixelSize"] is None
    assert document["classes"]["offCentre"] == [None, None, None]
    assert document["initialAverage"]["centre"] is None


def test_members_are_packed_in_the_units_the_page_expects(report: ReportData) -> None:
    members = payload(report)["members"]
    assert unpacked(members["ids"], "<i4").tolist() == [3, 5, 7, 9, 0, 1, 2, 18, 19]
    assert unpacked(members["error"], "<u2").tolist()[:2] == [100, 200]
    assert unpacked(members["error"], "<u2")[7] == 65535  # not known
    turns = unpacked(members["alpha"], "<u2")[:4] / 65535
    np.testing.assert_allclose(turns, [0, 0.25, 0.75, 359.9 / 360], atol=1e-4)
    assert set(unpacked(members["tx"], "<i2").tolist()) == {125}
    assert set(unpacked(members["ty"], "<i2").tolist()) == {-250}
    assert unpacked(members["mirror"], "u1").tolist() == [0, 1, 0, 1, 0, 1, 0, 1, 0]


def test_ring_correlation_is_packed_from_minus_one_to_one(report: ReportData) -> None:
    table = payload(report)["ringCorrelation"]
    assert table["step"] == pytest.approx(1 / 16)
    curves = unpacked(table["curves"], "u1").reshape(3, table["rings"]) / 127 - 1
    np.testing.assert_allclose(curves[0], np.linspace(1, -1, 9), atol=0.005)


def test_flags_name_what_is_wrong_with_an_average(report: ReportData) -> None:
    y, x = np.mgrid[-8:8, -8:8]
    averages = np.exp(-((x - 4.0) ** 2 + y**2) / 4)[np.newaxis].repeat(3, 0).astype(np.float32)
    averages[0] = np.exp(-(x**2 + y**2) / 4)
    document = payload(replace(report, classes=replace(report.classes, averages=averages)))
    assert document["classes"]["flags"] == [[], ["off centre"], ["off centre"]]
    assert document["classes"]["offCentre"][1] == pytest.approx(4.0, abs=0.1)


def test_what_a_run_did_not_leave_is_null(report: ReportData) -> None:
    bare = replace(
        report, members=None, chain=None, ring_correlation=None, sample=None, initial_average=None
    )
    document = payload(bare)
    for name in ("members", "chain", "ringCorrelation", "sample", "initialAverage"):
        assert document[name] is None


def test_too_many_members_are_left_out(report: ReportData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload_module, "MOST_MEMBERS", 8)
    assert payload(report)["members"] is None


def test_text_cannot_end_the_script() -> None:
    hostile = "</script><!-- \u2028 & <script>"
    text = script_json({"title": hostile})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text)["title"] == hostile
