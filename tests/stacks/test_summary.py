"""What a summary says, checked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from isac2.stacks import open_stack, write_mrcs
from isac2.stacks.summary import summarise_pixels, summarise_stack


def test_ranges_and_what_is_lost(tmp_path: Path) -> None:
    write_mrcs(tmp_path / "a.mrcs", np.zeros((3, 4, 4)), 1.5)
    (tmp_path / "a.star").write_text(
        "data_\nloop_\n_rlnImageName\n_rlnDefocusU\n_rlnDefocusV\n_rlnClassNumber\n"
        "1@a.mrcs 10000 11000 2\n2@a.mrcs 20000 21000 2\n3@a.mrcs nan nan 0\n"
    )
    lines = dict(summarise_stack(open_stack(tmp_path / "a.star")).lines)
    assert lines["defocus"] == "10500 to 20500 A (unknown for 1 images)"
    assert lines["astigmatism"] == "1000 A (unknown for 1 images)"
    assert lines["CTF"].startswith("incomplete, without defocus u in angstroms")
    assert lines["classes"] == "1 with 2 to 2 members, 1 images in none"
    assert "voltage" not in lines


def test_pixels_of_a_sample(tmp_path: Path) -> None:
    images = np.arange(160.0).reshape(10, 4, 4)
    write_mrcs(tmp_path / "a.mrcs", images)
    pixels = summarise_pixels(open_stack(tmp_path / "a.mrcs"), 2)  # the first and the last
    assert (pixels.images, pixels.minimum, pixels.maximum) == (2, 0, 159)
    assert pixels.mean == images[[0, 9]].mean()
    assert pixels.counts.sum() >= 30
