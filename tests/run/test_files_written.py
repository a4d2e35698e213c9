"""The files of a run, written from made-up classes and read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isac2.classes.order import ChainOrder
from isac2.classes.quality import ClassQuality
from isac2.clustering.confidence import ClassConfidence
from isac2.clustering.state import IsacState, StableGroup
from isac2.images.transform import apply_poses
from isac2.poses import PoseArray, make_poses, poses_from_relion, transform_points
from isac2.run.directory import RunDirectory
from isac2.run.final_files import (
    project_folder,
    write_class_files,
    write_ordered_averages,
    write_particle_files,
    write_shrink_ratio,
)
from isac2.run.generation_files import (
    MeasuredGroup,
    write_generation,
    write_main_iteration,
    write_prealignment,
    write_start_of_main,
)
from isac2.run.run_classes import Membership, RunFacts, beliefs, membership
from isac2.run.text_tables import read_ids, read_table
from isac2.stacks import Stack, open_stack, read_eman_headers, read_star, write_mrcs

COUNT, BOX = 12, 16
PIXEL_SIZE = 1.5


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    path = tmp_path / "run"
    path.mkdir()
    return RunDirectory(path)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    images = np.random.default_rng(2).standard_normal((COUNT, BOX, BOX)).astype(np.float32)
    write_mrcs(tmp_path / "particles.mrcs", images, PIXEL_SIZE)
    return open_stack(tmp_path / "particles.mrcs")


@pytest.fixture
def facts() -> RunFacts:
    shifts = np.stack([np.arange(COUNT) * 0.25, -np.arange(COUNT) * 0.5], axis=1)
    return RunFacts(COUNT, 0.5, 6, 3, np.full(COUNT, PIXEL_SIZE), shifts)


def _measured(members: list[int], generation: int = 1) -> MeasuredGroup:
    size = len(members)
    random = np.random.default_rng(members[0])
    group = StableGroup(
        members=np.array(members),
        poses=make_poses(random.uniform(-180, 180, size), 1.0, -0.5, np.arange(size) % 2),
        pixel_errors=np.full(size, 0.25),
        average=random.standard_normal((8, 8)).astype(np.float32),
        rms_pixel_error=0.25,
        mirror_consistency=0.75,
        tested=size + 1,
        main_iteration=1,
        generation=generation,
    )
    quality = ClassQuality(0.25, np.linspace(1, 0, 5), np.full(size, 0.5, np.float32))
    return MeasuredGroup(group, quality)


@pytest.fixture
def classes() -> list[MeasuredGroup]:
    return [_measured([2, 3, 7]), _measured([5, 9])]


@pytest.fixture
def members(classes: list[MeasuredGroup]) -> Membership:
    return membership(COUNT, [c.group for c in classes], [c.quality for c in classes])


def test_headers_know_members_and_quality(
    directory: RunDirectory, classes: list[MeasuredGroup], facts: RunFacts
) -> None:
    write_class_files(directory, classes, facts, split_mirrors=False)
    first, second = read_eman_headers(directory.class_averages)
    assert first["members"].tolist() == [2, 3, 7]
    assert (first["n_objects"], second["n_objects"]) == (3, 2)
    assert first["apix_x"] == pytest.approx(3.0)
    assert first["pixel_error"] == pytest.approx(0.25)
    assert first["mirror_consistency"] == pytest.approx(0.75)
    assert first["resolution"] == pytest.approx(12.0)  # 3 A / 0.25
    assert first["frc"].tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert (first["n_tested"], first["main_iteration"], first["generation"]) == (4, 1, 1)


def test_averages_in_relions_files_are_the_same(
    directory: RunDirectory, classes: list[MeasuredGroup], facts: RunFacts
) -> None:
    write_class_files(directory, classes, facts, split_mirrors=False)
    averages = open_stack(directory.class_averages_star)
    assert averages.pixel_size_in_angstroms == pytest.approx(3.0)
    assert np.array_equal(averages.read(), np.stack([c.group.average for c in classes]))
    table = read_star(directory.class_averages_star)["model_classes"]
    assert table.numbers("rlnClassDistribution").tolist() == pytest.approx([0.6, 0.4])
    assert table.numbers("rlnEstimatedResolution").tolist() == [12.0, 12.0]


def _star_poses(path: Path) -> tuple[list[int], PoseArray]:
    table = read_star(path)["particles"]
    psi, x, y, flip = (
        table.numbers(name)
        for name in ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst", "rlnIsFlip")
    )
    poses = poses_from_relion(psi, x, y, flip, PIXEL_SIZE)
    return table.numbers("rlnClassNumber").astype(int).tolist(), poses


def test_the_star_lists_every_particle_in_its_pose(
    directory: RunDirectory, stack: Stack, members: Membership, facts: RunFacts
) -> None:
    write_particle_files(directory, stack, members, facts, split_mirrors=False)
    numbers, poses = _star_poses(directory.particles_star)
    assert numbers == [0, 0, 1, 1, 0, 2, 0, 1, 0, 2, 0, 0]
    points = np.random.default_rng(1).uniform(-5, 5, (COUNT, 2))
    expected = transform_points(members.input_poses(facts), points)
    assert transform_points(poses, points) == pytest.approx(expected, abs=1e-4)
    again = open_stack(directory.particles_star)
    assert np.array_equal(again.read(), stack.read())
    table = read_star(directory.particles_star)["particles"]
    assert table.numbers("isac2PixelError").tolist().count(-1.0) == 7
    assert table.numbers("isac2Similarity")[2] == 0.5


def test_split_mirrors_need_no_flip(
    directory: RunDirectory,
    stack: Stack,
    classes: list[MeasuredGroup],
    members: Membership,
    facts: RunFacts,
) -> None:
    write_class_files(directory, classes, facts, split_mirrors=True)
    write_particle_files(directory, stack, members, facts, split_mirrors=True)
    numbers, poses = _star_poses(directory.particles_star)
    assert numbers == [0, 0, 1, 2, 0, 3, 0, 1, 0, 4, 0, 0]
    assert not poses["mirror"].any()
    averages = open_stack(directory.class_averages_star).read()
    mirror = make_poses(np.zeros(2), 0.0, 0.0, 1)
    moved = apply_poses(averages[::2], mirror)
    assert averages[1::2, :, 1:] == pytest.approx(moved[..., 1:], abs=1e-3)
    # without the mirror, the pose ends where the mirrored average has the same feature
    points = np.random.default_rng(1).uniform(-5, 5, (COUNT, 2))
    exact = transform_points(members.input_poses(facts), points)
    exact[:, 0] *= np.where(members.poses["mirror"] == 1, -1, 1)
    assert transform_points(poses, points) == pytest.approx(exact, abs=1e-4)
    table = read_star(directory.class_averages_star)["model_classes"]
    assert table.numbers("isac2MemberCount").tolist() == [2, 1, 1, 1]


@pytest.mark.parametrize(
    ("split", "of_classes", "of_particles"),
    [(False, [12345, 0], [12345, 12345, 0]), (True, [24689, 24689, 0, 0], [24689, 24689, 0])],
)
def test_second_classes_are_numbers_of_the_table_they_stand_in(
    split: bool,
    of_classes: list[int],
    of_particles: list[int],
    directory: RunDirectory,
    stack: Stack,
    classes: list[MeasuredGroup],
    facts: RunFacts,
) -> None:
    judged = [
        ClassConfidence(np.full(m, 0.123456), np.ones(m), np.full(m, 2.0), np.full(m, second), m)
        for m, second in ((3, 12344), (2, -1))
    ]
    known = [
        replace(entry, confidence=found, chance=1.23456e-7)
        for entry, found in zip(classes, judged, strict=True)
    ]
    write_class_files(directory, known, facts, split)
    table = read_star(directory.class_averages_star)["model_classes"]
    assert table.numbers("isac2SecondClass").tolist() == of_classes
    assert set(table.columns["isac2Chance"].tolist()) == {b"1.235e-07"}

    groups, qualities = [c.group for c in classes], [c.quality for c in classes]
    belief = beliefs(COUNT, groups, judged, 0.1)
    write_particle_files(
        directory, stack, membership(COUNT, groups, qualities, belief), facts, split
    )
    particles = read_star(directory.particles_star)["particles"]
    assert particles.numbers("isac2SecondClass")[[2, 3, 5]].tolist() == of_particles
    assert particles.numbers("isac2StableAgain")[:4].tolist() == [-1, -1, 0, 0]


def test_tables_of_ids_and_poses_have_sphires_columns(
    directory: RunDirectory, stack: Stack, members: Membership, facts: RunFacts
) -> None:
    write_particle_files(directory, stack, members, facts, split_mirrors=False)
    processed = read_ids(directory.processed_images)
    left = read_ids(directory.not_processed_images)
    assert processed.tolist() == [2, 3, 5, 7, 9]
    assert sorted([*processed, *left]) == list(range(COUNT))
    lines = directory.all_parameters.read_text().splitlines()
    assert lines[0] == "        0.000000        0.000000        0.000000            -1"
    table = read_table(directory.all_parameters)
    assert table[3, 1:].tolist() == [1.0, -0.5, 1.0]
    assert table[3, 0] == pytest.approx(members.poses["alpha"][3], abs=1e-6)


def test_the_shrink_ratio_is_where_programs_look(
    directory: RunDirectory, facts: RunFacts, shared: Path
) -> None:
    def numbers(path: Path) -> list[tuple[int, float]]:
        found = []
        for number, line in enumerate(path.read_text().splitlines()):
            try:
                found.append((number, float(line)))
            except ValueError:
                continue
        return found

    write_shrink_ratio(directory, facts)
    golden = numbers(shared / "golden" / "sphire_run" / "README_shrink_ratio.txt")
    ours = numbers(directory.shrink_ratio_readme)
    assert [place for place, _ in ours] == [place for place, _ in golden]
    assert [value for _, value in ours] == [0.5, 6.0]


def test_the_prealignments_table_is_like_sphires(directory: RunDirectory, facts: RunFacts) -> None:
    averages = np.random.default_rng(3).standard_normal((3, 8, 8)).astype(np.float32)
    write_prealignment(directory, facts, averages)
    assert directory.initial_parameters.read_text().splitlines()[2] == (
        "        0.000000        0.500000       -1.000000             0"
    )
    assert np.array_equal(open_stack(directory.global_average).read(), averages[-1:])
    assert len(open_stack(directory.prealignment_averages)) == 3


def test_a_generations_files(directory: RunDirectory, facts: RunFacts) -> None:
    # of the candidate's images 7 was sent back; 4 was recalled by a class of another generation
    candidate, poor, good = _measured([2, 3, 7]), _measured([5]), _measured([2, 3])
    started_from = np.array([0, 1, 2, 3, 4, 5, 7, 9])
    state = IsacState(
        main_iteration=1,
        generation=1,
        sac_round=3,
        pool=np.array([0, 1, 5, 7, 9]),
        generation_done=True,
        start_of_main=started_from,
    )
    write_start_of_main(directory, state)
    write_generation(directory, state, started_from, [candidate, poor], [good], facts)
    folder = directory.main(1).generation(1)
    ids = [header["members"].tolist() for header in read_eman_headers(folder.class_averages)]
    assert ids == [[2, 3, 7], [5]]
    local = [h["members"].tolist() for h in read_eman_headers(folder.original_class_averages)]
    assert local == [[2, 3, 6], [5]]
    (header,) = read_eman_headers(folder.good_class_averages)
    assert header["members"].tolist() == [2, 3]
    assert read_ids(folder.to_process_next).tolist() == [0, 1, 5, 7, 9]
    assert read_ids(folder.accounted).tolist() == [2, 3, 4]
    assert read_ids(folder.unaccounted).tolist() == [0, 1, 5, 7, 9]
    assert folder.manual_candidates.read_bytes() == folder.class_averages.read_bytes()
    assert folder.manual_class_averages.read_bytes() == folder.good_class_averages.read_bytes()
    start = directory.main(1).generation(0).to_process_next
    assert read_ids(start).tolist() == started_from.tolist()
    assert folder.finished.exists()


def test_a_generation_without_classes_has_no_file_of_them(
    directory: RunDirectory, facts: RunFacts
) -> None:
    state = IsacState(1, 1, 1, np.arange(COUNT), generation_done=True)
    folder = directory.main(1).generation(1)
    folder.path.mkdir(parents=True)
    folder.good_class_averages.write_text("left by a start that was stopped")
    write_generation(directory, state, np.arange(COUNT), [_measured([5])], [], facts)
    assert not folder.good_class_averages.exists()
    assert not folder.manual_class_averages.exists()
    assert folder.accounted.read_text() == ""


def test_a_main_iterations_files(
    directory: RunDirectory, classes: list[MeasuredGroup], facts: RunFacts
) -> None:
    directory.main(1).path.mkdir()
    write_main_iteration(directory, IsacState(1, 1, 1, np.arange(3)), classes, facts)
    folder = directory.main(1)
    assert len(read_eman_headers(folder.class_averages)) == 2
    assert read_ids(folder.processed_images).tolist() == [2, 3, 5, 7, 9]
    assert read_ids(folder.not_processed_images).tolist() == [0, 1, 4, 6, 8, 10, 11]
    assert folder.finished.exists()


def test_ordered_averages_are_turned_along_the_chain(
    directory: RunDirectory, classes: list[MeasuredGroup], facts: RunFacts
) -> None:
    chain = ChainOrder(
        np.array([1, 0]), np.array([0.0, 90.0]), np.array([0, 1], np.int8), np.zeros(2)
    )
    write_ordered_averages(directory, classes, chain, facts)
    headers = read_eman_headers(directory.ordered_class_averages)
    assert [header["source_n"] for header in headers] == [1, 0]
    assert headers[0]["members"].tolist() == [5, 9]
    averages = open_stack(directory.ordered_class_averages).read()
    assert averages[0] == pytest.approx(classes[1].group.average, abs=1e-3)
    turned = apply_poses(classes[0].group.average[None], make_poses([90.0], 0.0, 0.0, 1))
    assert averages[1] == pytest.approx(turned[0], abs=1e-6)
    lines = directory.chains_params.read_text().splitlines()
    zeros = "        0.000000" * 2
    assert lines[0] == f"             0             1        0.000000{zeros}             0"
    assert lines[1] == f"             1             0       90.000000{zeros}             1"


def test_no_class_leaves_empty_tables(
    directory: RunDirectory, stack: Stack, facts: RunFacts
) -> None:
    nothing = membership(COUNT, [], [])
    write_class_files(directory, [], facts, split_mirrors=False)
    write_particle_files(directory, stack, nothing, facts, split_mirrors=False)
    chain = ChainOrder(np.empty(0, int), np.empty(0), np.empty(0, np.int8), np.empty(0))
    write_ordered_averages(directory, [], chain, facts)
    assert not directory.class_averages.exists()
    assert read_ids(directory.processed_images).tolist() == []
    assert read_ids(directory.not_processed_images).tolist() == list(range(COUNT))


def test_names_resolve_from_where_the_inputs_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a RELION project: names are relative to the project, not to the star."""
    project = tmp_path / "project"
    (project / "Extract").mkdir(parents=True)
    write_mrcs(project / "Extract" / "a.mrcs", np.zeros((2, 8, 8), np.float32), 1.0)
    text = "data_particles\n\nloop_\n_rlnImageName #1\n1@Extract/a.mrcs\n2@Extract/a.mrcs\n"
    (project / "Extract" / "particles.star").write_text(text)
    monkeypatch.chdir(project)
    stack = open_stack("Extract/particles.star")
    folder = project_folder(stack)
    assert folder is not None
    assert folder.resolve() == project
    facts = RunFacts(2, 0.5, 4, 2, np.ones(2), np.zeros((2, 2)))
    directory = RunDirectory(project / "Class2D")
    directory.path.mkdir()
    write_particle_files(directory, stack, membership(2, [], []), facts, split_mirrors=False)
    names = read_star(directory.particles_star)["particles"].columns["rlnImageName"]
    assert names.tolist() == [b"000001@Extract/a.mrcs", b"000002@Extract/a.mrcs"]


def test_names_beside_the_star_follow_the_output(directory: RunDirectory, stack: Stack) -> None:
    star = stack.path.with_suffix(".star")
    star.write_text("data_particles\n\nloop_\n_rlnImageName #1\n1@particles.mrcs\n")
    assert project_folder(open_stack(star)) is None
    assert project_folder(stack) is None


def test_writing_twice_gives_the_same_bytes(
    directory: RunDirectory,
    stack: Stack,
    classes: list[MeasuredGroup],
    members: Membership,
    facts: RunFacts,
) -> None:
    def write() -> dict[str, bytes]:
        write_class_files(directory, classes, replace(facts), split_mirrors=False)
        write_particle_files(directory, stack, members, facts, split_mirrors=False)
        return {path.name: path.read_bytes() for path in directory.path.iterdir()}

    assert write() == write()
