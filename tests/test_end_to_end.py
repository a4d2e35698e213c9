"""The programs as people start them: simulate, run, evaluate, stop and go on, and be refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

from isac2.cli.main import main
from isac2.stacks import write_mrcs

SIMULATE = ["--preset=tiny", "--particles=180", "--views=4", "--box=40", "--pixel-size=6"]
OPTIONS = [
    "--radius=12",
    "--CTF",
    "--img_per_grp=18",
    "--minimum_grp_size=8",
    "--target_radius=12",
    "--target_nx=32",
    "--maxit=15",
    "--init_iter=1",
    "--rand_seed=1",
]
TIMED = {"run.json", "isac2.log", "report.html"}
PATIENCE_IN_SECONDS = 900.0  # only against hanging: a busy machine may take its time


def _program(name: str) -> str:
    """Where an installed program is: beside the interpreter, or on the path."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _start(name: str, *arguments: object) -> subprocess.Popen[str]:
    words = [_program(name), *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _run(name: str, *arguments: object) -> str:
    """Run a program that has to succeed; return what it wrote to stdout."""
    process = _start(name, *arguments)
    said, told = process.communicate(timeout=PATIENCE_IN_SECONDS)
    assert process.returncode == 0, told
    return said


def _files(folder: Path) -> dict[str, bytes]:
    """All files of a run but those that tell times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in TIMED
    }


def _assert_same_run(folder: Path, other: Path) -> None:
    """Everything two runs found, to the byte, and what they recorded but for times and threads."""
    ours, theirs = _files(folder), _files(other)
    assert sorted(ours) == sorted(theirs)
    assert [name for name in ours if ours[name] != theirs[name]] == []
    assert _untimed_record(folder) == _untimed_record(other)


def _untimed_record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "run.json").read_text())
    assert record.pop("started") <= record.pop("finished")
    record["phases"] = sorted(phase["name"] for phase in record["phases"])
    for row in record["generations"]:
        row.pop("seconds")
    record.pop("threads")
    record["options"].pop("threads")
    return record


@dataclass(frozen=True)
class Case:
    """A simulated stack and a run of it."""

    star: Path
    truth: Path
    run: Path
    said: str


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """`isac2 simulate`, then `isac2 run` on one thread; tests only read what came of it."""
    folder = tmp_path_factory.mktemp("case")
    _run("isac2", "simulate", folder / "stack", *SIMULATE, "--seed=3")
    star, run = folder / "stack" / "particles.star", folder / "run"
    said = _run("isac2", "run", star, run, *OPTIONS, "--threads=1")
    return Case(star, folder / "stack" / "truth.npz", run, said)


def test_the_classes_are_the_truth(case: Case, tmp_path: Path) -> None:
    scores = tmp_path / "scores.json"
    said = _run("isac2", "evaluate", case.run, case.truth, "--json", scores)
    assert "purity" in said
    score = json.loads(scores.read_text())
    assert score["particles"] == 180
    assert score["purity"] >= 0.9
    assert score["views_found"] == score["views_total"] == 4
    assert score["good_accounted"] >= 0.75
    assert score["junk_accounted"] <= 0.15
    assert score["pose"]["mirror_agreement"] >= 0.9
    assert score["pose"]["pixel_error_rms"] <= 2.0


def test_the_program_says_where_the_result_is(case: Case) -> None:
    assert f"Class averages: {case.run / 'class_averages.hdf'}\n" in case.said
    assert f"Report:         {case.run / 'report.html'}\n" in case.said
    page = (case.run / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")


def test_the_old_command_line_and_more_threads_give_the_same_bytes(
    case: Case, tmp_path: Path
) -> None:
    _run("sp_isac2.py", case.star, case.run.parent / "again", *OPTIONS, "--threads=2")
    _assert_same_run(case.run.parent / "again", case.run)
    # the page tells times; from the same record it is the same page
    copy = tmp_path / case.run.name
    shutil.copytree(case.run.parent / "again", copy)
    shutil.copy(case.run / "run.json", copy)
    pages = tmp_path / "first.html", tmp_path / "second.html"
    for run, page in zip((case.run, copy), pages, strict=True):
        assert main(["report", str(run), "--output", str(page)]) == 0
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_a_run_that_is_killed_again_and_again_ends_the_same(case: Case) -> None:
    """Killed in the pre-alignment, in the clustering, and after the first generation."""
    folder = case.run.parent / "killed"
    arguments = ("run", case.star, folder, *OPTIONS, "--threads=1")
    for trace in ("run.json", "state/clustering.npz", "main001/generation001"):
        process = _start("isac2", *arguments)
        _wait_for(folder / trace, process)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=PATIENCE_IN_SECONDS)
        assert process.returncode == -signal.SIGKILL
        assert not (folder / "finished").exists()
    _run("isac2", *arguments)
    _assert_same_run(folder, case.run)


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a running program has made a file or folder."""
    deadline = time.monotonic() + PATIENCE_IN_SECONDS
    while not path.exists():
        assert process.poll() is None, f"the program ended before {path.name} appeared"
        assert time.monotonic() < deadline, f"{path.name} never appeared"
        time.sleep(0.01)


def test_another_seed_is_another_run(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    before = _files(case.run)
    options = [option for option in OPTIONS if "rand_seed" not in option]
    assert main(["run", str(case.star), str(case.run), *options, "--rand_seed=2"]) == 2
    assert "--rand_seed was 1 and is 2" in capsys.readouterr().err
    assert _files(case.run) == before


# --- what is refused ----------------------------------------------------------------------------


def _good_stack(folder: Path, count: int = 30, box: int = 32) -> Path:
    random = np.random.default_rng(1)
    write_mrcs(folder / "good.mrcs", random.normal(size=(count, box, box)).astype(np.float32), 2.0)
    return folder / "good.mrcs"


def _not_square(folder: Path) -> None:
    write_mrcs(folder / "bad.mrcs", np.ones((30, 32, 30), np.float32), 2.0)


def _truncated(folder: Path) -> None:
    path = _good_stack(folder)
    path.write_bytes(path.read_bytes()[:-1])
    path.rename(folder / "bad.mrcs")


def _empty_file(folder: Path) -> None:
    (folder / "bad.mrcs").touch()


def _no_mrc_file(folder: Path) -> None:
    (folder / "bad.mrcs").write_text("these are no images\n" * 100)


def _no_images(folder: Path) -> None:
    with mrcfile.new(folder / "bad.mrcs") as file:
        file.set_data(np.ones((1, 4, 4), np.float32))
        file.header.nz = 0
        file.header.mz = 0


def _folder(folder: Path) -> None:
    (folder / "bad.mrcs").mkdir()


def _star(folder: Path, image: str, more: str = "") -> None:
    rows = "".join(f"{image.format(n)}{' 1.0' if more else ''}\n" for n in range(1, 31))
    column = f"_{more} #2\n" if more else ""
    text = f"data_particles\n\nloop_\n_rlnImageName #1\n{column}{rows}"
    (folder / "bad.star").write_text(text)


def _star_to_nowhere(folder: Path) -> None:
    _star(folder, "{:06d}@absent.mrcs")


def _star_beyond_the_end(folder: Path) -> None:
    _good_stack(folder, 20)
    _star(folder, "{:06d}@good.mrcs")


def _star_without_images(folder: Path) -> None:
    (folder / "bad.star").write_text("data_particles\n\nloop_\n_rlnDefocusU #1\n1.0\n2.0\n")


def _star_with_half_a_ctf(folder: Path) -> None:
    _good_stack(folder)
    _star(folder, "{:06d}@good.mrcs", "rlnDefocusU")


def _nothing(folder: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "stack", "options", "said"),
    [
        (_nothing, "absent.mrcs", (), ("absent.mrcs",)),
        (_nothing, "absent.star", (), ("absent.star",)),
        (_not_square, "bad.mrcs", (), ("bad.mrcs", "square")),
        (_truncated, "bad.mrcs", (), ("bad.mrcs", "short")),
        (_empty_file, "bad.mrcs", (), ("bad.mrcs",)),
        (_no_mrc_file, "bad.mrcs", (), ("bad.mrcs",)),
        (_no_images, "bad.mrcs", (), ("bad.mrcs",)),
        (_folder, "bad.mrcs", (), ("bad.mrcs",)),
        (_star_to_nowhere, "bad.star", (), ("bad.star", "absent.mrcs")),
        (_star_beyond_the_end, "bad.star", (), ("bad.star", "21", "good.mrcs")),
        (_star_without_images, "bad.star", (), ("bad.star", "rlnImageName")),
        (_star_with_half_a_ctf, "bad.star", ("--CTF",), ("bad.star", "--CTF")),
        (_good_stack, "good.mrcs", ("--CTF",), ("good.mrcs", "--CTF")),
        (_good_stack, "good.mrcs", ("--CTF", "--VPP"), ("--CTF", "--VPP")),
        (_good_stack, "good.mrcs", ("--radius=16",), ("--radius=16", "good.mrcs")),
        (
            _good_stack,
            "good.mrcs",
            ("--minimum_grp_size=11",),
            ("--minimum_grp_size=11", "--img_per_grp=10"),
        ),
        (_good_stack, "good.mrcs", ("--img_per_grp=31",), ("good.mrcs", "--img_per_grp=31", "30")),
        (_good_stack, "good.mrcs", ("--filament_width=8",), ("good.mrcs", "--filament_width")),
        (_good_stack, "good.mrcs", ("--restart=0",), ("--restart=0",)),
        (_good_stack, "good.mrcs", ("--radius=ten",), ("--radius", "ten")),
        (_good_stack, "good.mrcs", ("--thld_err=nan",), ("--thld_err=nan",)),
        (_good_stack, "good.mrcs", ("--FL=0.5", "--FH=0.4"), ("--FL=0.5", "--FH=0.4")),
        (_good_stack, "good.mrcs", ("--sigma=3",), ("--sigma",)),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_leaves_nothing(
    make: Callable[[Path], object],
    stack: str,
    options: tuple[str, ...],
    said: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(tmp_path)
    before = _everything(tmp_path)
    words = ["--radius=10", "--img_per_grp=10", "--minimum_grp_size=5", *options]
    assert main(["run", str(tmp_path / stack), str(tmp_path / "out"), *words]) == 2
    _assert_one_sentence(capsys.readouterr(), said)
    assert _everything(tmp_path) == before


def _assert_one_sentence(shown: Any, said: tuple[str, ...]) -> None:
    assert shown.out == ""
    assert re.fullmatch(r"Error: .*[.]\n", shown.err), shown.err
    for words in said:
        assert words in shown.err


def _everything(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def _is_a_file(place: Path) -> None:
    place.write_text("precious")


def _is_in_a_file(place: Path) -> None:
    place.parent.write_text("precious")


def _holds_something_else(place: Path) -> None:
    place.mkdir()
    (place / "notes.txt").write_text("precious")


def _holds_a_record_of_others(place: Path) -> None:
    place.mkdir()
    (place / "run.json").write_text('{"program": "another", "seed": 1}')


def _holds_a_broken_record(place: Path) -> None:
    place.mkdir()
    (place / "run.json").write_text('{"program": "isac2"')


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (_is_a_file, "out"),
        (_is_in_a_file, "file/out"),
        (_holds_something_else, "out"),
        (_holds_a_record_of_others, "out"),
        (_holds_a_broken_record, "out"),
    ],
)
def test_a_place_that_is_not_ours_is_left_alone(
    make: Callable[[Path], None], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, place = _good_stack(tmp_path), tmp_path / name
    make(place)
    before = _everything(tmp_path)
    words = ["--radius=10", "--img_per_grp=10", "--minimum_grp_size=5"]
    assert main(["run", str(stack), str(place), *words]) == 2
    _assert_one_sentence(capsys.readouterr(), (str(place), "folder"))
    assert _everything(tmp_path) == before


@pytest.mark.parametrize(
    ("value", "options"),
    [(np.nan, ()), (np.inf, ("--skip_prealignment",)), (7.0, ("--VPP",))],
)
def test_too_many_unusable_images_leave_nothing_either(
    value: float,
    options: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = np.random.default_rng(1).normal(size=(30, 32, 32)).astype(np.float32)
    images[5:] = value
    write_mrcs(tmp_path / "bad.mrcs", images, 2.0)
    before = _everything(tmp_path)
    words = ["--radius=10", "--img_per_grp=10", "--minimum_grp_size=5", *options]
    assert main(["run", str(tmp_path / "bad.mrcs"), str(tmp_path / "out"), *words]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("Error: ")
    assert "5 usable images" in said
    assert "--img_per_grp=10" in said
    assert _everything(tmp_path) == before


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = _good_stack(tmp_path)
    (tmp_path / "locked").mkdir(mode=0o555)
    words = ["--radius=10", "--img_per_grp=10", "--minimum_grp_size=5"]
    assert main(["run", str(stack), str(tmp_path / "locked" / "out"), *words]) == 2
    _assert_one_sentence(capsys.readouterr(), ("locked", "folder"))


# --- the options of the manual page -------------------------------------------------------------

# name: default and unit, as the page gives them; a flag has neither
MANUAL = {
    "radius": (None, "px"),
    "img_per_grp": (200, ""),
    "CTF": (False, ""),
    "VPP": (False, ""),
    "xr": (1, "px"),
    "thld_err": (0.7, "px"),
    "target_radius": (29, "px"),
    "target_nx": (76, "px"),
    "ir": (1, "px"),
    "rs": (1, "px"),
    "yr": (-1, "px"),
    "ts": (1.0, "px"),
    "maxit": (30, ""),
    "center_method": (-1, ""),
    "dst": (90.0, "deg"),
    "FL": (0.2, "1/px"),
    "FH": (0.45, "1/px"),
    "FF": (0.2, ""),
    "init_iter": (7, ""),
    "iter_reali": (1, ""),
    "stab_ali": (5, ""),
    "minimum_grp_size": ("auto", ""),  # 60 historically, see docs/method.md, [aa]
    "rand_seed": ("none", ""),
    "skip_prealignment": (False, ""),
    "restart": (-1, ""),
    "skip_ordering": (False, ""),
    "filament_width": (-1, "px"),
    "filament_mask_ignore": (False, ""),
    "delta_good": (0, ""),
}


@pytest.fixture(scope="module")
def help_entries() -> dict[str, str]:
    """What `isac2 run --help` says of each option, in one line each."""
    text = _run("isac2", "run", "--help")
    entry = r"^  (?:-h, )?--([\w-]+)(.*?)(?=^  -|^\S|\Z)"
    entries = re.findall(entry, text, re.DOTALL | re.MULTILINE)
    return {name: " ".join(said.split()) for name, said in entries}


@pytest.mark.parametrize("name", MANUAL)
def test_the_help_has_the_manual_s_option(name: str, help_entries: dict[str, str]) -> None:
    default, unit = MANUAL[name]
    said = help_entries[name]
    if isinstance(default, bool):
        assert not re.match(r"(INTEGER|FLOAT)", said)
        return
    kind = "FLOAT" if isinstance(default, float) else "INTEGER"
    assert said.startswith(kind)
    note = re.search(r"\[([^]]*)\]", said)
    assert note is not None
    if default is None:  # the manual requires it; here it is measured when it is left out
        assert "auto: measured" in note[1]
    else:
        assert re.search(rf"default {re.escape(str(default))}(\b|:|$)", note[1])
    if unit:
        assert unit in note[1]


def test_the_manual_page_names_no_other_option(shared: Path, help_entries: dict[str, str]) -> None:
    page = (shared / "seed" / "sp_isac2.txt").read_text(encoding="utf-8")
    names = set(re.findall(r"; %%--%%(\w+)", page))
    assert len(names) > 20
    assert names <= set(MANUAL)
    assert names <= set(help_entries)
    ours = {"assignment", "delta_good", "device", "max-hours", "noise_whitening", "pool_size"}
    ours |= {"skip_confidence", "split_mirrors", "stab_FH", "threads", "help"}
    assert set(help_entries) - names == ours
