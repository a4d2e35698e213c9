from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from isac2.report.pictures import picture_address, sheets_of_images, to_bytes


def decoded(address: str) -> NDArray[np.uint8]:
    head, _, content = address.partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("count", [1, 16, 17, 300])
def test_every_image_is_where_the_page_looks_for_it(count: int) -> None:
    images = np.zeros((count, 4, 4), dtype=np.float32)
    images[:, 0, 0] = 1.0
    images[:, 1, 1] = np.arange(count) / count  # tells the images apart
    sheets = sheets_of_images(images)
    assert len(sheets.addresses) == -(-count // 256)
    pictures = [decoded(address) for address in sheets.addresses]
    for number in range(count):
        place = number % 256
        row, column = 4 * (place // 16), 4 * (place % 16)
        tile = pictures[number // 256][row : row + 4, column : column + 4]
        assert int(tile[1, 1]) == pytest.approx(255 * number / count, abs=0.51)
        assert tile[0, 0] == 255


def test_lossy_sheets_are_much_the_same() -> None:
    images = np.random.default_rng(0).normal(size=(5, 24, 24)).astype(np.float32)
    exact, lossy = (decoded(sheets_of_images(images, kind).addresses[0]) for kind in (False, True))
    assert np.corrcoef(exact.ravel(), lossy.ravel())[0, 1] > 0.9


def test_constant_and_broken_images_are_black() -> None:
    images = np.ones((3, 4, 4), dtype=np.float32)
    images[1] = np.nan
    images[2, 0, 0] = np.inf
    greys, windows = to_bytes(images)
    assert (greys == 0).all()
    assert windows.tolist() == [[0, 0]] * 3


def test_a_missing_pixel_does_not_spoil_the_others() -> None:
    greys, _ = to_bytes(np.array([[[0.0, 10.0], [np.nan, 5.0]]], dtype=np.float32))
    assert greys.tolist() == [[[0, 255], [0, 128]]]


def test_no_images_are_no_sheets() -> None:
    sheets = sheets_of_images(np.empty((0, 4, 4), dtype=np.float32))
    assert sheets.addresses == ()


def test_picture_comes_back_as_it_was() -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(decoded(picture_address(picture)), picture)
