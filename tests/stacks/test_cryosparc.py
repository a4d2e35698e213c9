"""cryoSPARC's tables: fields, passthrough, poses, and what must not be read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isac2.errors import InputError
from isac2.poses import cryosparc_from_poses, make_poses
from isac2.stacks import check_stack, open_stack, write_mrcs
from isac2.stacks.cryosparc import read_cs, write_cs, write_particles_cs

PARTICLES: dict[str, Any] = {
    "uid": np.array([30, 10, 20], "u8"),
    "blob/path": np.array([b">J3/imported/a.mrcs"] * 3),
    "blob/idx": np.array([2, 0, 1], "u4"),
    "blob/psize_A": np.full(3, 1.5, "f4"),
    "blob/sign": np.full(3, -1, "f4"),
}
PASSTHROUGH: dict[str, Any] = {
    "uid": np.array([10, 20, 30, 40], "u8"),
    "ctf/accel_kv": np.full(4, 300, "f4"),
    "ctf/cs_mm": np.full(4, 2.7, "f4"),
    "ctf/amp_contrast": np.full(4, 0.1, "f4"),
    "ctf/df1_A": np.array([1e4, 2e4, 3e4, 4e4], "f4"),
    "ctf/df2_A": np.array([1e4, 2e4, 3e4, 4e4], "f4"),
    "ctf/df_angle_rad": np.full(4, np.pi / 4, "f4"),
    "ctf/exp_group_id": np.full(4, 7, "u4"),
    "location/micrograph_path": np.array([b"m1.mrc", b"m2.mrc", b"m3.mrc", b"m4.mrc"]),
    "location/micrograph_shape": np.full((4, 2), (1000, 2000), "u4"),
    "location/center_x_frac": np.full(4, 0.25, "f4"),
    "location/center_y_frac": np.full(4, 0.5, "f4"),
}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A project folder with an import job and a job of ours."""
    (tmp_path / "J3" / "imported").mkdir(parents=True)
    (tmp_path / "J5").mkdir()
    write_mrcs(tmp_path / "J3" / "imported" / "a.mrcs", np.arange(48.0).reshape(3, 4, 4), 9.0)
    write_cs(tmp_path / "J5" / "P1_J5_particles.cs", PARTICLES)
    write_cs(tmp_path / "J5" / "P1_J5_passthrough_particles.cs", PASSTHROUGH)
    return tmp_path / "J5"


def test_the_passthrough_is_joined_on_uid(job: Path) -> None:
    stack = open_stack(job / "P1_J5_particles.cs")
    data = stack.metadata
    assert stack.read()[:, 0, 0].tolist() == [32, 0, 16]
    assert stack.pixel_size_in_angstroms == 1.5
    assert data.defocus_u_in_angstroms.tolist() == [3e4, 1e4, 2e4]
    assert data.micrograph.tolist() == ["m3.mrc", "m1.mrc", "m2.mrc"]
    assert data.coordinate_x.tolist() == [500] * 3
    assert data.coordinate_y.tolist() == [500] * 3
    assert data.optics_group.tolist() == [7] * 3
    np.testing.assert_allclose(data.defocus_angle_in_degrees, 45, atol=1e-5)
    assert data.has_ctf


def test_iterations_find_their_passthrough_too(job: Path) -> None:
    write_cs(job / "cryosparc_P1_J5_020_particles.cs", PARTICLES)
    (job / "P1_J5_passthrough_particles.cs").rename(
        job / "cryosparc_P1_J5_passthrough_particles.cs"
    )
    assert open_stack(job / "cryosparc_P1_J5_020_particles.cs").metadata.has_ctf
    assert not open_stack(job / "P1_J5_particles.cs").metadata.has_ctf


def test_a_passthrough_that_lacks_particles_is_refused(job: Path) -> None:
    short = {name: column[:2] for name, column in PASSTHROUGH.items()}
    write_cs(job / "P1_J5_passthrough_particles.cs", short)
    with pytest.raises(InputError, match=r"passthrough_particles\.cs lacks particles"):
        open_stack(job / "P1_J5_particles.cs")


def test_poses_come_and_go(job: Path) -> None:
    stack = open_stack(job / "P1_J5_particles.cs")
    poses = make_poses([10, 20, -170], [1, -2, 3], [0.5, 0, -1], [0, 1, 0])
    pose, shift, mirror = cryosparc_from_poses(poses)
    extra = {
        "alignments2D/pose": pose.astype("f4"),
        "alignments2D/shift": shift.astype("f4") / 2,
        "alignments2D/psize_A": np.full(3, 3.0, "f4"),
        "isac2/mirror": mirror.astype("u1"),
    }
    write_particles_cs(job / "out.cs", stack, extra)
    again = open_stack(job / "out.cs")
    assert again.metadata.poses is not None
    for name in ("alpha", "tx", "ty", "mirror"):
        np.testing.assert_allclose(again.metadata.poses[name], poses[name], atol=1e-4)
    assert again.metadata.foreign.particles["blob/sign"].tolist() == [-1] * 3
    assert again.metadata.foreign.particles["uid"].tolist() == [30, 10, 20]
    np.testing.assert_array_equal(again.read(), stack.read())
    with pytest.raises(InputError, match="field x has 1 values for 3 particles"):
        write_particles_cs(job / "out.cs", stack, {"x": [1]})


def test_a_bare_stack_gets_ids(job: Path) -> None:
    stack = open_stack(job.parent / "J3" / "imported" / "a.mrcs")
    write_particles_cs(job / "out.cs", stack)
    table = read_cs(job / "out.cs")
    assert len(set(table["uid"].tolist())) == 3
    assert table["blob/path"][0] == b"../J3/imported/a.mrcs"
    np.testing.assert_array_equal(open_stack(job / "out.cs").read(), stack.read())


def test_objects_are_refused_and_nothing_runs(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> Any:
            return (Path.mkdir, (tmp_path / "it ran",))

    table = np.empty(1, [("uid", "u8"), ("blob/path", object)])
    table["blob/path"] = Runs()
    np.save(tmp_path / "x.npy", table, allow_pickle=True)
    (tmp_path / "x.npy").rename(tmp_path / "x.cs")
    with pytest.raises(InputError, match="holds Python objects"):
        open_stack(tmp_path / "x.cs")
    assert not (tmp_path / "it ran").exists()


def npy(array: np.ndarray[Any, Any]) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not a readable .cs"),
        (b"hello" * 100, "not a readable .cs"),
        (b"\x95CSDAT" + bytes(100), "stream format"),
        (npy(np.zeros(3)), "no table"),
        (npy(np.zeros(3, [("a", "f4")]))[:-1], "promises 3 rows of 4 bytes, but 11"),
        (npy(np.zeros(3, [("a", "f4")])).replace(b"(3,)", b"(-1,)"), "not a readable|promises"),
        (npy(np.zeros(3, [("a", "f4")])), "no blob/path"),
        (npy(np.zeros(1, [("blob/path", "f4"), ("blob/idx", "u4")])), "blob/path .*is not text"),
    ],
)
def test_broken_tables_end_in_one_sentence(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "x.cs").write_bytes(content)
    with pytest.raises(InputError, match=fault):
        open_stack(tmp_path / "x.cs")


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(0, 400), at=st.integers(0, 300), noise=st.binary(max_size=6))
def test_damaged_files_never_do_worse_than_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, cut: int, at: int, noise: bytes
) -> None:
    folder = tmp_path_factory.mktemp("cs")
    write_cs(folder / "x.cs", {"uid": np.arange(3), "blob/path": ["a"] * 3, "x": np.ones((3, 2))})
    content = bytearray((folder / "x.cs").read_bytes())
    content[at : at + len(noise)] = noise
    (folder / "x.cs").write_bytes(content[:cut])
    try:
        table = read_cs(folder / "x.cs")
    except InputError:
        return
    assert table.nbytes <= cut


def test_columns_that_cannot_be_stored_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="differ in length or hold Python objects"):
        write_cs(tmp_path / "x.cs", {"a": [1, 2], "b": [1]})
    with pytest.raises(InputError, match="differ in length or hold Python objects"):
        write_cs(tmp_path / "x.cs", {"a": np.array([{}], object)})


@pytest.mark.interop
def test_cryosparcs_own_tools_read_ours_and_we_theirs(job: Path) -> None:
    dataset = pytest.importorskip("cryosparc.dataset", reason="cryosparc-tools is not installed")
    stack = open_stack(job / "P1_J5_particles.cs")
    write_particles_cs(job / "out.cs", stack, {"alignments2D/class": np.arange(3, dtype="u4")})
    table = dataset.Dataset.load(str(job / "out.cs"))
    assert table["uid"].tolist() == [30, 10, 20]
    assert table["alignments2D/class"].tolist() == [0, 1, 2]
    table.save(str(job / "back.cs"))
    back = open_stack(job / "back.cs")
    np.testing.assert_array_equal(back.read(), stack.read())
    assert back.metadata.class_number.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("table", "passthrough"),
    [
        ("cryosparc_P1_J5_020_particles.cs", "P1_J5_passthrough_particles.cs"),
        ("cryosparc_P1_J5_020_particles.cs", "cryosparc_P1_J5_passthrough_particles.cs"),
        ("J5_020_particles.cs", "J5_passthrough_particles.cs"),
        ("particles_selected.cs", "P1_J5_passthrough_particles_selected.cs"),
        ("particles_selected.cs", "passthrough_particles_selected.cs"),
    ],
)
def test_the_passthrough_is_found_whatever_the_version_calls_it(
    job: Path, table: str, passthrough: str
) -> None:
    (job / "P1_J5_particles.cs").rename(job / table)
    (job / "P1_J5_passthrough_particles.cs").rename(job / passthrough)
    write_cs(job / "J5_passthrough_particles_excluded.cs", {"uid": np.zeros(1, "u8")})
    assert open_stack(job / table).metadata.has_ctf


def test_of_several_passthrough_tables_none_is_guessed(job: Path) -> None:
    (job / "P1_J5_particles.cs").rename(job / "particles_selected.cs")
    for name in ("J5_passthrough_particles_selected.cs", "J6_passthrough_particles_selected.cs"):
        write_cs(job / name, PASSTHROUGH)
    assert not open_stack(job / "particles_selected.cs").metadata.has_ctf


def test_a_check_joins_the_passthrough_and_reads_any_name(job: Path) -> None:
    pixels = job / "\u00e9.mrcs"
    (job.parent / "J3" / "imported" / "a.mrcs").rename(pixels)
    blob = {name: PARTICLES[name] for name in ("uid", "blob/idx")}
    write_cs(job / "J5_passthrough_particles.cs", {**blob, "blob/path": [pixels.name] * 3})
    write_cs(job / "J5_020_particles.cs", {"uid": PARTICLES["uid"], "x": np.zeros(3)})
    assert check_stack(job / "J5_020_particles.cs") == []
