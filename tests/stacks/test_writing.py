"""From every format into every format and back: pixels and all that is known survive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isac2.errors import InputError
from isac2.poses import make_poses, transform_points
from isac2.stacks import Metadata, Stack, WriteOptions, open_stack, write_mrcs, write_stack
from isac2.stacks._images import RawImages

COUNT = 5
NAMES = ["s.star", "s.cs", "s.hdf", "s.lst", "s.lsx"]


def full_stack(folder: Path, seed: int = 1) -> Stack:
    """Return a stack about which everything is known."""
    random = np.random.default_rng(seed)
    images = random.normal(size=(COUNT, 6, 6)).astype(np.float32)
    write_mrcs(folder / "pixels.mrcs", images, 1.25)
    stack = open_stack(folder / "pixels.mrcs")
    stack.metadata = replace(
        stack.metadata,
        defocus_u_in_angstroms=random.uniform(1e4, 2e4, COUNT),
        defocus_v_in_angstroms=random.uniform(1e4, 2e4, COUNT),
        defocus_angle_in_degrees=random.uniform(0, 180, COUNT),
        phase_shift_in_degrees=np.zeros(COUNT),
        voltage_in_kilovolts=np.full(COUNT, 300.0),
        spherical_aberration_in_millimetres=np.full(COUNT, 2.7),
        amplitude_contrast=np.full(COUNT, 0.1),
        micrograph=np.array([f"mic {i}.mrc" for i in range(COUNT)], object),
        psi_prior_in_degrees=random.uniform(-180, 180, COUNT),
        class_number=random.integers(0, 4, COUNT),
        poses=make_poses(
            random.uniform(-180, 180, COUNT),
            random.uniform(-3, 3, COUNT),
            random.uniform(-3, 3, COUNT),
            random.integers(0, 2, COUNT),
        ),
    )
    return stack


def defocus_along(data: Metadata, direction: float) -> np.ndarray:
    """Return the defocus in one direction, which is what U, V and angle stand for."""
    u, v = data.defocus_u_in_angstroms, data.defocus_v_in_angstroms
    angle = np.radians(direction - data.defocus_angle_in_degrees)
    return np.asarray((u + v) / 2 + (u - v) / 2 * np.cos(2 * angle))


def assert_same(found: Stack, expected: Stack) -> None:
    np.testing.assert_array_equal(found.read(), expected.read())
    a, b = found.metadata, expected.metadata
    for direction in (0, 45, 100):
        np.testing.assert_allclose(
            defocus_along(a, direction), defocus_along(b, direction), atol=0.1
        )
    for name in (
        "pixel_size_in_angstroms",
        "voltage_in_kilovolts",
        "spherical_aberration_in_millimetres",
        "amplitude_contrast",
        "psi_prior_in_degrees",
    ):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-5, err_msg=name)
    assert a.class_number.tolist() == b.class_number.tolist()
    assert a.micrograph.tolist() == b.micrograph.tolist()
    assert a.poses is not None
    assert b.poses is not None
    points = np.tile(np.array([[2.0, -1.0]]), (COUNT, 1))
    for one in points[:, None]:
        np.testing.assert_allclose(
            transform_points(a.poses, one), transform_points(b.poses, one), atol=1e-4
        )


@pytest.mark.parametrize("second", NAMES)
@pytest.mark.parametrize("first", NAMES)
def test_every_way_through_two_formats_ends_where_it_began(
    tmp_path: Path, first: str, second: str
) -> None:
    stack = full_stack(tmp_path)
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    write_stack(tmp_path / "1" / first, stack)
    middle = open_stack(tmp_path / "1" / first)
    assert_same(middle, stack)
    write_stack(tmp_path / "2" / second, middle)
    assert_same(open_stack(tmp_path / "2" / second), stack)


@pytest.mark.parametrize("name", ["bdb", *NAMES])
def test_the_way_through_bdb(tmp_path: Path, name: str) -> None:
    pytest.importorskip("berkeleydb", reason="the extra 'bdb' is not installed")
    stack = full_stack(tmp_path)
    write_stack(f"bdb:{tmp_path}#middle", stack, WriteOptions(copy_pixels=True))
    middle = open_stack(f"bdb:{tmp_path}#middle")
    assert_same(middle, stack)
    last = f"bdb:{tmp_path}#last" if name == "bdb" else str(tmp_path / name)
    write_stack(last, middle)
    assert_same(open_stack(last), stack)


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 10**6), copy=st.booleans())
def test_any_stack_survives(
    tmp_path_factory: pytest.TempPathFactory, name: str, seed: int, copy: bool
) -> None:
    folder = tmp_path_factory.mktemp("way")
    stack = full_stack(folder, seed)
    write_stack(folder / name, stack, WriteOptions(copy_pixels=copy))
    assert_same(open_stack(folder / name), stack)


def test_tables_point_to_pixels_unless_told_to_copy(tmp_path: Path) -> None:
    stack = full_stack(tmp_path)
    write_stack(tmp_path / "a.star", stack)
    assert open_stack(tmp_path / "a.star").files[0].path.name == "pixels.mrcs"
    write_stack(tmp_path / "c.star", stack, WriteOptions(copy_pixels=True))
    assert open_stack(tmp_path / "c.star").files[0].path.name == "c.mrcs"
    write_stack(tmp_path / "b.hdf", stack)
    write_stack(tmp_path / "b.star", open_stack(tmp_path / "b.hdf"))  # RELION reads no HDF
    assert open_stack(tmp_path / "b.star").files[0].path.name == "b.mrcs"


def test_names_can_start_from_another_folder(tmp_path: Path) -> None:
    stack = full_stack(tmp_path)
    (tmp_path / "deep").mkdir()
    for name in ("a.star", "a.cs", "a.lst"):
        write_stack(tmp_path / "deep" / name, stack, WriteOptions(names_relative_to=tmp_path))
        content = (tmp_path / "deep" / name).read_bytes()
        assert b"pixels.mrcs" in content
        assert b"../pixels.mrcs" not in content
        assert_same(open_stack(tmp_path / "deep" / name), stack)


def test_unknown_endings_and_missing_folders_are_refused(tmp_path: Path) -> None:
    stack = full_stack(tmp_path)
    with pytest.raises(InputError, match=r"x.tif: what to write is told by the ending"):
        write_stack(tmp_path / "x.tif", stack)
    for name in ("gone/x.star", "gone/x.mrcs"):
        with pytest.raises(InputError, match="there is no folder"):
            write_stack(tmp_path / name, stack)
    with pytest.raises(InputError, match="there is no folder"):
        write_stack(f"bdb:{tmp_path}/gone#x", stack)


def test_a_star_says_that_mrc_files_hold_stacks(tmp_path: Path) -> None:
    stack = full_stack(tmp_path)
    write_mrcs(tmp_path / "sparc.mrc", stack.read(), 1.25)
    write_stack(tmp_path / "a.star", open_stack(tmp_path / "sparc.mrc"))
    assert "@sparc.mrc:mrcs " in (tmp_path / "a.star").read_text()  # what RELION needs
    again = open_stack(tmp_path / "a.star")
    assert again.files[0].path.name == "sparc.mrc"
    np.testing.assert_array_equal(again.read(), stack.read())
    write_stack(tmp_path / "a.cs", again)  # cryoSPARC's own name
    assert open_stack(tmp_path / "a.cs").files[0].path.name == "sparc.mrc"


def test_raw_images_counted_from_elsewhere_are_not_those_of_the_mrc_file(tmp_path: Path) -> None:
    # A virtual BDB counts images from any byte: here from the third image behind the header.
    write_mrcs(tmp_path / "p.mrcs", np.arange(6 * 256.0).reshape(6, 16, 16))
    whole = open_stack(tmp_path / "p.mrcs")
    assert isinstance(whole.files[0], RawImages)
    part = replace(whole.files[0], offset=1024 + 2 * 1024, count=4)
    stack = Stack(whole.path, "", [part], whole.file_index[:4], whole.slots[:4], whole.metadata)
    stack.metadata = whole.metadata.select(np.arange(4))
    for name in NAMES:
        write_stack(tmp_path / name, stack, WriteOptions(keep_existing=False))
        np.testing.assert_array_equal(open_stack(tmp_path / name).read(), whole.read()[2:])


def test_pixels_are_never_written_over_those_they_are_read_from(tmp_path: Path) -> None:
    stack = full_stack(tmp_path).select([1])
    for name in ("pixels.star", "pixels.cs"):
        with pytest.raises(InputError, match=r"written over .*pixels.mrcs"):
            write_stack(tmp_path / name, stack, WriteOptions(copy_pixels=True))
    write_stack(tmp_path / "b.hdf", stack)
    with pytest.raises(InputError, match=r"written over .*b.hdf"):
        write_stack(tmp_path / "b.lst", open_stack(tmp_path / "b.hdf"), WriteOptions(True))
    assert len(open_stack(tmp_path / "pixels.mrcs")) == COUNT


@pytest.mark.parametrize(
    ("name", "pixels"), [("b.star", "b.mrcs"), ("b.cs", "b.mrcs"), ("b.lst", "b.hdf")]
)
def test_what_is_there_already_stays(tmp_path: Path, name: str, pixels: str) -> None:
    stack = full_stack(tmp_path)
    (tmp_path / pixels).write_text("precious")
    for found in (pixels, name):  # the pixels beside the table, then the table itself
        with pytest.raises(InputError, match=f"{found} is there already, and nothing is overwr"):
            write_stack(tmp_path / name, stack, WriteOptions(copy_pixels=True))
        (tmp_path / name).write_text("precious")
    assert (tmp_path / pixels).read_text() == "precious"
    write_stack(tmp_path / name, stack, WriteOptions(True, keep_existing=False))
    assert_same(open_stack(tmp_path / name), stack)


def test_filaments_stay_apart_in_cryosparc(tmp_path: Path) -> None:
    stack = full_stack(tmp_path)
    stack.metadata = replace(
        stack.metadata,
        micrograph=np.array(["a", "a", "a", "b", "b"], object),
        tube_id=np.array([1, 1, 2, 1, 2]),
    )
    write_stack(tmp_path / "s.cs", stack)
    assert open_stack(tmp_path / "s.cs").metadata.tube_id.tolist() == [1, 1, 2, 3, 4]


def test_poses_survive_a_star_without_pixel_size(tmp_path: Path) -> None:
    stack = full_stack(tmp_path)
    write_mrcs(tmp_path / "unknown.mrcs", stack.read())
    bare = open_stack(tmp_path / "unknown.mrcs")
    bare.metadata = replace(bare.metadata, poses=stack.metadata.poses)
    write_stack(tmp_path / "s.star", bare)
    poses, given_poses = open_stack(tmp_path / "s.star").metadata.poses, stack.metadata.poses
    assert poses is not None
    assert given_poses is not None
    for field in ("alpha", "tx", "ty", "mirror"):
        np.testing.assert_allclose(poses[field], given_poses[field], atol=1e-9)


def test_origins_in_angstroms_take_the_pixel_size_of_the_pixels(tmp_path: Path) -> None:
    write_mrcs(tmp_path / "p.mrcs", np.zeros((1, 4, 4)), 2.0)
    (tmp_path / "p.star").write_text(
        "data_\n\nloop_\n_rlnImageName\n_rlnAnglePsi\n_rlnOriginXAngst\n_rlnOriginYAngst\n"
        "1@p.mrcs 0 3 -1\n"
    )
    poses = open_stack(tmp_path / "p.star").metadata.poses
    assert poses is not None
    assert (poses["tx"][0], poses["ty"][0]) == (1.5, -0.5)
