"""What the viewer answers: the page, how far the run is, selections, and files of them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from isac2.errors import InputError, Isac2Error
from isac2.view.exports import export_selection
from isac2.view.guard import Guard
from isac2.view.pages import Page, Pages
from isac2.view.selections import Selection, SelectionFolder, read_changes

__all__ = ["make_app"]

Answer = Callable[[Request], Awaitable[Response]]

_MOST_NAMES = 200  # selections that a page lists


def make_app(run: Path, token: str, stack: str | None = None) -> ASGIApp:
    """Make the viewer of a run.

    Parameters
    ----------
    run : pathlib.Path
        Folder of the run.
    token : str
        First part of every path that is answered.
    stack : str, optional
        The particles, where the run does not say.
    """
    viewer = _Viewer(run, stack)
    routes = [
        Route("/", viewer.page),
        Route("/poll", viewer.poll),
        Route("/selections/{name}", viewer.selection, methods=["GET"]),
        Route("/selections/{name}", viewer.change, methods=["POST"]),
        Route("/remove/{name}", viewer.remove, methods=["POST"]),
        Route("/restore/{name}", viewer.restore, methods=["POST"]),
        Route("/export/{name}", viewer.export, methods=["POST"]),
        Route("/files/{name}", viewer.file),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={Isac2Error: _say_error}), token)


async def _say_error(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=400)


class _Viewer:
    """The answers, each a method; files are read and written outside of the event loop."""

    def __init__(self, run: Path, stack: str | None) -> None:
        self.run = run
        self.stack = stack
        self.pages = Pages(run)
        self.folder = SelectionFolder(run / "selections")

    async def page(self, request: Request) -> Response:
        """The page."""
        page = await run_in_threadpool(self.pages.page)
        return HTMLResponse(page.text, headers={"Content-Security-Policy": _policy(page)})

    async def poll(self, request: Request) -> Response:
        """What has changed: in the run, and in the selections of all tabs."""
        return JSONResponse(await run_in_threadpool(self._poll))

    def _poll(self) -> dict[str, Any]:
        names = self.folder.names()[:_MOST_NAMES]
        return {
            "tag": self.pages.tag(),
            "run": self.pages.status(),
            "selections": [self._row(name) for name in names],
        }

    def _row(self, name: str) -> dict[str, Any]:
        try:
            selection = self.folder.read(name)
        except InputError as error:
            return {"name": name, "error": str(error)}
        return {"name": name, "revision": selection.revision, "chosen": len(selection.chosen)}

    async def selection(self, request: Request) -> Response:
        """A selection as it is."""
        return _answer(await run_in_threadpool(self.folder.read, request.path_params["name"]))

    async def change(self, request: Request) -> Response:
        """Change a selection; the answer is the selection as it is then, with others' changes."""
        asked = await _document(request)
        changes, base = read_changes(asked.get("changes")), asked.get("base")
        if not isinstance(base, int):
            raise InputError("A change has to say the revision that it was made on.")
        name, strict = request.path_params["name"], asked.get("strict") is True
        return _answer(await run_in_threadpool(self.folder.change, name, changes, base, strict))

    async def remove(self, request: Request) -> Response:
        """Put a selection away."""
        await run_in_threadpool(self.folder.remove, request.path_params["name"])
        return JSONResponse({})

    async def restore(self, request: Request) -> Response:
        """Bring back a selection that was removed."""
        return _answer(await run_in_threadpool(self.folder.restore, request.path_params["name"]))

    async def export(self, request: Request) -> Response:
        """Write a selection for other programs."""
        asked, name = await _document(request), request.path_params["name"]
        others = asked.get("others") is True
        made = await run_in_threadpool(
            export_selection,
            self.run,
            self.folder,
            name,
            str(asked.get("kind")),
            others,
            self.stack,
        )
        return JSONResponse(
            {
                "path": str(made.file),
                "name": made.file.name,
                "classes": made.classes,
                "particles": made.particles,
            }
        )

    async def file(self, request: Request) -> Response:
        """A file of the selections, to be saved elsewhere."""
        name = request.path_params["name"]
        file = self.folder.path / name
        if name != Path(name).name or name.startswith(".") or file.is_symlink():
            raise InputError("There is no such file.")
        if not file.is_file():
            raise InputError("There is no such file: export the selection again.")
        return FileResponse(file, filename=name, media_type="application/octet-stream")


async def _document(request: Request) -> dict[str, Any]:
    """Return the JSON object that was sent."""
    try:
        document = json.loads(await request.body())
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise InputError("A change has to be a JSON object.")
    return document


def _answer(selection: Selection) -> Response:
    return JSONResponse(selection.document())


def _policy(page: Page) -> str:
    """Only the page's own scripts run, and they talk to nobody but the viewer."""
    return (
        f"default-src 'none'; script-src 'nonce-{page.nonce}'; style-src 'unsafe-inline'; "
        "img-src data: blob:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'none'"
    )
