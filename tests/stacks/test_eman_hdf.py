"""EMAN2's HDF: what EMAN2 wrote is read, what we write is laid out like what EMAN2 wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isac2.errors import InputError
from isac2.poses import poses_from_eman_matrix
from isac2.stacks import open_stack, read_eman_headers, write_eman_hdf


def layout(group: h5py.Group) -> dict[str, Any]:
    """Return HDF5's view of every attribute: class, size, padding, shape."""
    found = {}
    for name in group.attrs:
        attribute = group.attrs.get_id(name)
        kind = attribute.get_type()
        text = kind.get_class() == h5py.h5t.STRING
        found[name] = (
            kind.get_class(),
            kind.get_strpad() if text else attribute.dtype,
            kind.get_cset() if text else None,
            attribute.get_space().get_simple_extent_type(),
            attribute.shape,
        )
    return found


@pytest.fixture
def golden(shared: Path) -> Path:
    return shared / "golden" / "eman2_files"


def test_files_of_eman2_give_the_expected_pixels(golden: Path) -> None:
    expected = np.load(golden / "expected_pixels.npy")
    stack = open_stack(golden / "particles.hdf")
    assert (len(stack), stack.box_size, stack.pixel_size_in_angstroms) == (12, 64, 2.0)
    order = [11, 0, 5, 5]
    np.testing.assert_array_equal(stack.read(order), expected[order])


def test_compressed_files_are_rendered_back(golden: Path) -> None:
    plain = open_stack(golden / "class_averages.hdf").read()
    header = read_eman_headers(golden / "compressed_8bit.hdf")[0]
    step = (header["stored_rendermax"] - header["stored_rendermin"]) / 255
    packed = open_stack(golden / "compressed_8bit.hdf").read()
    assert np.abs(packed - plain).max() <= 0.51 * 2 * step


def test_the_table_knows_what_the_headers_say(golden: Path) -> None:
    data = open_stack(golden / "particles.hdf").metadata
    assert data.has_ctf
    np.testing.assert_allclose(data.defocus_u_in_angstroms[:2], [14900, 15000], atol=1e-3)
    np.testing.assert_allclose(data.defocus_v_in_angstroms[:2], [15100, 15200], atol=1e-3)
    assert data.defocus_angle_in_degrees[0] == 12
    assert data.amplitude_contrast[0] == 0.1
    assert data.micrograph[0] == "mic_000.mrc"
    assert (data.coordinate_x[1], data.coordinate_y[1]) == (101, 202)
    assert data.psi_prior_in_degrees[1] == 12.5
    assert data.original_id.tolist() == list(range(12))
    assert data.poses is not None
    assert data.poses["mirror"][:2].tolist() == [0, 1]
    matrix = data.foreign.particles["xform.align2d"][1]
    assert data.poses[1] == poses_from_eman_matrix(matrix)


def test_class_averages_are_written_as_eman2_writes_them(golden: Path, tmp_path: Path) -> None:
    source = golden / "class_averages.hdf"
    stack, headers = open_stack(source), read_eman_headers(source)
    write_eman_hdf(tmp_path / "ours.hdf", stack.read(), headers, 2.0)
    with h5py.File(source) as theirs, h5py.File(tmp_path / "ours.hdf") as ours:
        assert layout(ours["MDF/images"]) == layout(theirs["MDF/images"])
        for number in theirs["MDF/images"]:
            a, b = theirs[f"MDF/images/{number}"], ours[f"MDF/images/{number}"]
            assert layout(b) == layout(a)
            for name in a.attrs:
                np.testing.assert_array_equal(b.attrs[name], a.attrs[name], err_msg=name)
            assert (b["image"].dtype, b["image"].chunks) == (a["image"].dtype, None)
            np.testing.assert_array_equal(b["image"], a["image"])


def test_the_statistics_are_those_of_eman2(golden: Path, tmp_path: Path) -> None:
    source = golden / "class_averages.hdf"
    write_eman_hdf(tmp_path / "ours.hdf", open_stack(source).read(), None, 2.0)
    for ours, theirs in zip(
        read_eman_headers(tmp_path / "ours.hdf"),
        read_eman_headers(source),
        strict=True,
    ):
        assert set(ours) <= set(theirs)
        for key in ("minimum", "maximum", "mean", "sigma", "mean_nonzero", "square_sum", "apix_x"):
            assert ours[key] == pytest.approx(theirs[key], rel=1e-6), key


def test_a_hundred_thousand_members_are_kept(tmp_path: Path) -> None:
    members = np.arange(100_000) * 7
    path = tmp_path / "big.hdf"
    write_eman_hdf(path, np.zeros((2, 4, 4)), [{"members": members}, {"members": [1]}])
    with h5py.File(path) as file:
        stored = file["MDF/images/0"].attrs["EMAN.members"]
        assert (stored.dtype, stored.shape) == (np.dtype("<i4"), (100_000,))
        np.testing.assert_array_equal(stored, members)
    assert read_eman_headers(path)[1]["members"].tolist() == [1]


HEADERS = st.dictionaries(
    st.sampled_from(["a", "b.c", "n_objects", "label", "list", "other"]),
    st.one_of(
        st.integers(-(2**31), 2**31 - 1),
        st.floats(allow_nan=False),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
        st.lists(st.integers(-(2**31), 2**31 - 1), min_size=2, max_size=4),
        st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=4),
    ),
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(headers=st.lists(HEADERS, min_size=1, max_size=3))
def test_headers_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, headers: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("hdf") / "x.hdf"
    write_eman_hdf(path, np.ones((len(headers), 3, 3)), headers)
    for written, read in zip(headers, read_eman_headers(path), strict=True):
        for key, value in written.items():
            np.testing.assert_array_equal(read[key], value)


def test_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    for name in ("a.hdf", "b.hdf"):
        write_eman_hdf(tmp_path / name, np.ones((2, 3, 3)), [{"members": [1, 2]}, {}], 1.5)
    assert (tmp_path / "a.hdf").read_bytes() == (tmp_path / "b.hdf").read_bytes()


@pytest.mark.parametrize(
    ("value", "fault"),
    [({"x": 1}, "is a dict, which EMAN2 cannot hold"), (2**31, "does not fit into 32 bits")],
)
def test_values_eman2_cannot_hold_are_refused(tmp_path: Path, value: Any, fault: str) -> None:
    with pytest.raises(InputError, match=f"header of image 1: EMAN.key {fault}"):
        write_eman_hdf(tmp_path / "x.hdf", np.ones((1, 3, 3)), [{"key": value}])
    assert list(tmp_path.iterdir()) == []


def test_no_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image"):
        write_eman_hdf(tmp_path / "x.hdf", np.ones((0, 3, 3)))
    with pytest.raises(InputError, match="more images than the 1 headers"):
        write_eman_hdf(tmp_path / "x.hdf", np.ones((2, 3, 3)), [{}])


def break_file(path: Path, how: str) -> None:
    """Damage an EMAN2 HDF file of three images in one way."""
    with h5py.File(path, "r+") as file:
        images = file["MDF/images"]
        if how == "no MDF":
            del file["MDF"]
        elif how == "missing image":
            del images["1"]
        elif how == "missing pixels":
            del images["1/image"]
        elif how == "other size":
            del images["1/image"]
            images["1"].create_dataset("image", data=np.zeros((5, 5), "f4"))
        elif how == "volume":
            del images["1/image"]
            images["1"].create_dataset("image", data=np.zeros((3, 3, 3), "f4"))
        elif how == "text":
            del images["1/image"]
            images["1"].create_dataset("image", data=np.zeros((3, 3), "S4"))
        elif how == "absurd":
            del images["1/image"]
            images["1"].create_dataset("image", (60000, 60000), "u1", chunks=(100, 100))
        elif how == "external pixels":
            del images["1/image"]
            images["1"].create_dataset("image", (3, 3), "f4", external=[("/etc/passwd", 0, 36)])
        elif how == "link":
            del images["1"]
            images["1"] = h5py.ExternalLink("elsewhere.hdf", "/MDF/images/0")
        elif how == "group loop":
            del images["1/image"]
            images["1/image"] = images


@pytest.mark.parametrize(
    ("how", "fault"),
    [
        ("no MDF", "no group /MDF/images"),
        ("missing image", "image 2 of 3 is missing"),
        ("missing pixels", "image 2: .*pixels is missing"),
        ("other size", "image 2 is 5 x 5 pixels, but the first is 3 x 3"),
        ("volume", r"image 2: .*shape \(3, 3, 3\)"),
        ("text", "image 2: .*not numbers"),
        ("absurd", "image 2: .*3600000000 bytes of pixels are promised, but 0 stored"),
        ("external pixels", "image 2: .*lie in another file"),
        ("link", "image 2: .*is a link"),
        ("group loop", "image 2: "),
    ],
)
def test_broken_files_are_named(tmp_path: Path, how: str, fault: str) -> None:
    path = tmp_path / "x.hdf"
    write_eman_hdf(path, np.ones((3, 3, 3)))
    break_file(path, how)
    with pytest.raises(InputError, match=fault):
        open_stack(path)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_damaged_files_never_do_worse_than_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("hdf")
    write_eman_hdf(folder / "x.hdf", np.ones((2, 3, 3)), [{"members": [1, 2]}, {"ctf": "E1"}])
    content = bytearray((folder / "x.hdf").read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    else:
        at = data.draw(st.integers(0, len(content) - 1))
        noise = data.draw(st.binary(min_size=1, max_size=8))
        content[at : at + len(noise)] = noise
    (folder / "y.hdf").write_bytes(content)
    try:
        open_stack(folder / "y.hdf").read()
    except InputError:
        return


def test_pixels_that_would_unpack_to_far_more_than_an_image_are_refused(tmp_path: Path) -> None:
    write_eman_hdf(tmp_path / "x.hdf", np.ones((2, 4, 4)))
    with h5py.File(tmp_path / "x.hdf", "r+") as file:
        group = file["MDF/images/1"]
        del group["image"]
        group.create_dataset(
            "image", (4, 4), "f4", maxshape=(None, None), chunks=(4000, 4000), compression="gzip"
        )[0, 0] = 1
    with pytest.raises(InputError, match=r"image 2: .*chunks of 64000000 bytes, but need 64"):
        open_stack(tmp_path / "x.hdf")
    with h5py.File(tmp_path / "x.hdf", "r+") as file:
        group = file["MDF/images/1"]
        del group["image"]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((4, 4))
        plist.set_deflate(9)
        plist.set_deflate(9)
        space = h5py.h5s.create_simple((4, 4))
        h5py.h5d.create(group.id, b"image", h5py.h5t.IEEE_F32LE, space, plist)
        group["image"][:] = 1
    with pytest.raises(InputError, match=r"image 2: .*compressed more than once"):
        open_stack(tmp_path / "x.hdf")


def test_absurd_bits_are_refused(tmp_path: Path) -> None:
    write_eman_hdf(tmp_path / "x.hdf", np.ones((1, 4, 4)))
    with h5py.File(tmp_path / "x.hdf", "r+") as file:
        group = file["MDF/images/0"]
        del group["image"]
        group["image"] = np.ones((4, 4), np.uint8)
        group.attrs["EMAN.stored_renderbits"] = np.array([2**40])  # 2 to this power fills no memory
        group.attrs["EMAN.stored_rendermin"] = group.attrs["EMAN.stored_rendermax"] = 0.0
    with pytest.raises(InputError, match=r"image 1: .*1099511627776 bits"):
        open_stack(tmp_path / "x.hdf").read()
