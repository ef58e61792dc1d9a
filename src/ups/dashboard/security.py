"""Access to the server, and the rights of its pages: the Host header, the token, the headers of every answer.

The server listens on this machine alone unless ``--host`` names another address. A page of another site can still make
the browser ask it, under a name that it points here (DNS rebinding): so the Host header must name this machine. Other
users of this machine, who may not read the runs' files, need a token; so does everyone where other machines can reach
the server. The browser that ``ups show`` opens is given none: any user can read the command line of a process.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Callable
from functools import cache
from http.cookies import CookieError, SimpleCookie
from importlib import resources
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ups.dashboard.encoding import as_json
from ups.dashboard.peers import Peer

__all__ = [
    "OWN",
    "RequestGuard",
    "content_security_policy",
    "csp_hash",
    "is_loopback",
    "plotly_script",
    "plotly_style_hashes",
]

OWN = "own"  # the query with which a browser of the user's own, on this machine, asks to enter without the token

_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}
_PLOTLY_STYLE = re.compile(r"createElement\(\"style\"\);\w+\.id=\"\w+\",\w+\.textContent='((?:[^'\\]|\\.)*)'")


@cache
def plotly_script() -> str:
    """Plotly's script, from the installed package."""
    script = resources.files("plotly").joinpath("package_data", "plotly.min.js")
    return script.read_text(encoding="utf-8")


@cache
def plotly_style_hashes() -> tuple[str, ...]:
    """The styles that a content security policy must let Plotly add: an empty element, and one text of its own."""
    texts = (found.replace("\\'", "'").replace("\\n", "\n") for found in _PLOTLY_STYLE.findall(plotly_script()))
    return tuple(map(csp_hash, ("", *texts)))


def csp_hash(text: str) -> str:
    """The name of a script or style of this text in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


@cache
def content_security_policy() -> str:
    """The policy for pages: they load from this server alone, and run no script but its files."""
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' {' '.join(plotly_style_hashes())}",
            "img-src 'self' data: blob:",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def is_loopback(host: str) -> bool:
    """True where only this machine can reach a server that listens on ``host``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class RequestGuard:
    """Lets a request through to the app, or answers it, on a server that listens on ``host``.

    A browser must have shown the token, unless its process is the user's own. On a server for this machine alone that
    is enough; on another one it must ask for :data:`OWN` first. ``on_stranger`` is called when a request on this
    machine was refused because it has no token.
    """

    def __init__(self, app: ASGIApp, *, host: str, token: str, on_stranger: Callable[[], None]) -> None:
        self._app = app
        self._token = token
        self._on_stranger = on_stranger
        self._names = _LOOPBACK_NAMES | {host.lower()}
        self._is_public = not is_loopback(host)
        if self._is_public:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it to the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = content_security_policy()
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "no-referrer"
                headers["cross-origin-opener-policy"] = "same-origin"
                headers["cross-origin-resource-policy"] = "same-origin"
                headers.setdefault("cache-control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        if scope["method"] not in ("GET", "HEAD"):
            await _refuse(with_headers, 405, "this server answers GET and HEAD only")
        elif not self._is_ours(headers.get("host", "")):
            await _refuse(with_headers, 403, f"this server is not called {headers.get('host', '')!r}")
        elif self._has_cookie(headers, _cookie(scope)) or (not self._is_public and await _is_own(scope)):
            await self._app(scope, receive, with_headers)
        else:
            query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
            known = hmac.compare_digest(query.pop("token", "").encode(), self._token.encode())
            asks_as_own = query.pop(OWN, None) is not None
            if not known and not (asks_as_own and await _is_own(scope)):
                if not self._is_public:
                    self._on_stranger()
                await _refuse(
                    with_headers, 403, "the token is missing or wrong: open the address that 'ups show' printed"
                )
                return
            rest = "?" + urlencode(query) if query else ""
            answer = RedirectResponse("/" + scope["path"].lstrip("/") + rest, status_code=303)
            answer.set_cookie(_cookie(scope), self._token, httponly=True, samesite="strict", path="/")
            await answer(scope, receive, with_headers)

    def _is_ours(self, header: str) -> bool:
        """True where the Host header names this machine, or is a number: a name may point here from another site."""
        name = header.rpartition(":")[0] if re.search(r":\d+\Z", header) else header
        name = name.removeprefix("[").removesuffix("]").lower().removesuffix(".")
        if name in self._names:
            return True
        if not self._is_public:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _has_cookie(self, headers: Headers, name: str) -> bool:
        cookie = SimpleCookie()
        try:
            cookie.load(headers.get("cookie", ""))
        except CookieError:
            return False
        shown = cookie[name].value if name in cookie else ""
        return hmac.compare_digest(shown.encode(), self._token.encode())


async def _is_own(scope: Scope) -> bool:
    """True where the process that asks is the user's own, on this machine."""
    peer: Peer = scope["state"]["peer"]
    return await asyncio.to_thread(lambda: peer.is_own)


def _cookie(scope: Scope) -> str:
    """The name of the token's cookie. It has the port, since a machine's ports share their cookies."""
    return f"ups_token_{scope['server'][1]}"


async def _refuse(send: Send, status: int, message: str) -> None:
    body = as_json({"error": message})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
