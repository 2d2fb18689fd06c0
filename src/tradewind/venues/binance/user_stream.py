"""Private events of an account over one connection of the WebSocket API (T6.6).

An Ed25519 key logs the session on and subscribes; an HMAC key subscribes with a signature of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

import msgspec

from tradewind.venues.binance.account import Mirror
from tradewind.venues.binance.encode import socket_signed
from tradewind.venues.binance.private_messages import (
    EVENT_TYPES,
    AccountPosition,
    BalanceUpdate,
    EventHeader,
    ExecutionReport,
    ExternalLock,
    ListStatus,
    SocketAnswer,
    SocketFrame,
)
from tradewind.venues.binance.refusals import KEY_CODES
from tradewind.venues.binance.rest import OK, BinanceRest
from tradewind.venues.binance.rows import MS
from tradewind.venues.binance.shapes import SHAPES, name_of
from tradewind.venues.facts import facts_of
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.frame_watch import FrameWatch
from tradewind.venues.limits import Denied, Priority
from tradewind.venues.limits.binance import Call
from tradewind.venues.market_data import DecodeError
from tradewind.venues.transport.account_mirror import Unmapped
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.private_link import (
    LinkRefused,
    NoReply,
    PrivateLimits,
    PrivateLink,
    Transition,
)
from tradewind.venues.transport.websocket import LinkLimits, RawFrame

MAX_PROBLEMS = 64
TERMINATED = "eventStreamTerminated"
SHUTDOWN = "serverShutdown"
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    name: msgspec.json.Decoder(kind) for name, kind in EVENT_TYPES.items()
}


class EventStream:
    """A private link with events of one account. It tells the mirror what it hears; after an event that it
    cannot read nothing new is risked until a reconciliation has looked.

    `on_shutdown(stream, reason)` is called when the venue says that this connection will end: another one has
    to be opened before it does.
    """

    decoders: ClassVar[Mapping[str, msgspec.json.Decoder[Any]]]
    """Every event that this build knows."""
    link: PrivateLink

    def __init__(
        self,
        rest: BinanceRest,
        mirror: Mirror,
        *,
        reconcile: Callable[[Any, int], Awaitable[str]],
        on_transition: Callable[[Any, Transition], None],
        on_shutdown: Callable[[Any, str], None],
    ) -> None:
        self.mirror = mirror
        self.problems: list[str] = []
        """Events of this connection that could not be mapped: the account may hold more than the mirror."""
        self.connected_ns = 0
        self._rest = rest
        self._reconcile, self._on_transition, self._on_shutdown = reconcile, on_transition, on_shutdown
        self._weights = facts_of(mirror.directory.wire.facts)["weights"].value
        self._header = msgspec.json.Decoder(EventHeader)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.link.phase})"

    def fresh(self) -> None:
        """A new connection: nothing is wrong with it yet."""
        self.problems.clear()
        self.connected_ns = self._rest.clock.venue_ns()

    async def exchange(self, method: str, params: object, weight: int) -> bytes:
        """The frame that answers a request. Raises `LinkRefused` when there is none."""
        if weight:
            verdict = await self._rest.gate.acquire(Priority.P2, [Call(weight=weight)])
            if isinstance(verdict, Denied):
                raise LinkRefused(f"{method}: {verdict.reason}")
        reply = await self.link.request(
            lambda number: msgspec.json.encode({"id": number, "method": method, "params": params}),
            self.link.limits.step_timeout_s,
        )
        if isinstance(reply, NoReply):
            raise LinkRefused(f"{method}: {reply.reason}")
        return reply.frame

    # ---- steps of the link -------------------------------------------------------------------------------

    async def snapshot(self, epoch: int) -> None:
        """The venue sends none: the reconciliation reads everything."""

    async def reconcile(self, epoch: int) -> str:
        """See `BinanceConnector`."""
        return await self._reconcile(self, epoch)

    def on_transition(self, transition: Transition) -> None:
        """The link moved."""
        self._on_transition(self, transition)

    # ---- events ------------------------------------------------------------------------------------------

    def event(self, raw: bytes) -> None:
        """One event. Raises `msgspec.DecodeError` when it cannot be read."""
        kind = self._header.decode(raw).e
        decoder = self.decoders.get(kind)
        if decoder is None:
            # it may be about money: until a reconciliation has looked, nothing new is risked
            self.mirror.note_word("event", kind)
            self.problem(f"event {kind[:40]!r} is not known")
            return
        event = decoder.decode(raw)
        try:
            self.tell(kind, event)
        except (Unmapped, DecodeError) as error:
            self.problem(str(error)[:200])

    def tell(self, kind: str, event: Any) -> None:
        """Hand a known event to the mirror. Raises `Unmapped`."""
        raise NotImplementedError

    def problem(self, text: str) -> None:
        """Something of this connection cannot be mapped."""
        first = not self.problems
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(text)
        if first:
            self.link.degrade(f"cannot be mapped: {text}")


class UserStream(EventStream):
    """Spot's dialect of a private link."""

    decoders = _DECODERS

    def __init__(
        self,
        url: str,
        rest: BinanceRest,
        mirror: Mirror,
        *,
        reconcile: Callable[[UserStream, int], Awaitable[str]],
        on_transition: Callable[[UserStream, Transition], None],
        on_shutdown: Callable[[UserStream, str], None],
        name: str = "binance private",
        limits: PrivateLimits | None = None,
        socket_limits: LinkLimits | None = None,
        policy: BackoffPolicy | None = None,
    ) -> None:
        super().__init__(
            rest, mirror, reconcile=reconcile, on_transition=on_transition, on_shutdown=on_shutdown
        )
        self.subscription: int | None = None
        self.link = PrivateLink(
            name, lambda: url, self, limits=limits, socket_limits=socket_limits, policy=policy
        )
        self.link.watch = FrameWatch(SHAPES, name_of)
        self._frame = msgspec.json.Decoder(SocketFrame)

    # ---- requests ----------------------------------------------------------------------------------------

    async def call(self, method: str, params: dict[str, Any], weight: int) -> SocketAnswer:
        """One request. Raises `LinkRefused` when there is no answer or it is an error."""
        frame = await self.exchange(method, params, weight)
        try:
            answer = msgspec.json.decode(frame, type=SocketAnswer)
        except UNREADABLE as problem:
            raise LinkRefused(f"{method}: {problem}"[:200]) from problem
        error = answer.error
        text = f"{error.code} {error.msg}"[:200] if error is not None else ""
        self._rest.note_socket(answer.rateLimits, answer.status, text, None)
        if answer.status != OK or error is not None:
            if error is not None and error.code in KEY_CODES:
                self._rest.lane.signature_refused()
            raise LinkRefused(f"{method}: {answer.status} {text}")
        return answer

    def _signed(self) -> dict[str, Any]:
        if self._rest.lane.quarantined:
            raise LinkRefused(f"the key is out of use: {self._rest.lane.quarantined}")
        return dict(socket_signed(self._rest.key, self._rest.clock.venue_ns() // MS, self._rest.window_ms))

    # ---- steps of the link -------------------------------------------------------------------------------

    async def authenticate(self, epoch: int) -> None:
        """A session, where the key can have one."""
        self.fresh()
        self.subscription = None
        if self._rest.key.can_log_on:
            weight = int(self._weights["socket_session"]) + int(self._weights["socket_connect"])
            await self.call("session.logon", self._signed(), weight)

    async def subscribe(self, epoch: int) -> None:
        """Events of the account."""
        if self._rest.key.can_log_on:
            answer = await self.call("userDataStream.subscribe", {}, int(self._weights["socket_subscribe"]))
        else:
            weight = int(self._weights["socket_subscribe"]) + int(self._weights["socket_connect"])
            answer = await self.call("userDataStream.subscribe.signature", self._signed(), weight)
        try:
            result = msgspec.json.decode(bytes(answer.result) or b"{}", type=dict[str, Any])
        except UNREADABLE as error:
            raise LinkRefused(f"subscribe: {error}"[:200]) from error
        number = result.get("subscriptionId")
        self.subscription = number if isinstance(number, int) else None

    async def ping(self) -> None:
        """An application ping; its answer proves that the venue's own loop answers."""
        await self.call("ping", {}, int(self._weights["socket_ping"]))

    # ---- frames ------------------------------------------------------------------------------------------

    def on_frame(self, frame: RawFrame) -> None:
        """One frame. Raises `DecodeError`."""
        try:
            head = self._frame.decode(frame.payload)
            raw = bytes(head.event) or bytes(head.data)
            if raw:
                self.event(raw)
            elif head.e is not None:
                self.event(frame.payload)
            elif head.status is not None:
                number = head.id if isinstance(head.id, int) else None
                self.link.answered(number, frame.payload)
            else:
                raise DecodeError("private", "neither an event nor an answer")
        except UNREADABLE as error:
            raise DecodeError("private", str(error)[:200]) from error

    def tell(self, kind: str, event: Any) -> None:
        """Hand a known event to the mirror."""
        match event:
            case ExecutionReport():
                self.mirror.execution(event)
            case AccountPosition():
                self.mirror.position(event)
            case BalanceUpdate():
                self.mirror.moved(event)
            case ExternalLock():
                self.mirror.locked(event)
            case ListStatus():
                self.mirror.list_changed(event)
            case _ if kind == TERMINATED:
                self.link.degrade("the venue ended the event stream")
            case _:
                self._on_shutdown(self, "the venue announced that this server goes")
