"""Who may talk to the console: requests that name this machine, from pages of this machine.

The console binds loopback and has no log-in (paper and sim). What remains are web pages of other origins in
the operator's own browser, so the guard refuses foreign `Host` names (DNS rebinding), foreign `Origin`s
(cross-site requests, web sockets included) and framing (click-jacking), and lets no script, style, image or
font come from elsewhere. It does not tell the users of one machine apart: whoever can open a loopback port
can use the console.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
POLICY_VIOLATION = 1008
"""WebSocket close code for a refused connection."""


def _content_policy(host: str) -> str:
    # NiceGUI compiles Vue templates in the browser (unsafe-eval) and inlines its boot script (unsafe-inline).
    return (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
        f"connect-src 'self' ws://{host}; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )


def host_name(host: str) -> str:
    """Name part of a `Host` header, in lower case, without the port."""
    name = host.strip().lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0]


class LoopbackGuard:
    """ASGI wrapper that refuses with 421 (foreign host) or 403 (foreign origin). See the module's text."""

    def __init__(self, app: ASGIApp, *, extra_hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = LOOPBACK_HOSTS | {host.lower() for host in extra_hosts}

    def refusal(self, headers: Headers) -> tuple[int, str] | None:
        """Status and reason why a request with these headers is refused, or None."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or host_name(hosts[0]) not in self._hosts:
            return 421, "This console answers only to the names of this machine."
        for origin in headers.getlist("origin"):
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or parts.netloc.lower() != hosts[0].strip().lower():
                return 403, "This console answers only to its own pages."
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on with the protecting headers added."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = self.refusal(headers)
        if refused is None:
            await self._app(scope, receive, self._protected(send, headers["host"]))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refused[1]})
        else:
            await PlainTextResponse(refused[1], refused[0])(scope, receive, send)

    @staticmethod
    def _protected(send: Send, host: str) -> Send:
        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = _content_policy(host)
                headers["x-frame-options"] = "DENY"
                headers["x-content-type-options"] = "nosniff"
                headers["referrer-policy"] = "no-referrer"
                headers["cross-origin-opener-policy"] = "same-origin"
                headers["cross-origin-resource-policy"] = "same-origin"
            await send(message)

        return protected
