"""Sheets of images: where each is, and how grey."""

from __future__ import annotations

import numpy as np

from isac2.images.montage import montage


def test_images_are_laid_out_row_by_row() -> None:
    images = np.zeros((3, 4, 5), np.float32)
    images[:, 0, 0] = [1, 2, 3]
    sheet = montage(images, columns=2, gap=1)
    assert sheet.shape == (9, 11)
    assert sheet[0, 0] == sheet[0, 6] == sheet[5, 0] == 255  # beyond three deviations
    assert (sheet[4] == 255).all()
    assert (sheet[5:, 6:] == 255).all()  # the empty place


def test_constant_and_broken_images_do_no_harm() -> None:
    images = np.zeros((3, 4, 4), np.float32)
    images[1] = np.nan
    images[2, 0, 0] = np.inf
    sheet = montage(images, columns=3, gap=0)
    assert (sheet[:, :4] == 128).all()
    assert (sheet[:, 4:8] == 0).all()
    assert sheet[0, 8] in (0, 255)
