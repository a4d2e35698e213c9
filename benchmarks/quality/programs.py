"""Run a program on a stack, once: what it found and what that cost stay in a folder.

A folder is ``WORK/results/SET/PROGRAM-SEED-VERSION``, with ``found.star`` (every particle's class
and pose), ``record.json`` and ``log.txt``. One that is there is not made again, so the bench can be
stopped and started, and a changed engine or set gets a folder of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import isac2
from benchmarks.quality.sets import QualitySet
from isac2.clustering.parameters import ClusteringParameters
from isac2.clustering.sac import low_pass_ladder
from isac2.files import write_text_atomic

__all__ = [
    "PROGRAMS",
    "Record",
    "Stack",
    "get_stack",
    "hash_of_sources",
    "program_version",
    "run_program",
]

PROGRAMS = ("isac2", "relion")
RELION_ITERATIONS = 20
_SOURCE = Path(isac2.__file__).parent
# what decides the classes of a run; of the rest, nothing does
_ENGINE = (
    "alignment",
    "clustering",
    "images",
    "lanes.py",
    "poses.py",
    "run/prepare.py",
    "run/options.py",
    "run/whitening.py",
)


@dataclass(frozen=True)
class Stack:
    """Where a stack and its truth lie, and what the programs are told of it."""

    star: Path
    truth: Path | None
    images: int
    radius_in_pixels: int
    pixel_size_in_angstroms: float
    simulation: Path | None


@dataclass(frozen=True)
class Record:
    """What a run cost.

    Attributes
    ----------
    set, program, version : str
    seed : int
    command : str
        The program's own, without folders.
    core_seconds, wall_seconds : float
        User and system time of the whole program.
    passes : float
        How often all images were compared with all references.
    date : str
    """

    set: str
    program: str
    version: str
    seed: int
    command: str
    core_seconds: float
    wall_seconds: float
    passes: float
    date: str


def program_version(program: str) -> str:
    """Return what a result depends on: isac2's engine as a hash of its sources, RELION's number."""
    if program == "relion":
        said = subprocess.run(["relion_refine", "--version"], capture_output=True, text=True)
        words = said.stdout.split()
        return words[words.index("version:") + 1]
    return hash_of_sources(_ENGINE)


def hash_of_sources(names: Sequence[str], source: Path = _SOURCE) -> str:
    """Return a word that changes with modules of the package; a folder's name means all in it."""
    total = hashlib.sha256()
    for name in names:
        path = source / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            if file.name.startswith("torch"):
                continue  # another device, the same results
            total.update(str(file.relative_to(source)).encode() + file.read_bytes())
    return total.hexdigest()[:10]


def get_stack(item: QualitySet, work: Path, data: Path | None) -> Stack:
    """Simulate a set's stack if it is not there yet, or find the one that is given."""
    if not item.simulate:
        if data is None:
            raise SystemExit(f"the set '{item.name}' is given as a file: name its folder by --data")
        return _given_stack(item, data / item.name)
    key = hashlib.sha256(item.simulate.encode()).hexdigest()[:10]
    folder = work / "stacks" / key
    if not (folder / "particles.star").exists():
        _isac2(["simulate", str(folder), *shlex.split(item.simulate)])
    recipe = json.loads((folder / "recipe.json").read_text("utf-8"))
    return Stack(
        star=folder / "particles.star",
        truth=folder / "truth.npz",
        images=recipe["particles"],
        radius_in_pixels=item.radius or round(recipe["radius_in_pixels"]),
        pixel_size_in_angstroms=recipe["pixel_size_in_angstroms"],
        simulation=folder,
    )


def _given_stack(item: QualitySet, folder: Path) -> Stack:
    from isac2.stacks import open_stack

    stack = open_stack(folder / "particles.star")
    assert item.radius is not None
    return Stack(
        star=folder / "particles.star",
        truth=folder / "truth.npz" if item.has_truth else None,
        images=len(stack),
        radius_in_pixels=item.radius,
        pixel_size_in_angstroms=float(stack.metadata.pixel_size_in_angstroms[0]),
        simulation=None,
    )


def run_program(
    item: QualitySet, program: str, seed: int, stack: Stack, work: Path, only_kept: bool = False
) -> Path | None:
    """Run a program on a set's stack unless that has been done, and return the result's folder.

    With `only_kept` nothing is run, and None is returned where nothing has been.
    """
    version = program_version(program)
    command = _command(item, program, seed, stack)
    key = hashlib.sha256(" ".join([item.simulate, *command]).encode()).hexdigest()[:6]
    folder = work / "results" / item.name / f"{program}-{seed}-{version}-{key}"
    if (folder / "record.json").exists():
        return folder
    if only_kept:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as name:
        scratch = Path(name)
        core, wall = _timed(command, stack, scratch, folder / "log.txt")
        passes = _keep(program, scratch, folder, stack.images)
    record = Record(
        set=item.name,
        program=program,
        version=version,
        seed=seed,
        command=" ".join(command),
        core_seconds=round(core, 2),
        wall_seconds=round(wall, 2),
        passes=round(passes, 2),
        date=datetime.now(timezone.utc).date().isoformat(),
    )
    write_text_atomic(folder / "record.json", json.dumps(asdict(record), indent=2) + "\n")
    return folder


def _command(item: QualitySet, program: str, seed: int, stack: Stack) -> list[str]:
    """Return a program's command, with STACK and OUT where the folders go."""
    if program == "isac2":
        ours = ["isac2", "run", "STACK", "OUT", f"--radius={stack.radius_in_pixels}"]
        ours += ["--CTF"] if item.ctf else []
        ours += [f"--img_per_grp={item.images_per_group}", f"--minimum_grp_size={item.minimum}"]
        return [*ours, f"--rand_seed={seed}", "--threads=1", *shlex.split(item.isac2)]
    classes = max(stack.images // item.images_per_group, 1)
    diameter = round(2.1 * stack.radius_in_pixels * stack.pixel_size_in_angstroms)
    theirs = f"relion_refine --i STACK --o OUT/run --iter {RELION_ITERATIONS} --K {classes} "
    theirs += f"--particle_diameter {diameter} --tau2_fudge 2 --flatten_solvent --zero_mask "
    theirs += f"--oversampling 1 --psi_step 12 --offset_range {item.relion_range} --offset_step 2 "
    theirs += "--norm --scale --maxsig 500 --pad 2 --dont_combine_weights_via_disc "
    theirs += f"--dont_check_norm --preread_images --pool 30 --j 1 --random_seed {seed}"
    return [*theirs.split(), *(["--ctf"] if item.ctf else []), *shlex.split(item.relion)]


def _timed(command: list[str], stack: Stack, scratch: Path, log: Path) -> tuple[float, float]:
    """Run a command with one thread; return its core and wall seconds."""
    words = [word.replace("OUT", str(scratch / "out")) for word in command]
    words = [str(stack.star) if word == "STACK" else word for word in words]
    if words[0] == "isac2":
        words[:1] = [str(Path(sys.executable).with_name("isac2"))]
    else:
        (scratch / "out").mkdir()
        words[words.index("--i") + 1] = stack.star.name  # its images are named from its folder
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    start = time.monotonic()
    with log.open("w", encoding="utf-8") as written:
        process = subprocess.Popen(
            words, cwd=stack.star.parent, stdout=written, stderr=written, env=environment
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{words[0]} failed on {stack.star}: see {log}")
    return used.ru_utime + used.ru_stime, time.monotonic() - start


def _keep(program: str, scratch: Path, folder: Path, images: int) -> float:
    """Keep what was found, and return the number of passes it took."""
    out = scratch / "out"
    if program == "relion":
        last = max(out.glob("run_it*_data.star"))
        shutil.copyfile(last, folder / "found.star")
        model = last.with_name(last.name.replace("_data.star", "_classes.mrcs"))
        if model.exists():
            shutil.copyfile(model, folder / "averages.mrcs")
        return float(last.name.split("_")[1].removeprefix("it"))
    shutil.copyfile(out / "particles.star", folder / "found.star")
    shutil.copyfile(out / "run.json", folder / "run.json")
    if (out / "class_averages.mrcs").exists():
        shutil.copyfile(out / "class_averages.mrcs", folder / "averages.mrcs")
    passes = len(low_pass_ladder(ClusteringParameters()))
    generations = json.loads((out / "run.json").read_text("utf-8"))["generations"]
    seen = sum(passes * int(row["rounds"]) * int(row["images"]) for row in generations)
    return seen / images


def _isac2(words: list[str]) -> None:
    program = Path(sys.executable).with_name("isac2")
    subprocess.run([str(program), *words], check=True, stdout=subprocess.DEVNULL)
