"""RELION itself on what we write: its averages from our export equal ours.

Run with RELION installed (`apt-get install relion` on Debian); skipped without it.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from numpy.typing import NDArray

from isac2.images.transform import apply_poses, average_in_poses
from isac2.poses import invert, make_poses
from isac2.stacks import Stack, open_stack, write_mrcs, write_stack
from isac2.stacks.selection import split_mirrored_classes

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore:Setting the dtype:DeprecationWarning"),
    pytest.mark.skipif(shutil.which("relion_refine") is None, reason="RELION is not installed"),
]

BOX, COUNT, CLASSES = 64, 60, 2
Image = NDArray[np.float32]


def relion(folder: Path, command: str) -> str:
    """Run a program of RELION in a folder and return what it says."""
    done = subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def molecules() -> Image:
    """Return two images without any symmetry."""
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    blobs = (
        ((10, 0, 3, 1.0), (0, -14, 2.5, 0.6), (-6, 8, 4, 0.8), (12, 14, 2, 0.3)),
        ((-8, 3, 3, 1.0), (5, -9, 2.5, 0.6), (9, 8, 4, 0.8)),
    )
    images = [
        sum(h * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * s * s)) for cx, cy, s, h in molecule)
        for molecule in blobs
    ]
    return np.array(images, np.float32)


def likeness(first: Image, second: Image) -> float:
    """Return the correlation of two images inside the particle's disc."""
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    disc = x * x + y * y < 26**2
    return float(np.corrcoef(first[disc], second[disc])[0, 1])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with particles in known poses, half of them mirrored, and our star of them."""
    folder = tmp_path_factory.mktemp("relion")
    random = np.random.default_rng(1)
    poses = make_poses(
        random.uniform(0, 360, COUNT),
        random.uniform(-4, 4, COUNT),
        random.uniform(-4, 4, COUNT),
        random.integers(0, 2, COUNT),
    )
    number = np.arange(COUNT) % CLASSES
    particles = apply_poses(molecules()[number], invert(poses))
    particles += random.normal(0, 0.001, particles.shape).astype(np.float32)
    write_mrcs(folder / "p.mrcs", particles, 2.0)
    stack = open_stack(folder / "p.mrcs")
    stack.metadata = replace(
        stack.metadata,
        voltage_in_kilovolts=np.full(COUNT, 300.0),
        spherical_aberration_in_millimetres=np.full(COUNT, 2.7),
        amplitude_contrast=np.full(COUNT, 0.1),
        poses=poses,
        class_number=number + 1,
    )
    write_stack(folder / "all.star", stack)
    write_stack(folder / "split.star", split_mirrored_classes(open_stack(folder / "all.star")))
    return folder


def our_averages(stack: Stack) -> list[Image]:
    """Average each class of a stack in the poses that its star gives."""
    poses, number = stack.metadata.poses, stack.metadata.class_number
    assert poses is not None
    averages = average_in_poses(stack.read(), poses, number - 1, 2 * CLASSES)
    return list(averages)


def test_moved_images_average_to_ours(project: Path) -> None:
    relion(project, "relion_stack_create --i split.star --o moved --apply_transformation")
    stack = open_stack(project / "split.star")
    moved = open_stack(project / "moved.star")
    for number, ours in enumerate(our_averages(stack), 1):
        theirs = moved.read(np.flatnonzero(stack.metadata.class_number == number)).mean(axis=0)
        assert likeness(theirs, ours) > 0.999


def test_reconstructed_averages_equal_ours(project: Path) -> None:
    for number, ours in enumerate(our_averages(open_stack(project / "split.star")), 1):
        relion(
            project,
            f"relion_reconstruct --i split.star --o r{number}.mrc --refdim 2 --class {number}",
        )
        assert likeness(mrcfile.read(project / f"r{number}.mrc"), ours) > 0.999


def test_stacks_named_mrc_are_taken_from_our_star(project: Path) -> None:
    folder = project / "sparc"
    folder.mkdir()
    shutil.copy(project / "p.mrcs", folder / "p.mrc")
    named = project / "named.star"
    named.write_text((project / "all.star").read_text().replace("p.mrcs", "sparc/p.mrc"))
    write_stack(folder / "own.star", open_stack(named))
    relion(folder, "relion_stack_create --i own.star --o copy")
    copied, stack = open_stack(folder / "copy.mrcs"), open_stack(folder / "own.star")
    np.testing.assert_array_equal(copied.read(), stack.read())
    relion(folder, "relion_reconstruct --i own.star --o average.mrc --refdim 2 --class 1")


def test_both_mirrors_of_a_class_are_one_image(project: Path) -> None:
    averages = our_averages(open_stack(project / "split.star"))
    for number, molecule in enumerate(molecules()):
        direct, mirrored = averages[2 * number], averages[2 * number + 1]
        assert likeness(direct, molecule) > 0.999
        assert likeness(np.roll(mirrored[:, ::-1], 1, axis=1), molecule) > 0.999


def test_refinement_goes_on_from_our_star(project: Path) -> None:
    stack = open_stack(project / "split.star")
    ours = our_averages(stack)[0]
    first = stack.select(np.flatnonzero(stack.metadata.class_number == 1))
    write_stack(project / "first.star", first)
    (project / "refined").mkdir()
    relion(
        project,
        "relion_refine --i first.star --o refined/run --K 1 --iter 1 --skip_align "
        "--particle_diameter 126 --tau2_fudge 1000 --pad 2 --pool 10 --dont_check_norm",
    )
    theirs = mrcfile.read(project / "refined" / "run_it001_classes.mrcs").reshape(BOX, BOX)
    assert likeness(theirs, ours) > 0.999
    back = open_stack(project / "refined" / "run_it001_data.star")
    assert len(back) == len(first)
    assert back.metadata.poses is not None
    np.testing.assert_array_equal(back.read(), first.read())


def test_a_stack_without_ctf_is_taken(project: Path) -> None:
    write_stack(project / "bare.star", open_stack(project / "p.mrcs"))
    (project / "bare").mkdir()
    relion(
        project,
        "relion_refine --i bare.star --o bare/run --K 2 --iter 1 --particle_diameter 126 "
        "--offset_range 3 --psi_step 30 --pad 1 --pool 30 --dont_check_norm",
    )
    assert len(open_stack(project / "bare" / "run_it001_data.star")) == COUNT


def test_our_pixels_have_the_statistics_relion_finds(project: Path) -> None:
    said = relion(project, "relion_image_handler --i p.mrcs --stats")
    images = open_stack(project / "p.mrcs").read()
    numbers = [float(word) for word in said.replace(",", " ").split() if _is_number(word)]
    for expected in (images.mean(), images.std(), images.min(), images.max()):
        assert min(abs(number - expected) for number in numbers) < 2e-3


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
