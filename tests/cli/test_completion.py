"""Shell completion, as docs/getting-started.md sets it up: the shell asks, the program answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

PROGRAM = [
    sys.executable,
    "-c",
    "from isac2.cli.main import main; raise SystemExit(main())",
]


def answer(shell: str, line: str, word: int) -> str:
    """Return what the program offers for a word of a command line."""
    environment = {
        **os.environ,
        "_ISAC2_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(word) if shell != "fish" else line.split(" ")[word],
    }
    done = subprocess.run(
        PROGRAM, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_verbs_and_options_are_completed(shell: str) -> None:
    verbs = answer(shell, "isac2 s", 1)
    assert "suggest" in verbs
    assert "status" in verbs
    assert "view" not in verbs
    options = answer(shell, "isac2 run --img", 2)
    assert "--img_per_grp" in options
    assert "--radius" not in options
    choices = answer(shell, "isac2 plot ", 2)
    assert "montage" in choices


def test_the_script_for_bash_is_a_script() -> None:
    environment = {**os.environ, "_ISAC2_COMPLETE": "bash_source"}
    script = subprocess.run(
        PROGRAM, env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "complete " in script
    if shutil.which("bash"):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=60)
