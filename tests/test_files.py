"""Atomic writing."""

from __future__ import annotations

from pathlib import Path

import pytest

from isac2.files import atomic_path, write_text_atomic


def test_the_file_appears_only_after_the_block(tmp_path: Path) -> None:
    target = tmp_path / "averages.hdf"
    with atomic_path(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".hdf"
        temporary.write_bytes(b"pixels")
        assert not target.exists()
    assert target.read_bytes() == b"pixels"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "ids.txt"
    target.write_text("old")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half of the new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "empty.txt"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_text_keeps_its_line_ends(tmp_path: Path) -> None:
    target = tmp_path / "notes.txt"
    write_text_atomic(target, "å\r\nb\n")
    assert target.read_bytes() == "å\r\nb\n".encode()
