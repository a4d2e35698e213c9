"""The manual tells the truth: links lead somewhere, commands are accepted, first steps run."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import isac2
from isac2.cli.main import VERBS, main
from isac2.run.choices import choose_settings
from isac2.run.options import check_words

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PAGE_NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

# what makes the first steps fast enough for a test; the last value of an option counts
SMALLER = {
    "simulate": ["--particles", "160", "--views", "3"],
    "run": ["--target_radius=14", "--target_nx=40", "--init_iter=2"],
}


def commands_of(page: Path) -> list[str]:
    """Return the command lines of our programs in a page's code blocks."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    blocks += re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    lines = [re.sub(r"^mpirun (-\S+ \S+ )*", "", line) for line in lines]
    return [line for line in lines if re.match(r"(isac2|sp_isac2\.py) ", line)]


def inline_code(page: Path) -> list[str]:
    """Return what stands between single backticks outside of code blocks."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", text)


def command_of(verb: str) -> click.Command:
    command = import_module(VERBS[verb].module).command
    assert isinstance(command, click.Command)
    return command


def parsed(line: str) -> dict[str, Any]:
    """Parse a command line as the program would; errors are click's."""
    program, *words = shlex.split(re.sub(r"\s#\s.*", "", line))
    verb = "run" if program == "sp_isac2.py" else words.pop(0)
    parameters = command_of(verb).make_context(verb, words).params
    if verb == "run":
        given = {k: v for k, v in parameters.items() if k not in ("stack", "outdir")}
        # what would have to be measured is not what is looked at here
        given |= {name: 30 for name in ("radius", "images_per_group") if given[name] == "auto"}
        choose_settings("absent.star", given | {"radius": given["radius"] or 30})
    return parameters


def known_options() -> set[str]:
    """Return every option of every verb, and those that stand for all of them."""
    names = {"--help", "--version", "--debug"}
    for verb in VERBS:
        for parameter in command_of(verb).params:
            names.update([*parameter.opts, *parameter.secondary_opts])
    return names


ALL_COMMANDS = [
    pytest.param(line, id=f"{name}: {line}")
    for page, name in zip(PAGES, PAGE_NAMES, strict=True)
    for line in commands_of(page)
]


def test_commands_are_found_in_the_pages() -> None:
    assert len(ALL_COMMANDS) > 10  # else the search itself is broken
    with pytest.raises(click.UsageError, match="No such option"):
        parsed("isac2 run a.star out --radius=3 --radios=3")


@pytest.mark.parametrize("line", ALL_COMMANDS)
def test_command_line_is_accepted(line: str) -> None:
    if line.split()[1].startswith("-"):  # isac2 --help
        assert line.split()[1] in known_options()
    else:
        assert parsed(line)


@pytest.mark.parametrize("page", PAGES, ids=PAGE_NAMES)
def test_options_and_verbs_in_the_text_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return  # tells of what was, too
    options = known_options()
    for code in inline_code(page):
        words = code.split()
        verb = words[1] if words[0] == "isac2" and len(words) > 1 else ""
        if re.fullmatch(r"[a-z]+", verb):
            assert verb in VERBS, code
        if words[0] == "isac2" or words[0].startswith("--"):
            named = {word.partition("=")[0] for word in words if re.match(r"--\w", word)}
            assert named <= options, code


def anchors(page: Path) -> set[str]:
    """Return the names that a page's headings can be linked by."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=PAGE_NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(file), f"{page.name} links to {target}"


@pytest.fixture(scope="module")
def first_steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which the first steps of the manual were taken, on fewer particles."""
    page = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- run -->\n```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert block is not None
    lines = [line[2:] for line in block.group(1).splitlines() if line.startswith("$ ")]
    folder = tmp_path_factory.mktemp("manual")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in lines:
            words = shlex.split(line)[1:]
            assert main([*words, *SMALLER.get(words[0], [])]) == 0, line
    return folder / "first"


def test_first_steps_leave_what_the_manual_says(first_steps: Path) -> None:
    for name in ("classes/report.html", "classes/finished", "particles.png", "averages.png"):
        assert (first_steps / name).exists()
    assert len(isac2.read_run(first_steps / "classes")) > 0


def test_the_readme_s_python_runs(
    first_steps: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def classify(stack: str, outdir: str, **words: Any) -> isac2.RunResult:
        check_words(words)
        return isac2.read_run(first_steps / "classes")

    monkeypatch.setattr(isac2, "classify", classify)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code.group(1), names)
    assert "classes of" in capsys.readouterr().out
    assert names["average"].ndim == 2
    assert np.issubdtype(names["members"].dtype, np.integer)
