"""Fixtures that every room's tests may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes is the machine's affair: the first may have to compile a kernel.
settings.register_profile("isac2", deadline=None)
settings.load_profile("isac2")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden files and data that lies beside the checkout, or a skip without it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip("the folder 'shared' with golden files is not beside the checkout")
    return folder
