"""Serving a run's page to this machine, until Ctrl-C."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from isac2.errors import InputError
from isac2.run.directory import RunDirectory

__all__ = ["check_viewable", "serve"]

_ADDRESS = "127.0.0.1"
_MISSING = (
    "'isac2 view' needs starlette and uvicorn, which are not installed: pip install 'isac2[view]'."
)


def check_viewable(path: Path) -> None:
    """Refuse what is no run.

    Raises
    ------
    InputError
        When the folder holds no run, of isac2 or of SPHIRE.
    """
    run = RunDirectory(path)
    if not (run.run_json.exists() or run.class_averages.exists()):
        raise InputError(
            f"{path} is not the directory of a run (it holds neither {run.run_json.name} nor "
            f"{run.class_averages.name}): give the output directory of 'isac2 run'."
        )


def serve(
    path: Path,
    port: int = 0,
    stack: str | None = None,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve the page of a run on 127.0.0.1 until the process is interrupted.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the run.
    port : int
        0 for any that is free.
    stack : str, optional
        The particles, where the run does not say.
    announce : callable
        Told the address once it is answered.

    Raises
    ------
    InputError
        When it is no run, the port is taken, or the web libraries are missing.
    """
    check_viewable(path)
    try:
        import uvicorn

        from isac2.view.app import make_app
        from isac2.view.guard import new_token
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise InputError(_MISSING) from None
    token = new_token()
    with _listening(port) as listener:
        config = uvicorn.Config(
            make_app(path, token, stack),
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            loop="asyncio",
            http="h11",
            timeout_graceful_shutdown=1,
        )
        announce(f"http://{_ADDRESS}:{listener.getsockname()[1]}/{token}/")
        uvicorn.Server(config).run(sockets=[listener])


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_ADDRESS, port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise InputError(
            f"--port={port} cannot be used ({error.strerror or error}): take another, or leave it "
            "out."
        ) from None
    return listener
