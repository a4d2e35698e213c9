"""MRC stacks: modes, byte orders, extended headers, broken files, and what mrcfile says of ours."""

from __future__ import annotations

import io
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isac2.errors import InputError
from isac2.stacks import open_stack, write_mrcs
from isac2.stacks._images import OpenFiles
from isac2.stacks.mrc import open_mrc

# mrcfile 1.5 sets the type of an array, of which NumPy 2.5 warns.
pytestmark = pytest.mark.filterwarnings("ignore:Setting the dtype:DeprecationWarning")


def raw_mrc(pixels: np.ndarray, mode: int, order: str = "<", extended: bytes = b"") -> bytes:
    """Lay out an MRC file by hand: header words, extended header, pixels."""
    header = bytearray(1024)
    nz, ny, nx = pixels.shape
    header[0:16] = np.array([nx, ny, nz, mode], order + "i4").tobytes()
    header[28:40] = np.array([nx, ny, 1], order + "i4").tobytes()
    header[40:52] = np.array([nx * 1.5, ny * 1.5, 1.5], order + "f4").tobytes()
    header[92:96] = np.array([len(extended)], order + "i4").tobytes()
    header[208:212] = b"MAP "
    header[212:214] = b"\x44\x44" if order == "<" else b"\x11\x11"
    return bytes(header) + extended + pixels.astype(order + pixels.dtype.str[1:]).tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("extended", [b"", b"x" * 160])
@pytest.mark.parametrize(
    ("mode", "dtype"), [(0, "i1"), (1, "i2"), (2, "f4"), (6, "u2"), (12, "f2")]
)
def test_every_mode_and_byte_order_is_read(
    tmp_path: Path, order: str, extended: bytes, mode: int, dtype: str
) -> None:
    pixels = np.arange(3 * 4 * 4).reshape(3, 4, 4).astype(dtype)
    pixels[0, 0, 0] = 100 if dtype.startswith("u") else -100
    path = tmp_path / "x.mrc"
    path.write_bytes(raw_mrc(pixels, mode, order, extended))
    stack = open_stack(path)
    assert (len(stack), stack.box_size, stack.pixel_size_in_angstroms) == (3, 4, 1.5)
    images = stack.read([2, 0, 2])
    assert images.dtype == np.float32
    assert images.flags.c_contiguous
    np.testing.assert_array_equal(images, pixels[[2, 0, 2]].astype(np.float32))


def test_a_missing_machine_stamp_is_no_obstacle(tmp_path: Path) -> None:
    pixels = np.arange(16, dtype="f4").reshape(1, 4, 4)
    content = bytearray(raw_mrc(pixels, 2, ">"))
    content[208:216] = bytes(8)
    (tmp_path / "old.mrc").write_bytes(content)
    np.testing.assert_array_equal(open_stack(tmp_path / "old.mrc").read([0]), pixels)


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16", "uint16", "float16"])
def test_written_stacks_pass_mrcfile(tmp_path: Path, dtype: str) -> None:
    images = np.random.default_rng(1).normal(20, 5, (7, 8, 8)).astype(dtype)
    path = tmp_path / "out.mrcs"
    write_mrcs(path, images, 2.5)
    report = io.StringIO()
    assert mrcfile.validate(path, report), report.getvalue()
    with mrcfile.open(path) as mrc:
        assert mrc.is_image_stack()
        assert mrc.voxel_size.x == pytest.approx(2.5)
        assert mrc.data.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(mrc.data, images)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)),
    dtype=st.sampled_from(["float32", "int8", "int16", "uint16", "float16"]),
    pixel_size=st.floats(0.125, 100, width=32),
    seed=st.integers(0, 1000),
)
def test_any_images_come_back(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int, int],
    dtype: str,
    pixel_size: float,
    seed: int,
) -> None:
    images = (np.random.default_rng(seed).random(shape) * 100).astype(dtype)
    path = tmp_path_factory.mktemp("mrc") / "x.mrcs"
    write_mrcs(path, images, pixel_size)
    file = open_mrc(path)
    assert (file.count, *file.shape) == shape
    assert file.pixel_size_in_angstroms == pytest.approx(pixel_size, rel=1e-6)
    out = np.empty(shape, np.float32)
    file.read_into(OpenFiles(), np.arange(shape[0]), out, np.arange(shape[0]))
    np.testing.assert_array_equal(out, images.astype(np.float32))


def test_chunks_make_the_same_file_as_one_array(tmp_path: Path) -> None:
    images = np.random.default_rng(2).normal(size=(5, 6, 6)).astype(np.float32)
    write_mrcs(tmp_path / "a.mrcs", images, 1.0)
    write_mrcs(tmp_path / "b.mrcs", (images[i : i + 2] for i in range(0, 5, 2)), 1.0)
    assert (tmp_path / "a.mrcs").read_bytes() == (tmp_path / "b.mrcs").read_bytes()


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    def chunks() -> object:
        yield np.zeros((1, 4, 4), np.float32)
        yield np.zeros((1, 5, 5), np.float32)

    with pytest.raises(InputError, match="different sizes"):
        write_mrcs(tmp_path / "x.mrcs", chunks(), 1.0)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no image"):
        write_mrcs(tmp_path / "x.mrcs", [], 1.0)
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_stack_is_refused_at_opening(tmp_path: Path) -> None:
    content = raw_mrc(np.zeros((3, 4, 4), "f4"), 2)
    path = tmp_path / "cut.mrcs"
    path.write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"cut.mrcs is cut short.*1216 bytes.*1215 bytes"):
        open_stack(path)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ({0: 2**31 - 1, 4: 2**31 - 1, 8: 2**31 - 1}, "cut short"),
        ({0: 0}, "impossible"),
        ({92: -5}, "impossible"),
        ({12: 4}, "mode 4"),
        ({12: 101}, "mode 101"),
        ({0: -4}, "not an MRC file"),
    ],
)
def test_absurd_headers_end_in_one_sentence(
    tmp_path: Path, words: dict[int, int], fault: str
) -> None:
    content = bytearray(raw_mrc(np.zeros((1, 4, 4), "f4"), 2))
    for offset, value in words.items():
        content[offset : offset + 4] = np.array([value], "<i4").tobytes()
    path = tmp_path / "x.mrcs"
    path.write_bytes(content)
    with pytest.raises(InputError, match=fault):
        open_stack(path)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 1216), noise=st.binary(min_size=0, max_size=20), at=st.integers(0, 1023))
def test_damaged_files_never_do_worse_than_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, cut: int, noise: bytes, at: int
) -> None:
    content = bytearray(raw_mrc(np.zeros((3, 4, 4), "f4"), 2))
    content[at : at + len(noise)] = noise
    path = tmp_path_factory.mktemp("damaged") / "x.mrcs"
    path.write_bytes(content[:cut])
    try:
        images = open_mrc(path)
    except InputError:
        return
    assert images.offset + images.count * images.image_bytes <= cut


def test_a_file_that_shrinks_after_opening_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.mrcs"
    path.write_bytes(raw_mrc(np.zeros((3, 4, 4), "f4"), 2))
    stack = open_stack(path)
    path.write_bytes(path.read_bytes()[:1100])
    with pytest.raises(InputError, match=r"x\.mrcs ends at byte 1100"):
        stack.read([0, 1, 2])
