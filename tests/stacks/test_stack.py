"""Reading in any order from many files, by many threads, with few files open."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from isac2.errors import InputError
from isac2.stacks import Stack, open_stack, write_mrcs, write_star
from isac2.stacks._images import OpenFiles

FILES, PER_FILE = 7, 5


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """Images whose pixels are all 100 * file + number, listed in a shuffled order."""
    names = []
    for file in range(FILES):
        values = 100.0 * file + np.arange(PER_FILE)
        write_mrcs(tmp_path / f"m{file}.mrcs", np.tile(values[:, None, None], (1, 4, 4)), 1.0)
        names += [f"{number + 1}@m{file}.mrcs" for number in range(PER_FILE)]
    order = np.random.default_rng(3).permutation(len(names))
    write_star(tmp_path / "all.star", {"particles": {"rlnImageName": np.array(names)[order]}})
    return open_stack(tmp_path / "all.star")


def expected(stack: Stack) -> np.ndarray:
    files = np.array([int(file.path.stem[1:]) for file in stack.files])
    return 100.0 * files[stack.file_index] + stack.slots


def test_images_come_in_the_order_asked_for(stack: Stack) -> None:
    rows = np.random.default_rng(4).integers(0, len(stack), 200)
    images = stack.read(rows)
    assert images.shape == (200, 4, 4)
    np.testing.assert_array_equal(
        images, np.broadcast_to(expected(stack)[rows, None, None], (200, 4, 4))
    )
    np.testing.assert_array_equal(stack.read(slice(3, 9)), stack.read(np.arange(3, 9)))
    assert len(stack.read([])) == 0


def test_large_requests_are_shared_by_threads(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isac2.stacks.stack._BYTES_A_THREAD", 3 * 64)
    monkeypatch.setattr("isac2.stacks.stack._core_count", lambda: 3)
    rows = np.random.default_rng(5).permutation(len(stack))
    np.testing.assert_array_equal(stack.read(rows)[:, 0, 0], expected(stack)[rows])


def test_an_array_can_be_filled_again(stack: Stack) -> None:
    out = np.full((3, 4, 4), 9, np.float32)
    assert stack.read([5, 1, 5], out) is out
    np.testing.assert_array_equal(out[:, 0, 0], expected(stack)[[5, 1, 5]])
    for wrong in (np.empty((3, 4, 5), np.float32), np.empty((3, 4, 4)), out[:, ::-1]):
        with pytest.raises(ValueError, match="C-contiguous float32"):
            stack.read([5, 1, 5], wrong)  # type: ignore[arg-type]


def test_threads_share_a_stack(stack: Stack) -> None:
    stack._open_files = OpenFiles(2)
    rows = [np.random.default_rng(i).permutation(len(stack)) for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(stack.read, rows))
    for chosen, images in zip(rows, results, strict=True):
        np.testing.assert_array_equal(images[:, 0, 0], expected(stack)[chosen])
    stack.read()
    assert len(stack._open_files) <= 2
    stack.close()
    assert len(stack._open_files) == 0


def test_a_selection_keeps_pixels_and_metadata_together(stack: Stack) -> None:
    chosen = stack.select([4, 2])
    np.testing.assert_array_equal(chosen.read(), stack.read([4, 2]))
    names = stack.metadata.foreign.particles["rlnImageName"]
    assert chosen.metadata.foreign.particles["rlnImageName"].tolist() == names[[4, 2]].tolist()


@pytest.mark.parametrize("rows", [[35], [-1], [[0]], [0.5], [True] * 35])
def test_images_that_do_not_exist_are_refused(stack: Stack, rows: list[int]) -> None:
    with pytest.raises(IndexError):
        stack.read(rows)


def test_a_stack_travels_to_other_processes(stack: Stack) -> None:
    stack.read([0])
    copy = pickle.loads(pickle.dumps(stack))
    np.testing.assert_array_equal(copy.read([1]), stack.read([1]))


def test_the_fingerprint_is_that_of_the_content(stack: Stack) -> None:
    before = stack.fingerprint()
    assert open_stack(stack.path).fingerprint() == before
    path = stack.files[0].path
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert stack.fingerprint() != before
    assert stack.select([1, 0]).fingerprint() != stack.select([0, 1]).fingerprint()


def test_images_must_be_square_and_of_one_size(tmp_path: Path) -> None:
    write_mrcs(tmp_path / "wide.mrcs", np.zeros((2, 4, 5)), 1.0)
    with pytest.raises(InputError, match=r"wide.mrcs: images are 5 x 4 px, but must be square"):
        open_stack(tmp_path / "wide.mrcs")
    write_mrcs(tmp_path / "a.mrcs", np.zeros((2, 4, 4)), 1.0)
    write_mrcs(tmp_path / "b.mrcs", np.zeros((2, 6, 6)), 1.0)
    names = np.array(["1@a.mrcs", "2@a.mrcs", "1@b.mrcs"])
    write_star(tmp_path / "x.star", {"particles": {"rlnImageName": names}})
    with pytest.raises(InputError, match=r"b.mrcs: images are 6 x 6 .* 4 x 4 \(image 3 of"):
        open_stack(tmp_path / "x.star")


def test_mixed_pixel_sizes_are_not_one_pixel_size(tmp_path: Path) -> None:
    write_mrcs(tmp_path / "a.mrcs", np.zeros((1, 4, 4)), 1.0)
    write_mrcs(tmp_path / "b.mrcs", np.zeros((1, 4, 4)), 2.0)
    names = np.array(["1@a.mrcs", "1@b.mrcs"])
    write_star(tmp_path / "x.star", {"particles": {"rlnImageName": names}})
    stack = open_stack(tmp_path / "x.star")
    assert stack.pixel_size_in_angstroms is None
    assert stack.metadata.pixel_size_in_angstroms.tolist() == [1.0, 2.0]
    assert "mixed pixel size" in stack.describe()


def test_what_is_no_stack_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.mrcs cannot be read: No such file"):
        open_stack(tmp_path / "gone.mrcs")
    with pytest.raises(InputError, match="is a folder"):
        open_stack(tmp_path)
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(InputError, match=r"x\.txt is not an MRC file"):
        open_stack(tmp_path / "x.txt")
    (tmp_path / "loop.mrcs").symlink_to(tmp_path / "loop.mrcs")
    with pytest.raises(InputError, match=r"loop\.mrcs cannot be read"):
        open_stack(tmp_path / "loop.mrcs")
