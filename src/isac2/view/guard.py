"""Who may talk to the viewer: pages that it served itself to this machine, and nobody else.

Other sites in the same browser can send requests to 127.0.0.1, and can have their own name resolve
to it (DNS rebinding). They do not know the token in the address; their requests carry another Host
or Origin; and what changes something has to be JSON, which browsers let nobody send across sites.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard", "new_token", "refusal"]

_OWN_NAMES = ("127.0.0.1", "localhost")
_MOST_BYTES = 8 * 2**20
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def new_token() -> str:
    """Return a word that nobody can guess."""
    return secrets.token_urlsafe(24)


def refusal(method: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
    """Say with which status and words a request is refused, or None when it may go on.

    Parameters
    ----------
    method : str
    headers : mapping
        Names in lower case.

    Examples
    --------
    >>> refusal("GET", {"host": "127.0.0.1:8000"})
    >>> refusal("GET", {"host": "evil.example:8000"})
    (421, 'This viewer answers to 127.0.0.1 only.')
    """
    host = headers.get("host", "")
    if host.partition(":")[0].lower() not in _OWN_NAMES:
        return 421, "This viewer answers to 127.0.0.1 only."
    site, is_read = headers.get("sec-fetch-site", ""), method in ("GET", "HEAD")
    is_visit = is_read and headers.get("sec-fetch-mode") == "navigate"
    if site not in ("", "same-origin", "none") and not is_visit:
        return 403, "Requests of other sites are refused."
    if "origin" in headers and headers["origin"] != f"http://{host}":
        return 403, "Requests of other sites are refused."
    if is_read:
        return None
    if "origin" not in headers:
        return 403, "A change has to come from the viewer's own page."
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return 415, "A change has to be JSON."
    length = headers.get("content-length", "")
    if not length.isdecimal():
        return 411, "A change has to say its length."
    if int(length) > _MOST_BYTES:
        return 413, "The change is too large."
    return None


class Guard:
    """Lets through what bears the token and comes from the own page; adds protecting headers.

    The application behind it sees paths without the token.

    Parameters
    ----------
    app : ASGI application
    token : str
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", _POLICY)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        refused = refusal(scope["method"], Headers(scope=scope))
        _, _, rest = str(scope["path"]).partition("/")
        token, _, inner = rest.partition("/")
        if refused is None and not secrets.compare_digest(token.encode(), self.token.encode()):
            refused = 404, "There is nothing here: take the whole address that isac2 view printed."
        if refused is None and not rest.endswith("/") and "/" not in rest:
            await RedirectResponse(f"/{self.token}/", 308)(scope, receive, send_safely)
            return
        if refused is not None:
            answer = PlainTextResponse(refused[1] + "\n", status_code=refused[0])
            await answer(scope, receive, send_safely)
            return
        await self.app({**scope, "path": f"/{inner}", "raw_path": None}, receive, send_safely)
