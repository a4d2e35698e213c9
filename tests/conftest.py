"""Fixtures that every room's tests may use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A chromium without a window, or a skip where none could be installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((path for name in names if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(
            "no chromium is installed, and 'make browser' could not install one: pages are not "
            "tried in a browser"
        )
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)  # ms: how long something takes is the machine's affair
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def tabs(browser: Browser) -> Iterator[BrowserContext]:
    """Tabs of one browser; whatever their consoles say fails the test in the end."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    context.on("console", lambda message: said.append(message.text))
    context.on("weberror", lambda error: said.append(str(error.error)))
    yield context
    context.close()
    assert said == []
