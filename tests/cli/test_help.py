"""Every verb and every historical program explains itself, with an example, and at once."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from isac2.cli.main import VERBS, main

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"numpy", "scipy", "numba", "h5py", "sklearn", "pandas", "rich", "matplotlib"}


def scripts() -> dict[str, str]:
    """Return the programs that are installed, and where they are."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text.partition("[project.scripts]\n")[2].partition("\n[")[0]
    return dict(re.findall(r'^"?([\w.]+)"? = "([\w.:]+)"$', block, re.MULTILINE))


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_has_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"^ +isac2 {verb} \S", shown, re.MULTILINE), shown


@pytest.mark.parametrize(("program", "place"), scripts().items())
def test_a_program_is_where_it_is_said_to_be(program: str, place: str) -> None:
    module, _, function = place.partition(":")
    assert callable(getattr(import_module(module), function))
    if program not in ("isac2", "sp_isac2.py"):
        command = import_module(module).command
        assert isinstance(command, click.Command)
        assert command.name == program
        assert f"    {program} " in (command.help or "")


def test_no_verb_loads_the_numeric_library_before_it_is_run() -> None:
    modules = [verb.module for verb in VERBS.values()]
    code = (
        f"import sys, importlib\nfor name in {modules!r}: importlib.import_module(name)\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
