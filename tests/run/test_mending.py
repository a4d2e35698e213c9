"""What goes wrong around a run, what it says, and that it goes on when that is mended."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from isac2 import files
from isac2.cli.main import main
from isac2.errors import InputError, RunError
from isac2.run.directory import RunDirectory
from isac2.run.displays import SilentDisplay
from isac2.run.record import read_record
from isac2.run.runner import run_isac
from isac2.stacks import Stack, open_stack, write_mrcs, write_star

TIMED = {"run.json", "isac2.log", "report.html"}


class Recorder(SilentDisplay):
    """A display that remembers what was said, and stops the run when it hears certain words."""

    def __init__(self, last_words: str = "nothing") -> None:
        self.last_words = last_words
        self.messages: list[str] = []

    def say(self, message: str) -> None:
        self.messages.append(message)
        if self.last_words in message:
            raise KeyboardInterrupt


def _files(directory: RunDirectory) -> dict[str, bytes]:
    """All files of a run but those that tell times."""
    return {
        str(path.relative_to(directory.path)): path.read_bytes()
        for path in sorted(directory.path.rglob("*"))
        if path.is_file() and path.name not in {*TIMED, "input.npz"}
    }


@pytest.fixture
def stack(tiny: Any, tmp_path: Path) -> Path:
    """A stack that a test may change."""
    return Path(shutil.copy2(tiny.path, tmp_path / "own.mrcs"))


def _files_but_names(directory: RunDirectory) -> dict[str, bytes]:
    """The same without the table that names the input's files."""
    return {name: data for name, data in _files(directory).items() if name != "particles.star"}


def _stop_after(words: str, stack: Path, folder: Path, tiny: Any) -> RunDirectory:
    """Begin a run and stop it when it says something."""
    with pytest.raises(KeyboardInterrupt):
        run_isac(stack, folder, tiny.settings, Recorder(words))
    return RunDirectory(folder)


def _go_on(stack: Path, directory: RunDirectory, tiny: Any) -> list[str]:
    """Go on with a run to its end; what it said."""
    recorder = Recorder()
    run_isac(stack, directory.path, replace(tiny.settings, seed=None), recorder)
    return recorder.messages


def _lose(path: Path) -> None:
    path.unlink()


def _change(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100_000)
        file.write(bytes(1000))
    os.utime(path, ns=(1, 1))


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(4096))


@pytest.mark.parametrize(
    "reading", [1, 2, 3]
)  # for the noise, the pre-alignment, the working images
@pytest.mark.parametrize("harm", [_lose, _change, _grow])
def test_input_that_changes_while_it_is_read_is_not_used(
    reading: int,
    harm: Callable[[Path], None],
    stack: Path,
    tiny: Any,
    finished: RunDirectory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, left = Stack.read, reading

    def read_and_harm(self: Stack, *more: Any) -> Any:
        nonlocal left
        found = read(self, *more)
        left -= 1
        if left == 0:
            harm(stack)
        return found

    monkeypatch.setattr(Stack, "read", read_and_harm)
    directory = RunDirectory(tmp_path / "run")
    with pytest.raises(RunError, match=r"own\.mrcs .* give the same command again"):
        run_isac(stack, directory.path, tiny.settings, SilentDisplay())
    assert directory.prealignment_state.exists() == (reading == 3)
    assert not directory.working_images.exists()
    shutil.copy2(tiny.path, stack)
    _go_on(stack, directory, tiny)
    assert _files_but_names(directory) == _files_but_names(finished)


def test_input_that_is_lost_is_named_and_found_again(
    stack: Path, tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    directory = _stop_after("round 1", stack, tmp_path / "run", tiny)
    stack.rename(tmp_path / "elsewhere.mrcs")
    with pytest.raises(InputError, match=r"own\.mrcs cannot be read"):
        run_isac(stack, directory.path, tiny.settings, SilentDisplay())
    # it need not come back to the same place
    said = _go_on(tmp_path / "elsewhere.mrcs", directory, tiny)
    assert not any("changed" in message for message in said)
    assert _files_but_names(directory) == _files_but_names(finished)


def test_input_that_was_changed_before_it_was_prepared_is_read_anew(
    stack: Path, tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    directory = _stop_after("pre-alignment: ", stack, tmp_path / "run", tiny)
    # neither the first nor the last image: nothing that the fingerprint looks at
    with stack.open("r+b") as file:
        file.seek(1024 + 30 * 4 * 32**2)
        image = file.read(4 * 32**2)
        file.write(image)
    os.utime(stack, ns=(10**18, 10**18))
    said = _go_on(stack, directory, tiny)
    assert sum("was changed since the run began" in message for message in said) == 1
    fresh = run_isac(stack, tmp_path / "fresh", tiny.settings, SilentDisplay())
    assert _files(directory) == _files(fresh)
    assert directory.all_parameters.read_bytes() != finished.all_parameters.read_bytes()


def test_input_that_was_changed_after_it_was_prepared_is_said(
    stack: Path, tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    directory = _stop_after("round 1", stack, tmp_path / "run", tiny)
    os.utime(stack, ns=(10**18, 10**18))
    said = _go_on(stack, directory, tiny)
    assert sum("goes on with the images as it has read them" in message for message in said) == 1
    assert _files_but_names(directory) == _files_but_names(finished)


def test_input_of_another_length_is_refused(stack: Path, tiny: Any, tmp_path: Path) -> None:
    directory = _stop_after("round 1", stack, tmp_path / "run", tiny)
    write_mrcs(stack, open_stack(stack).read()[:-1], 2.0)
    with pytest.raises(InputError, match=r"was .* \(72 images\) and .* \(71 images\)"):
        run_isac(stack, directory.path, tiny.settings, SilentDisplay())


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_takes_no_more_is_said_and_the_run_goes_on_when_it_does(
    number: int,
    tiny: Any,
    finished: RunDirectory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flush, left = files._flush_to_disk, 9

    def fail(path: Path) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(number, os.strerror(number))
        flush(path)

    directory = RunDirectory(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(files, "_flush_to_disk", fail)
        code = main(["run", str(tiny.path), str(directory.path), *_words(finished)])
    assert code == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert len(said) == 1
    assert os.strerror(number) in said[0]
    assert "give the same command again" in said[0]
    _go_on(tiny.path, directory, tiny)
    assert _files(directory) == _files(finished)


def test_a_folder_that_cannot_be_written_is_said(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _read_only(monkeypatch)
    with pytest.raises(RunError, match=r"Nothing can be written to .*Read-only"):
        run_isac(tiny.path, tmp_path, tiny.settings, SilentDisplay())
    assert list(tmp_path.iterdir()) == []


def test_a_finished_run_on_a_read_only_disk_says_so(
    tiny: Any,
    finished: RunDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _read_only(monkeypatch)
    before = {path: path.stat().st_mtime_ns for path in finished.path.rglob("*")}
    assert main(["run", str(tiny.path), str(finished.path), *_words(finished)]) == 0
    assert "is finished: " in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in finished.path.rglob("*")} == before


def _read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every file that is opened to be written by number, as the lock is."""
    opened = os.open

    def refuse(path: Any, flags: int, *more: Any, **words: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return opened(path, flags, *more, **words)

    monkeypatch.setattr(os, "open", refuse)


def _words(directory: RunDirectory) -> list[str]:
    """The options of a run as they are typed."""
    options = read_record(directory.run_json).options.items()
    return [
        f"--{name}={value}"
        for name, value in options
        if value is not None and not isinstance(value, bool) and name != "restart"
    ]


def _damage(path: Path) -> None:
    content = path.read_bytes()
    third = len(content) // 3
    path.write_bytes(content[:third] + bytes(third) + content[2 * third :])


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("harm", [_damage, _cut])
@pytest.mark.parametrize(
    "name", ["clustering_state", "working_images", "working_images_state", "prealignment_state"]
)
def test_what_is_damaged_is_done_anew(
    name: str,
    harm: Callable[[Path], None],
    tiny: Any,
    finished: RunDirectory,
    tmp_path: Path,
) -> None:
    words = "preparation: " if name == "prealignment_state" else "generation 1: "
    directory = _stop_after(words, tiny.path, tmp_path / "run", tiny)
    harm(getattr(directory, name))
    said = _go_on(tiny.path, directory, tiny)
    assert sum(m.startswith("Warning: ") and "is damaged" in m for m in said) == 1
    assert _files(directory) == _files(finished)


def test_a_damaged_state_goes_back_to_the_last_main_iteration(
    tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    shutil.copytree(finished.path, tmp_path / "run")
    directory = RunDirectory(tmp_path / "run")
    directory.finished.unlink()
    _damage(directory.clustering_state)
    last = directory.last_finished_main()
    said = _go_on(tiny.path, directory, tiny)
    assert any(f"goes on from main iteration {last}" in message for message in said)
    assert _files(directory) == _files(finished)


def test_a_damaged_main_iteration_cannot_be_restarted(
    tiny: Any, finished: RunDirectory, tmp_path: Path
) -> None:
    shutil.copytree(finished.path, tmp_path / "run")
    directory = RunDirectory(tmp_path / "run")
    _damage(directory.state_after_main(1))
    before = _files(directory)
    with pytest.raises(RunError, match="without --restart, which goes on from the last"):
        run_isac(tiny.path, directory.path, replace(tiny.settings, restart=1), SilentDisplay())
    assert _files(directory) == before


def test_files_have_the_users_permissions_and_lie_in_the_folder(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    monkeypatch.setenv("TMPDIR", str(outside))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = os.umask(0o027)
    try:
        directory = run_isac(tiny.path, tmp_path / "run", tiny.settings, SilentDisplay())
    finally:
        os.umask(before)
    for path in (directory.path, *directory.path.rglob("*")):
        allowed = 0o750 if path.is_dir() else 0o640
        assert stat.S_IMODE(path.stat().st_mode) == allowed, path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "run"]
    assert list(outside.iterdir()) == []


def test_names_in_the_input_lead_no_file_out_of_the_folder(tiny: Any, tmp_path: Path) -> None:
    home, data = tmp_path / "home", tmp_path / "data"
    home.mkdir()
    data.mkdir()
    shutil.copy(tiny.path, data / "$(touch,owned);x.mrcs")
    rows = range(1, 73)
    columns: dict[str, Any] = {
        "rlnImageName": [f"{row}@../data/$(touch,owned);x.mrcs" for row in rows],
        "rlnMicrographName": ["../../../escaped/evil.mrc"] * 72,
        "rlnOpticsGroup": [1] * 72,
    }
    optics: dict[str, Any] = {
        "rlnOpticsGroup": [1],
        "rlnOpticsGroupName": ["../evil"],
        "rlnImagePixelSize": [2.0],
    }
    write_star(home / "in.star", {"optics": optics, "particles": columns})
    before = sorted(tmp_path.rglob("*"))
    directory = run_isac(home / "in.star", home / "run", tiny.settings, SilentDisplay())
    after = [path for path in tmp_path.rglob("*") if directory.path not in (path, *path.parents)]
    assert sorted(after) == before
    assert directory.particles_star.exists()
