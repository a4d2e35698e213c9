"""Run directories, written by the run's own writers and by SPHIRE, gathered for the page."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isac2.classes.order import ChainOrder
from isac2.classes.quality import ClassQuality
from isac2.clustering.state import IsacState, StableGroup
from isac2.errors import InputError
from isac2.poses import make_poses
from isac2.report import write_report
from isac2.report.load import load_report
from isac2.report.so_far import Measured
from isac2.run.checkpoint import save_state
from isac2.run.directory import RunDirectory
from isac2.run.final_files import (
    write_class_files,
    write_ordered_averages,
    write_particle_files,
)
from isac2.run.generation_files import MeasuredGroup, write_prealignment
from isac2.run.options import Settings
from isac2.run.record import GenerationRecord, InputRecord, new_record, read_record, write_record
from isac2.run.run_classes import RunFacts, membership
from isac2.stacks import open_stack, write_mrcs

COUNT, BOX, WORKING_BOX = 12, 16, 12


def measured(members: list[int], generation: int) -> MeasuredGroup:
    size = len(members)
    rng = np.random.default_rng(generation)
    group = StableGroup(
        members=np.array(members),
        poses=make_poses(rng.uniform(-180, 180, size), 1.0, -0.5, np.arange(size) % 2),
        pixel_errors=np.linspace(0.5, 0.1, size),
        average=rng.standard_normal((WORKING_BOX, WORKING_BOX)).astype(np.float32),
        rms_pixel_error=0.3,
        mirror_consistency=0.75,
        tested=size + 1,
        main_iteration=1,
        generation=generation,
    )
    return MeasuredGroup(group, ClassQuality(0.25, np.linspace(1, 0, 7), np.full(size, 0.5)))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A finished run of 12 images: classes {2, 3, 7} and {5, 9}."""
    directory = RunDirectory(tmp_path / "classes")
    directory.path.mkdir()
    rng = np.random.default_rng(1)
    write_mrcs(tmp_path / "in.mrcs", rng.normal(size=(COUNT, BOX, BOX)).astype(np.float32), 1.5)
    stack = open_stack(tmp_path / "in.mrcs")
    facts = RunFacts(COUNT, 0.5, 8, 4, np.full(COUNT, 1.5), np.zeros((COUNT, 2)))
    classes = [measured([2, 3, 7], 1), measured([5, 9], 2)]
    members = membership(COUNT, [c.group for c in classes], [c.quality for c in classes])
    write_class_files(directory, classes, facts, split_mirrors=False)
    write_particle_files(directory, stack, members, facts, split_mirrors=False)
    chain = ChainOrder(np.array([1, 0]), np.array([0.0, 30.0]), np.array([0, 1]), np.ones(2))
    write_ordered_averages(directory, classes, chain, facts)
    write_prealignment(directory, facts, rng.normal(size=(2, 14, 14)).astype(np.float32))
    images = rng.normal(size=(COUNT, WORKING_BOX, WORKING_BOX)).astype(np.float32)
    np.save(directory.working_images, images)
    settings = Settings(radius=8, target_radius=4, target_box_size=12, minimum_group_size=1, seed=3)
    record = new_record(settings, InputRecord("in.mrcs", "mrc", COUNT, BOX, 1.5, "f"), seed=3)
    record.generations.append(GenerationRecord(1, 1, COUNT, 2, 2, 5, 4, 0.4, 9.0))
    record.phases.append({"name": "clustering", "seconds": 9.5, "peak_memory_in_bytes": 2**20})
    record.warnings.append("One image is constant.")
    write_record(directory.run_json, record)
    return directory


def test_classes_come_with_their_numbers(run: RunDirectory) -> None:
    data = load_report(run.path)
    assert data.title == "classes"
    assert data.particle_count == COUNT
    assert data.pixel_size_in_angstroms == pytest.approx(3.0)
    assert data.radius == 4.0
    classes = data.classes
    assert classes.averages.shape == (2, WORKING_BOX, WORKING_BOX)
    assert classes.sizes.tolist() == [3, 2]
    assert classes.tested.tolist() == [4, 3]
    assert classes.resolution_in_angstroms.tolist() == pytest.approx([12.0, 12.0])
    assert classes.rms_pixel_error.tolist() == pytest.approx([0.3, 0.3])
    assert classes.mirror_consistency.tolist() == pytest.approx([0.75, 0.75])
    assert classes.generation.tolist() == [1, 2]
    assert data.ring_correlation is not None
    assert data.ring_correlation.frequency[-1] == pytest.approx(0.5)
    np.testing.assert_allclose(data.ring_correlation.correlation[1], np.linspace(1, 0, 7))


def test_members_come_with_their_poses_and_errors(run: RunDirectory) -> None:
    members = load_report(run.path).members
    assert members is not None
    assert members.ids.tolist() == [2, 3, 7, 5, 9]
    first = measured([2, 3, 7], 1).group
    np.testing.assert_allclose(members.poses["alpha"][:3], first.poses["alpha"], atol=1e-5)
    assert members.poses["mirror"].tolist() == [0, 1, 0, 0, 1]
    assert members.pixel_errors.tolist() == pytest.approx([0.5, 0.3, 0.1, 0.5, 0.1])


def test_sample_shows_the_lowest_errors_first_within_the_disc(run: RunDirectory) -> None:
    sample = load_report(run.path).sample
    assert sample is not None
    assert sample.member.tolist() == [2, 1, 0, 4, 3]
    assert sample.images.shape == (5, WORKING_BOX, WORKING_BOX)


def test_chain_and_average_of_the_prealignment_are_there(run: RunDirectory) -> None:
    data = load_report(run.path)
    assert data.chain is not None
    assert data.chain.order.tolist() == [1, 0]
    assert data.chain.alpha.tolist() == pytest.approx([0.0, 30.0])
    assert data.chain.mirror.tolist() == [0, 1]
    assert data.initial_average is not None
    assert data.initial_average.shape == (14, 14)


def test_record_tells_what_was_done(run: RunDirectory) -> None:
    data = load_report(run.path)
    assert data.generations[0].accounted == 5
    assert data.phases[0].name == "clustering"
    options = {option.name: option for option in data.parameters}
    assert options["--radius"].value == "8"
    assert not options["--radius"].is_default
    assert options["--xr"].is_default
    assert options["--yr"].value == "-1 (the same as --xr)"
    assert options["--CTF"].value == "no"
    changed = [option.is_default for option in data.parameters]
    assert changed == sorted(changed)


def test_warnings_are_the_runs_and_what_the_numbers_show(run: RunDirectory) -> None:
    warnings = load_report(run.path).warnings
    assert warnings[0] == "One image is constant."
    assert any("More than half of the particles are in no class" in text for text in warnings)
    assert any("had not settled when generation 1.1 ended" in text for text in warnings)


def test_an_unfinished_run_has_what_there_is(run: RunDirectory) -> None:
    for path in (run.class_averages, run.particles_star, run.all_parameters, run.chains_params):
        path.unlink()
    shutil.rmtree(run.prealignment)
    data = load_report(run.path)
    assert len(data.classes.sizes) == 0
    assert data.members is None
    assert data.chain is None
    assert data.sample is None
    assert data.initial_average is None
    assert not data.is_finished
    assert not any("No class was reproducible" in text for text in data.warnings)


def test_an_unfinished_run_shows_the_classes_of_its_saved_state(run: RunDirectory) -> None:
    classes = (measured([2, 3, 7], 1).group, measured([5, 9, 10], 2).group)
    forming = (measured([0, 1], 3).group,)
    state = IsacState(
        1, 3, 1, np.array([0, 1, 4, 6, 8, 11]), groups=forming, agreement=(0.0,), accounted=classes
    )
    run.state.mkdir()
    save_state(run.clustering_state, state)
    known: Measured = {}
    data = load_report(run.path, known)
    assert data.classes.sizes.tolist() == [3, 3]  # not what class_averages.hdf has from before
    assert data.classes.generation.tolist() == [1, 2]
    assert np.isfinite(data.classes.resolution_in_angstroms).all()
    assert data.members is not None
    assert data.members.ids.tolist() == [2, 3, 7, 5, 9, 10]
    assert data.members.pixel_errors[0] == 0.5
    assert data.forming is not None
    np.testing.assert_array_equal(data.forming[0], forming[0].average)
    assert len(known) == 2
    assert load_report(run.path, known).classes.resolution_in_angstroms.tolist() == (
        data.classes.resolution_in_angstroms.tolist()
    )


def test_a_finished_run_without_classes_says_so(run: RunDirectory) -> None:
    run.class_averages.unlink()
    write_record(run.run_json, replace(read_record(run.run_json), finished="2026-01-01T00:00:00"))
    assert any("No class was reproducible" in text for text in load_report(run.path).warnings)


def test_classes_alone_are_enough(run: RunDirectory) -> None:
    for path in (run.run_json, run.particles_star, run.all_parameters, run.working_images):
        path.unlink()
    data = load_report(run.path)
    assert data.classes.sizes.tolist() == [3, 2]
    assert data.members is not None
    assert np.isnan(data.members.pixel_errors).all()
    assert data.generations == ()


def test_report_is_one_file_that_replaces_the_old_one(run: RunDirectory) -> None:
    before = set(run.path.iterdir())
    run.report.write_text("old")
    assert write_report(run.path) == run.report
    assert set(run.path.iterdir()) == before | {run.report}
    text = run.report.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "One image is constant." in text
    again = write_report(run.path).read_text(encoding="utf-8")
    assert again == text


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not the directory of a run"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_sphire_has_a_page_too(shared: Path) -> None:
    data = load_report(shared / "golden" / "sphire_run")
    assert data.particle_count == 2000
    assert data.radius == 29.0
    assert np.isnan(data.pixel_size_in_angstroms)
    assert len(data.classes.sizes) == 17
    assert data.classes.sizes.sum() == 1649
    assert data.chain is not None
    assert data.chain.order[:3].tolist() == [16, 6, 15]
    assert data.members is not None
    assert set(data.members.poses["mirror"].tolist()) == {0, 1}
