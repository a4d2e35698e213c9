from __future__ import annotations

import base64
import io
import re

import numpy as np
from PIL import Image

from isac2.poses import identity_poses
from isac2.report.notebook import gallery_html
from isac2.run.results import RunResult


def result() -> RunResult:
    averages = np.random.default_rng(1).normal(size=(2, 8, 8)).astype(np.float32)
    nan = np.full(5, np.nan)
    return RunResult(
        averages=averages,
        members=(np.array([0]), np.array([1, 2, 4])),
        class_of_particle=np.array([0, 1, 1, -1, 1]),
        poses=identity_poses(5),
        pixel_errors=nan,
        similarities=nan,
        rms_pixel_errors=np.zeros(2),
        mirror_consistency=np.ones(2),
        resolutions_in_angstroms=np.array([12.0, np.nan]),
        pixel_size_in_angstroms=2.0,
        directory=None,
    )


def test_a_result_is_a_line_of_text() -> None:
    assert repr(result()) == "<2 classes of 4 of 5 particles>"


def test_a_result_shows_itself_as_a_gallery() -> None:
    html = result()._repr_html_()
    assert re.findall(r"<figcaption>(.*?)</figcaption>", html) == ["1: 3", "0: 1, 12.0 Å"]
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    assert len(pictures) == 2
    with Image.open(io.BytesIO(base64.b64decode(pictures[0]))) as picture:
        assert picture.size == (8, 8)
    assert "<script" not in html


def test_only_the_largest_of_many_classes_are_shown() -> None:
    averages = np.zeros((130, 4, 4), np.float32)
    html = gallery_html(averages, np.arange(130), np.full(130, np.nan), "run")
    assert html.count("<img") == 120
    assert "the 120 largest" in html
    assert "<figcaption>129: 129</figcaption>" in html
    assert "<figcaption>9: 9</figcaption>" not in html
