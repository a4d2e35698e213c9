"""The commands of docs/after.md are run as they are written, one after the other."""

from __future__ import annotations

import re
import shlex
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from isac2.cli.main import main, run_command

PAGE = Path(__file__).resolve().parents[2] / "docs" / "after.md"


def blocks() -> list[list[str]]:
    """Return the commands of each marked block of the page."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"<!-- run -->\n```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [
        [line[2:] for line in block.replace("\\\n", " ").splitlines() if line.startswith("$ ")]
        for block in found
    ]


def call(line: str) -> int:
    """Run one command line of ours in this process."""
    program, *words = shlex.split(line)
    if program == "isac2":
        return main(words)
    module = import_module(f"isac2.cli.recipes.{program.removesuffix('.py')}")
    assert isinstance(module.command, click.Command)
    return run_command(module.command, program, words)


def test_blocks_are_found() -> None:
    assert blocks()
    assert all(blocks())


@pytest.mark.parametrize("block", blocks(), ids=lambda block: str(block[0]))
def test_commands_run_as_written(
    block: list[str],
    world: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("particles", "new", "classes", "classes2"):
        shutil.copytree(world.folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for line in block:
        before = {path for path in tmp_path.iterdir()}
        assert call(line) == 0, (line, capsys.readouterr().err)
        said = capsys.readouterr().out
        new = {path.name for path in tmp_path.iterdir()} - {path.name for path in before}
        assert said or new, line
