"""The rooms of `docs/architecture.md` are those of the package, and doors lead one way."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "isac2"

# at its end a run has its page made; notebooks find what they use in the package itself
EXCEPTIONS = {("run", "report"), ("__init__", "run")}


def rooms_in_order() -> list[str]:
    """Return the rooms of the table, the lowest first."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    return [
        name.removesuffix(".py") for name in re.findall(r"^\| `([\w.]+)/?`", page, re.MULTILINE)
    ]


def imported_rooms(source: str) -> set[str]:
    """Return the rooms that a module imports from, anywhere in it.

    >>> sorted(imported_rooms("from isac2.run.options import Settings\\nimport isac2.poses"))
    ['poses', 'run']
    """
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("isac2.")}


def test_the_table_has_every_room() -> None:
    entries = [p for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()]
    assert {entry.stem for entry in entries} - {"__init__"} == set(rooms_in_order())


def test_a_room_imports_only_from_rooms_below_it() -> None:
    order = rooms_in_order()
    wrong = []
    for module in PACKAGE.rglob("*.py"):
        room = module.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for other in imported_rooms(module.read_text(encoding="utf-8")) - {room}:
            if (room, other) in EXCEPTIONS:
                continue
            if order.index(other) > order.index(room):
                wrong.append(f"{module.relative_to(PACKAGE)} imports from {other}")
    assert not wrong


def test_the_method_touches_no_files() -> None:
    pure = ("alignment", "clustering", "images")
    for module in (path for room in pure for path in (PACKAGE / room).rglob("*.py")):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call)
                  and isinstance(n.func, ast.Name)}  # fmt: skip
        assert "open" not in called, module
        assert not imported_rooms(module.read_text(encoding="utf-8")) & {"stacks", "files", "run"}
