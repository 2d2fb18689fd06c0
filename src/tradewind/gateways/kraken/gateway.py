"""The Kraken gateway: REST under /0, WebSocket v2 under /v2, on one loopback port."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from tradewind.gateways.exchange import Exchange
from tradewind.gateways.faults import Action, Fault
from tradewind.gateways.kraken import errors
from tradewind.gateways.kraken.account import AccountCalls
from tradewind.gateways.kraken.auth import RIGHTS
from tradewind.gateways.kraken.board import Boards, Listener
from tradewind.gateways.kraken.desk import Desk, KrakenOptions
from tradewind.gateways.kraken.errors import KrakenError, invalid
from tradewind.gateways.kraken.methods import Methods
from tradewind.gateways.kraken.numbers import rfc3339
from tradewind.gateways.kraken.orders import OrderCalls
from tradewind.gateways.kraken.parameters import Fields, read_form, read_json
from tradewind.gateways.kraken.public import PublicCalls
from tradewind.gateways.kraken.session import Session, fault_text, with_unknown_state
from tradewind.gateways.kraken.trading import Trading
from tradewind.gateways.server import (
    LOOPBACK_CLIENT,
    MAX_COUNTED,
    Answer,
    Call,
    Gateway,
    Route,
    Socket,
    SocketRoute,
    Why,
)

LOOKS_PER_BEAT: Final = 4
MAX_NAME: Final = 200
STATUS_PATH: Final = "/0/public/SystemStatus"
WORDS: Final = {
    Why.UNKNOWN: errors.UNKNOWN_METHOD,
    Why.TOO_LARGE: errors.ARGUMENTS,
    Why.BUSY: errors.BUSY,
    Why.FAILED: errors.INTERNAL,
    Why.STOPPED: errors.UNAVAILABLE,
}
ERROR_PAGE: Final = b"<html><body>error</body></html>"

_ENCODER: Final = msgspec.json.Encoder()


def failed(text: str) -> Answer:
    """An error in the venue's envelope; its status is 200."""
    return Answer(200, _ENCODER.encode({"error": [text]}))


class KrakenGateway(Gateway):
    """Serves one exchange as Kraken's spot venue. Build with `build`."""

    venue: ClassVar[str] = "kraken"

    def __init__(self, exchange: Exchange, options: KrakenOptions) -> None:
        """Raises `UnknownTier`, `ValueError` (two markets share a name), `OSError` (nonce file)."""
        super().__init__(exchange)
        self.options = options
        self.desk = Desk(exchange, options)
        self.boards = Boards(self.desk)
        trading = Trading(self.desk)
        self._public = PublicCalls(self.desk, self.boards).handlers
        self._account = AccountCalls(self.desk).handlers
        self._orders = OrderCalls(self.desk, trading).handlers
        self._methods = Methods(self.desk, trading)
        self._sessions: set[Session] = set()
        self._beating: asyncio.Task[None] | None = None

    # ---- frame -----------------------------------------------------------------------------------------

    def routes(self) -> Sequence[Route]:
        """Every call of the table, GET and POST for the public ones."""
        public = [(verb, name) for name in self._public for verb in ("GET", "POST")]
        found = [Route(verb, f"/0/public/{name}", self._answer_public(name)) for verb, name in public]
        return [*found, *(Route("POST", f"/0/private/{name}", self._answer_private(name)) for name in RIGHTS)]

    def socket_routes(self) -> Sequence[SocketRoute]:
        """Public and private channels share one path."""
        return [SocketRoute("/v2", self._talk_v2)]

    def refusal(self, call: Call, why: Why, action: Action | None = None) -> Answer:
        """Errors of the frame in the venue's words. A status that a fault plan wants has no envelope, as from
        the proxy in front of the venue.
        """
        if action is None:
            return failed(WORDS.get(why, errors.INTERNAL))
        if action.fault is Fault.STATUS:
            return Answer(action.rule.status, ERROR_PAGE, content_type="text/html")
        now_ns = self.desk.now_ns()
        if action.fault is Fault.MAINTENANCE and call.path == STATUS_PATH:
            result = {"status": "maintenance", "timestamp": rfc3339(now_ns, 0)}
            return Answer(200, _ENCODER.encode({"error": [], "result": result}))
        return failed(fault_text(action, now_ns))

    async def started(self) -> None:
        """Heartbeats begin."""
        self._beating = asyncio.create_task(self._beat(), name="kraken-heartbeat")

    async def closing(self) -> None:
        """Heartbeats end; boards and watches hear nothing more; the nonce file is complete."""
        if self._beating is not None:
            self._beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beating
        self.boards.close()
        self.desk.close()

    async def _beat(self) -> None:
        """Heartbeats of idle connections, and changes of state."""
        while True:
            await asyncio.sleep(self.options.heartbeat_s / LOOKS_PER_BEAT)
            for session in tuple(self._sessions):
                session.beat(self.options.heartbeat_s)
            self.boards.notice(_status_frame)

    # ---- REST ------------------------------------------------------------------------------------------

    def _answer_public(self, name: str) -> Callable[[Call], Awaitable[Answer]]:
        handler = self._public[name]

        async def answer(call: Call) -> Answer:
            try:
                if self.options.limits_public:
                    self.desk.limits.public(LOOPBACK_CLIENT, self.desk.now_ns())
                values = read_form(call.raw_query)
                for field, value in _body(call).items():
                    if values.setdefault(field, value) != value:
                        raise invalid(field)
                return self._done(call, handler(Fields(values)))
            except KrakenError as error:
                return failed(error.text)

        return answer

    def _answer_private(self, name: str) -> Callable[[Call], Awaitable[Answer]]:
        async def answer(call: Call) -> Answer:
            try:
                return self._done(call, await self._private(name, call))
            except KrakenError as error:
                return failed(error.text)

        return answer

    async def _private(self, name: str, call: Call) -> Any:
        """Fields come from what was signed: the body, or the query string of a request without a body."""
        desk, now_ns = self.desk, self.desk.now_ns()
        data = call.body or call.raw_query.encode()
        malformed: KrakenError | None = None
        values: Mapping[str, Any] = {}
        try:
            values = _body(call) if call.body else read_form(call.raw_query)
            nonce = Fields(values).text("nonce")
        except KrakenError as error:
            malformed, nonce = error, ""
        key_name, given = call.headers.get("API-Key", ""), call.headers.get("API-Sign", "")
        if malformed is not None and self.exchange.keys.find(key_name) is not None:
            raise malformed
        key = await desk.authenticator.check(
            name, call.path, key_name=key_name, given=given, nonce=nonce, body=data, now_ns=now_ns
        )
        if desk.options.limits_private:
            desk.limits.private(key.key, key.account, name, now_ns)
        fields = Fields(values)
        reader = self._account.get(name)
        if reader is not None:
            return reader(key, fields, call.wants(Fault.STALE_STATUS) is not None)
        return await self._orders[name](key, fields, call.wants(Fault.LOSE_ORDER) is not None)

    def _done(self, call: Call, result: Any) -> Answer:
        body = _ENCODER.encode({"error": [], "result": result})
        return Answer(200, with_unknown_state(body) if call.wants(Fault.UNKNOWN_ENUM) is not None else body)

    # ---- WebSocket -------------------------------------------------------------------------------------

    def _count_unknown(self, method: str) -> None:
        name = f"ws {method}"[:MAX_NAME]
        if name in self.unknown_calls or len(self.unknown_calls) < MAX_COUNTED:
            self.unknown_calls[name] = self.unknown_calls.get(name, 0) + 1

    async def _talk_v2(self, socket: Socket, call: Call) -> None:
        session = Session(self.desk, self.boards, self._methods, socket, self._count_unknown)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)


def _status_frame(listener: Listener) -> bytes:
    assert isinstance(listener, Session)
    return listener.status_frame()


def _body(call: Call) -> dict[str, Any]:
    """Fields of the body: JSON when it says so, else a form. Raises `KrakenError`."""
    if not call.body:
        return {}
    if "json" in call.headers.get("Content-Type", "").lower():
        return read_json(call.body)
    try:
        return read_form(call.body.decode())
    except UnicodeDecodeError:
        raise invalid() from None


def build(exchange: Exchange, options: KrakenOptions | None = None) -> KrakenGateway:
    """A gateway; without options it is the strictest: tier pro for all, nonces beside the journal.

    Raises:
        UnknownTier: a tier that the venue does not have. OSError: the nonce file cannot be written.
    """
    return KrakenGateway(exchange, options or KrakenOptions())
