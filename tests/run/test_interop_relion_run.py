"""RELION on the export of a whole run: its averages are those that the run has written.

Skipped where RELION is not installed, as `tests/stacks/test_interop_relion.py` is.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from isac2.run.directory import RunDirectory

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore:Setting the dtype:DeprecationWarning"),
    pytest.mark.skipif(shutil.which("relion_refine") is None, reason="RELION is not installed"),
]


def comparison() -> Any:
    """The benchmark that prints the figures of docs/interop.md."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "relion_averages.py"
    spec = importlib.util.spec_from_file_location("relion_averages", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    return module


def test_relions_averages_of_our_export_are_those_of_the_run(
    finished: RunDirectory, tmp_path: Path
) -> None:
    found = list(comparison().compare_run(finished.path, tmp_path))
    assert {row.name for row in found} == {"run", "run, 0.3", "reconstruct", "stack, 0.25"}
    assert sum(row.members for row in found if row.name == "run") > 40
    for row in found:
        assert row.correlation > 0.999, row
