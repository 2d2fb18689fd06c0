"""The frame of a gateway: HTTP and WebSockets on the loopback interface, with bounds, faults and counters.

A venue's gateway derives from `Gateway`, names its routes and sockets, and says how its venue words what the
frame itself refuses. Requests meet the exchange's fault plan here, so that no gateway can forget it.

    class Kraken(Gateway):
        venue = "kraken"
        def routes(self): return [Route("GET", "/0/public/Time", self.time)]
        def refusal(self, call, why, action=None): return Answer(200, UNKNOWN_METHOD)

    def build(exchange: Exchange) -> Gateway: return Kraken(exchange)
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import ClassVar, Final

import msgspec
import structlog
from aiohttp import web
from multidict import CIMultiDictProxy

from .exchange import Exchange
from .faults import Action, Fault, FaultPlan
from .keys import ApiKey
from .sockets import Socket, SocketClosed

__all__ = ["Answer", "Call", "Gateway", "Route", "Socket", "SocketClosed", "SocketRoute", "Why"]

log = structlog.get_logger("tradewind.gateway")

LOOPBACK: Final = "127.0.0.1"
LOOPBACK_CLIENT: Final = "loopback"
"""All clients of the loopback interface share one public budget, as they would behind one address."""
MAX_BODY_BYTES: Final = 64 * 1_024
MAX_HEAD_BYTES: Final = 16 * 1_024
MAX_REQUESTS: Final = 1_024
"""Requests under way."""
MAX_SOCKETS: Final = 1_024
MAX_COUNTED: Final = 1_000
"""Distinct calls that are counted under their own name; others together."""
HOLD_S: Final = 130.0
"""How long a request without a reply keeps its connection."""
OTHERS: Final = "others"
JSON: Final = "application/json"
SHUTDOWN_S: Final = 1.0


class Why(StrEnum):
    """What the frame itself refuses."""

    UNKNOWN = "unknown"
    """No such path or method."""
    TOO_LARGE = "too_large"
    BUSY = "busy"
    FAILED = "failed"
    """A defect of ours: whether it was executed is not known."""
    STOPPED = "stopped"
    FAULT = "fault"
    """The fault plan wants this answer; the action says which."""


class Answer(msgspec.Struct, frozen=True):
    """What is sent back."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}
    content_type: str = JSON


class Call(msgspec.Struct, kw_only=True):
    """One request, read in full. `raw_query` and `body` are as they came: signatures are over them."""

    method: str
    path: str
    raw_query: str
    headers: CIMultiDictProxy[str]
    body: bytes
    received_ns: int
    parameters: Mapping[str, str] = {}
    """Parts of the path, by the names in the route."""
    actions: Sequence[Action] = ()
    """What the fault plan wants of the call; the frame does those that are its own."""

    def wants(self, fault: Fault) -> Action | None:
        """The first action of this kind, for faults that only the gateway can show."""
        return next((one for one in self.actions if one.fault is fault), None)


Handler = Callable[[Call], Awaitable[Answer]]
SocketHandler = Callable[[Socket, Call], Awaitable[None]]


class Route(msgspec.Struct, frozen=True):
    """A call: method, path (`{name}` for a part), and who answers."""

    method: str
    path: str
    handler: Handler


class SocketRoute(msgspec.Struct, frozen=True):
    """A path of WebSockets and who talks there; the connection ends when the handler returns."""

    path: str
    handler: SocketHandler


_BEFORE: Final = frozenset({Fault.MAINTENANCE, Fault.CANCEL_ONLY, Fault.RATE_BAN})


class Gateway:
    """A venue's wire in front of an exchange. Start and close it on the exchange's loop."""

    venue: ClassVar[str] = "gateway"
    secrets_are_text: ClassVar[bool] = False
    """Whether clients of the venue take a secret as it is; else they take its base64 form."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.port = 0
        self.requests: dict[tuple[str, int], int] = {}
        """(call, status) -> answers."""
        self.unknown_calls: dict[str, int] = {}
        self.sockets: set[Socket] = set()
        self.sockets_refused = 0
        self._under_way = 0
        self._runner: web.AppRunner | None = None

    # ---- what a venue says ---------------------------------------------------------------------------

    def routes(self) -> Sequence[Route]:
        """Every call that is built."""
        return ()

    def socket_routes(self) -> Sequence[SocketRoute]:
        """Every path of WebSockets."""
        return ()

    def refusal(self, call: Call, why: Why, action: Action | None = None) -> Answer:
        """How the venue words a refusal of the frame. With FAULT the action tells status, message, kind."""
        status = {Why.UNKNOWN: 404, Why.TOO_LARGE: 413, Why.BUSY: 503, Why.STOPPED: 503}.get(why, 500)
        if action is not None:
            status = {Fault.RATE_BAN: 429, Fault.STATUS: action.rule.status}.get(action.fault, 503)
        return Answer(status, msgspec.json.encode({"error": str(why)}))

    async def started(self) -> None:
        """Called when the port is known; a gateway starts its own tasks here."""

    async def closing(self) -> None:
        """Called before the sockets are closed; a gateway ends its own tasks here."""

    def credentials(self, key: ApiKey) -> dict[str, str]:
        """What a client is configured with, by name. For a file that only its owner can read.

        Of a key pair the client alone has the private half.
        """
        found = {"API_KEY": key.key, "URL": self.url, "SOCKET_URL": self.socket_url}
        if key.algorithm == "hmac":
            text = key.secret.decode() if self.secrets_are_text else base64.b64encode(key.secret).decode()
            found["API_SECRET"] = text
        return {**found, "API_PASSPHRASE": key.passphrase} if key.passphrase else found

    # ---- start and end -------------------------------------------------------------------------------

    async def start(self, port: int = 0) -> int:
        """Serves on the loopback interface and gives the port; 0 takes a free one.

        Raises:
            OSError: the port is taken.
        """
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        for socket in self.socket_routes():
            app.router.add_get(socket.path, self._talks(socket.handler))
        for route in self.routes():
            app.router.add_route(route.method, route.path, self._answers(route))
        app.router.add_route("*", "/{rest:.*}", self._unknown)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=SHUTDOWN_S,
            max_line_size=MAX_HEAD_BYTES,
            max_field_size=MAX_HEAD_BYTES,
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, LOOPBACK, port).start()
        except OSError:
            await self._runner.cleanup()
            self._runner = None
            raise
        self.port = int(self._runner.addresses[0][1])
        await self.started()
        log.info("gateway_started", venue=self.venue, port=self.port)
        return self.port

    @property
    def url(self) -> str:
        """Address of HTTP calls."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def socket_url(self) -> str:
        """Address of WebSockets."""
        return f"ws://{LOOPBACK}:{self.port}"

    async def close(self) -> None:
        """Ends streams and server. The exchange stays open. May be called twice."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        await self.closing()
        for socket in tuple(self.sockets):
            socket.abort("the gateway is closing")
        await runner.cleanup()
        log.info("gateway_closed", venue=self.venue, port=self.port)

    async def __aenter__(self) -> Gateway:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ---- HTTP ------------------------------------------------------------------------------------------

    @property
    def faults(self) -> FaultPlan:
        """The exchange's plan: the same for all its gateways."""
        return self.exchange.faults

    def _answers(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, f"{route.method} {route.path}", route.handler)

        return answer

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        name = f"{request.method} {request.path}"[:200]
        if name in self.unknown_calls or len(self.unknown_calls) < MAX_COUNTED:
            self.unknown_calls[name] = self.unknown_calls.get(name, 0) + 1

        async def refuse(call: Call) -> Answer:
            return self.refusal(call, Why.UNKNOWN)

        return await self._serve(request, "unknown", refuse)

    def _call(self, request: web.Request) -> Call:
        return Call(
            method=request.method,
            path=request.path,
            raw_query=request.rel_url.raw_query_string,
            headers=request.headers,
            body=b"",
            received_ns=self.exchange.now_ns(),
            parameters=request.match_info,
        )

    async def _serve(self, request: web.Request, name: str, handler: Handler) -> web.StreamResponse:
        call = self._call(request)
        if self._under_way >= MAX_REQUESTS:
            return self._respond(name, self.refusal(call, Why.BUSY))
        self._under_way += 1
        try:
            try:
                call.body = await request.read()
            except web.HTTPRequestEntityTooLarge:
                return self._respond(name, self.refusal(call, Why.TOO_LARGE))
            call.actions = self.faults.on_request("rest", f"{call.method} {call.path}")
            if not call.actions:
                return self._respond(name, await self._handled(call, handler))
            answer = await self._with_faults(call, handler)
            if answer is None:
                _cut(request)
                return web.Response(status=500)
            return self._respond(name, answer)
        finally:
            self._under_way -= 1

    async def _handled(self, call: Call, handler: Handler) -> Answer:
        try:
            return await handler(call)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - a client must get an answer, and nothing of our insides
            why = Why.STOPPED if self.exchange.node.stop_reason is not None else Why.FAILED
            log.error(
                "gateway_call_failed",
                venue=self.venue,
                path=call.path,
                error=f"{type(error).__name__}: {error}",
            )
            return self.refusal(call, why)

    async def _with_faults(self, call: Call, handler: Handler) -> Answer | None:
        """The answer, or None: cut the connection."""
        for action in call.actions:
            if action.fault is Fault.DELAY:
                await asyncio.sleep(action.rule.delay_ms / 1_000)
            elif action.fault in _BEFORE or (action.fault is Fault.STATUS and action.rule.when == "before"):
                return self.refusal(call, Why.FAULT, action)
            elif action.fault is Fault.RESET and action.rule.when == "before":
                return None
        return await self._behind(call, await self._handled(call, handler))

    async def _behind(self, call: Call, answer: Answer) -> Answer | None:
        for action in call.actions:
            if action.fault is Fault.DROP_REPLY:
                await asyncio.sleep(action.rule.delay_ms / 1_000 or HOLD_S)
                return None
            if action.fault is Fault.RESET:
                return None
            if action.fault is Fault.STATUS:
                return self.refusal(call, Why.FAULT, action)
            if action.fault is Fault.MALFORMED:
                return msgspec.structs.replace(answer, body=answer.body[: len(answer.body) // 2])
        return answer

    def _respond(self, name: str, answer: Answer) -> web.Response:
        self._count(name, answer.status)
        return web.Response(
            status=answer.status,
            body=answer.body,
            content_type=answer.content_type,
            headers=dict(answer.headers) or None,
        )

    def _count(self, name: str, status: int) -> None:
        key = (name, status)
        if key not in self.requests and len(self.requests) >= MAX_COUNTED:
            key = (OTHERS, status)
        self.requests[key] = self.requests.get(key, 0) + 1

    # ---- WebSockets --------------------------------------------------------------------------------------

    def _talks(self, handler: SocketHandler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def talk(request: web.Request) -> web.StreamResponse:
            return await self._talk(request, handler)

        return talk

    async def _talk(self, request: web.Request, handler: SocketHandler) -> web.StreamResponse:
        call = self._call(request)
        if len(self.sockets) >= MAX_SOCKETS:
            self.sockets_refused += 1
            return self._respond("socket", self.refusal(call, Why.BUSY))
        wire = web.WebSocketResponse(max_msg_size=MAX_BODY_BYTES, autoping=True, compress=False)
        if not wire.can_prepare(request):
            return self._respond("socket", self.refusal(call, Why.UNKNOWN))
        await wire.prepare(request)
        socket = Socket(wire, request.transport, self.faults, call.path)
        self.sockets.add(socket)
        try:
            await handler(socket, call)
        except (SocketClosed, ConnectionError):
            pass
        except Exception as error:  # noqa: BLE001 - one connection must not end the others
            text = f"{type(error).__name__}: {error}"
            log.error("gateway_socket_failed", venue=self.venue, path=call.path, error=text)
        finally:
            self.sockets.discard(socket)
            await socket.end()
        return wire


def _cut(request: web.Request) -> None:
    transport = request.transport
    if transport is not None:
        transport.abort()
