"""Stacks packed by gzip and bzip2."""

from __future__ import annotations

import bz2
import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from isac2.errors import InputError
from isac2.stacks import open_stack, write_mrcs, write_star

# mrcfile 1.5 sets the type of an array, of which NumPy 2.5 warns.
pytestmark = pytest.mark.filterwarnings("ignore:Setting the dtype:DeprecationWarning")

PACKERS = [gzip.compress, bz2.compress]
Packer = Callable[[bytes], bytes]


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    write_mrcs(tmp_path / "a.mrcs", np.arange(80.0).reshape(5, 4, 4), 1.5)
    return tmp_path / "a.mrcs"


@pytest.mark.parametrize("pack", PACKERS)
def test_packed_stacks_are_read(plain: Path, pack: Packer) -> None:
    packed = plain.with_suffix(".mrcs.packed")
    packed.write_bytes(pack(plain.read_bytes()))
    with mrcfile.open(packed) as mrc:
        expected = mrc.data[[4, 0]]
    stack = open_stack(packed)
    assert stack.pixel_size_in_angstroms == 1.5
    np.testing.assert_array_equal(stack.read([4, 0]), expected)
    write_star(plain.with_suffix(".star"), {"particles": {"rlnImageName": [f"2@{packed.name}"]}})
    assert open_stack(plain.with_suffix(".star")).read()[0, 0, 0] == 16


@pytest.mark.parametrize("pack", PACKERS)
def test_truncation_before_and_after_packing_is_named(plain: Path, pack: Packer) -> None:
    packed = plain.with_suffix(".gz")
    packed.write_bytes(pack(plain.read_bytes()[:-1]))
    with pytest.raises(InputError, match=r"a.gz cannot be unpacked: it ends after 1343 of 1344"):
        open_stack(packed).read([0])
    packed.write_bytes(pack(plain.read_bytes())[:-9])
    with pytest.raises(InputError, match=r"a.gz"):
        open_stack(packed).read([0])
    packed.write_bytes(pack(b"hello"))
    with pytest.raises(InputError, match="not an MRC file"):
        open_stack(packed)


@pytest.mark.parametrize("pack", PACKERS)
def test_promises_no_compression_can_keep_are_refused(plain: Path, pack: Packer) -> None:
    header = bytearray(plain.read_bytes()[:1024])
    header[0:12] = np.array([2**31 - 1] * 3, "<i4").tobytes()
    packed = plain.with_suffix(".gz")
    packed.write_bytes(pack(bytes(header) + bytes(100_000)))
    with pytest.raises(InputError, match="compressed bytes cannot hold"):
        open_stack(packed)


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("promised", [(40_000, 40_000, 1), (4, 4, 2**24)])
def test_large_promises_are_checked_before_anything_is_allocated(
    plain: Path, pack: Packer, promised: tuple[int, int, int]
) -> None:
    header = bytearray(plain.read_bytes()[:1024])
    header[0:12] = np.array(promised, "<i4").tobytes()
    noise = np.random.default_rng(1).bytes(1_000_000 if pack is bz2.compress else 9_000_000)
    packed = plain.with_suffix(".packed")
    packed.write_bytes(pack(bytes(header) + noise))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=rf"it ends after {1024 + len(noise)} of"):
            open_stack(packed)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_what_is_packed_very_well_is_still_read(tmp_path: Path) -> None:
    write_mrcs(tmp_path / "a.mrcs", np.full((300, 32, 32), 3.0), 1.5)
    packed = tmp_path / "a.mrcs.bz2"
    packed.write_bytes(bz2.compress((tmp_path / "a.mrcs").read_bytes()))
    assert (tmp_path / "a.mrcs").stat().st_size > 1000 * packed.stat().st_size
    np.testing.assert_array_equal(open_stack(packed).read([299]), np.full((1, 32, 32), 3.0))
