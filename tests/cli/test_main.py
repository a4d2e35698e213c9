"""The program `isac2`: verbs, exit codes, one-sentence errors."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from isac2 import __version__
from isac2.cli.main import VERBS, main, run_command
from isac2.errors import InputError, RunError
from isac2.run.stopping import RunStopped


def _command(error: BaseException | None) -> click.Command:
    """A command that raises `error`."""

    def callback() -> None:
        if error is not None:
            raise error

    return click.Command("fail", callback=callback)


def test_help_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, verb in VERBS.items():
        assert name in shown
        assert verb.help in " ".join(shown.split())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"isac2, version {__version__}\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (None, 0, ""),
        (InputError("x.star is missing."), 2, "Error: x.star is missing.\n"),
        (RunError("The disc is full."), 1, "Error: The disc is full.\n"),
        (OSError("no space"), 1, "Error: no space.\n"),
        (KeyboardInterrupt(), 130, "Stopped; the same command goes on from the last saved point"),
        (
            RunStopped("stopped by SIGTERM", 143),
            143,
            "Stopped by SIGTERM; the same command goes on",
        ),
        (ZeroDivisionError("oops"), 1, "unexpected ZeroDivisionError (oops)"),
    ],
)
def test_how_a_command_ends(
    error: BaseException | None, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(_command(error), "isac2", []) == code
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(_command(InputError("wrong.")), "isac2", ["--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["folly"], "No such command 'folly'; see 'isac2 --help'."),
        (["run", "a.star", "out", "--xr=auto"], "'auto' is not a valid integer"),
        (["run", "a.star", "out", "--radius=x"], "'x' is not a valid integer, nor 'auto'"),
        (["run", "a.star", "out", "--radius", "30", "--yr", "-2"], "--yr=-2 is out of range"),
        (["run", "a.star", "out", "--radius=30", "--CTF", "--VPP"], "--CTF and --VPP exclude"),
    ],
)
def test_a_usage_error_is_one_sentence_and_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1


def test_help_does_not_load_the_numeric_library() -> None:
    program = (
        "import sys; from isac2.cli.main import main; main(['run', '--help']); "
        "heavy = {'numpy', 'pandas', 'numba', 'h5py', 'sklearn', 'scipy', 'torch', 'rich'}; "
        "sys.exit(str(sorted(heavy & set(sys.modules)) if heavy & set(sys.modules) else ''))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.strip() == ""
