"""The authenticated WebSocket v2 connection: token, channels with snapshots, requests, order of messages
(T6.5).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec

from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.kraken import encode
from tradewind.venues.kraken.account import EXECUTED, Mirror
from tradewind.venues.kraken.directory import state_of
from tradewind.venues.kraken.private_messages import (
    BalancesMessage,
    Execution,
    ExecutionsMessage,
    MethodAnswer,
    Pong,
    SocketHeader,
    StatusMessage,
    Token,
)
from tradewind.venues.kraken.refusals import INVALID_SESSION
from tradewind.venues.kraken.rest import Failed, KrakenRest
from tradewind.venues.kraken.timestamps import rfc3339_ns
from tradewind.venues.limits import Priority
from tradewind.venues.market_data import DecodeError
from tradewind.venues.protocol import VenueState
from tradewind.venues.transport.account_mirror import TradeFact, Unmapped
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.clock import ClockGuard
from tradewind.venues.transport.private_link import (
    LinkRefused,
    NoReply,
    Phase,
    PrivateLimits,
    PrivateLink,
    Reply,
    Transition,
)
from tradewind.venues.transport.websocket import LinkLimits, RawFrame

CHANNELS = ("executions", "balances")
GAP_WAIT_S = 2.0
"""How long a later message waits for the missing one before the connection is made anew."""
MAX_HELD_MESSAGES = 256
MAX_PROBLEMS = 64
SNAPSHOT_TRADES = 50
TOKEN_SHARE = 2 / 3
"""Of its life: a token that is older is not used on a new connection."""


class ChannelOrder:
    """Messages of one channel in the order of their `sequence`; repeated ones are dropped."""

    def __init__(self) -> None:
        self.repeated = 0
        self.expected: int | None = None
        self.held: dict[int, Any] = {}

    def accept(self, sequence: int | None, whole: bool, message: Any) -> list[Any]:
        """What may be read now, in order. Raises `OverflowError` when too much waits for a missing one."""
        if sequence is None:
            return [message]
        if whole or self.expected is None:
            self.held.clear()
            self.expected = sequence
        if sequence < self.expected or sequence in self.held:
            self.repeated += 1
            return []
        if len(self.held) >= MAX_HELD_MESSAGES:
            raise OverflowError(f"more than {MAX_HELD_MESSAGES} messages wait for number {self.expected}")
        self.held[sequence] = message
        ready = []
        while self.expected in self.held:
            ready.append(self.held.pop(self.expected))
            self.expected += 1
        return ready

    @property
    def gap(self) -> bool:
        """Whether a message is missing."""
        return bool(self.held)


class Snapshot:
    """What the snapshots of one connection said."""

    def __init__(self) -> None:
        self.open_ids: set[str] = set()
        self.trade_ids: set[str] = set()
        self.facts: dict[str, TradeFact] = {}
        """Those of the executions whose row says everything, by id."""
        self.arrived = {channel: asyncio.Event() for channel in CHANNELS}


class PrivateSocket:
    """Kraken's dialect of a private link. Tells the mirror what it hears."""

    def __init__(
        self,
        url: str,
        rest: KrakenRest,
        mirror: Mirror,
        reconcile: Callable[[int], Awaitable[str]],
        on_transition: Callable[[Transition], None],
        *,
        limits: PrivateLimits | None = None,
        socket_limits: LinkLimits | None = None,
        policy: BackoffPolicy | None = None,
    ) -> None:
        self.mirror = mirror
        self.system = VenueState.UNKNOWN
        self.snapshot_of = Snapshot()
        self.problems: list[str] = []
        """Rows of this connection that could not be mapped: the account may hold more than the mirror."""
        self.unknown_orders: list[str] = []
        """Orders that a row named without describing them: they have to be asked for."""
        self.first = True
        """Until the first reconciliation, snapshots tell how things are, not what happens."""
        self.clock = ClockGuard(resolution_ns=1_000)
        self.repeated_messages = 0
        self.gaps = 0
        self.control_proof_ns = time.monotonic_ns()
        """When the venue last answered a request of ours on this path (T8.2), on the steady clock."""
        self.events_proof_ns = time.monotonic_ns()
        """When the private channels last said anything, on the steady clock."""
        self.on_unknown: Callable[[], None] = lambda: None
        self.link = PrivateLink(
            "kraken private", lambda: url, self, limits=limits, socket_limits=socket_limits, policy=policy
        )
        self._rest, self._reconcile, self._on_transition = rest, reconcile, on_transition
        self._token = ""
        self._token_until_s = 0.0
        self._order = {channel: ChannelOrder() for channel in CHANNELS}
        self._gap_timers: dict[str, asyncio.TimerHandle] = {}
        self._header = msgspec.json.Decoder(SocketHeader)
        self._execution = msgspec.json.Decoder(Execution)

    def __repr__(self) -> str:
        return f"PrivateSocket({self.link.phase})"

    # ---- requests ----------------------------------------------------------------------------------------

    async def call(
        self, name: str, make: Callable[[str], dict[str, Any]], timeout_s: float, epoch: int | None = None
    ) -> MethodAnswer | NoReply:
        """One method of the authenticated connection; `make(token)` gives its parameters. What changes
        something names its epoch, which must hold in the moment of the write.
        """
        fence = "" if epoch is None else self._rest.fence(epoch)
        if fence:
            return NoReply(fence, False)
        reply = await self.link.request(
            lambda number: encode.method(name, number, make(self._token)), timeout_s
        )
        if isinstance(reply, NoReply):
            return reply
        try:
            answer = msgspec.json.decode(reply.frame, type=MethodAnswer)
        except UNREADABLE as error:
            return NoReply(f"{name}: {error}"[:200], True)
        self.control_proof_ns = time.monotonic_ns()
        if answer.error is not None and answer.error.startswith(INVALID_SESSION):
            self._token_until_s = 0.0
            self.link.degrade("the token is not valid any more")
        return answer

    # ---- steps of the link -------------------------------------------------------------------------------

    async def authenticate(self, epoch: int) -> None:
        """A token for this connection: the last one while it is young, for a new one costs a point."""
        if time.monotonic() >= self._token_until_s:
            asked_s = time.monotonic()
            token = await self._rest.read("GetWebSocketsToken", Token, cls=Priority.P2)
            if isinstance(token, Failed):
                raise LinkRefused(f"no token: {token.reason}")
            self._token = token.token
            self._token_until_s = asked_s + token.expires * TOKEN_SHARE
        self.snapshot_of = Snapshot()
        self.problems.clear()
        self.unknown_orders.clear()
        for channel in CHANNELS:
            self._order[channel] = ChannelOrder()

    async def subscribe(self, epoch: int) -> None:
        """Both private channels, with their snapshots."""
        wishes: dict[str, dict[str, Any]] = {
            "executions": {
                "snap_orders": True, "snap_trades": True, "order_status": True, "ratecounter": True,
            },
            "balances": {"snapshot": True},
        }  # fmt: skip
        for channel, wish in wishes.items():
            answer = await self.call(
                "subscribe",
                lambda token, channel=channel, wish=wish: {"channel": channel, "token": token, **wish},  # type: ignore[misc]
                self.link.limits.step_timeout_s,
            )
            if isinstance(answer, NoReply):
                raise LinkRefused(f"{channel}: {answer.reason}")
            if not answer.success:
                self._token_until_s = 0.0  # whatever it was, the next connection begins afresh
                raise LinkRefused(f"{channel}: {answer.error or 'refused without a reason'}")
        self.link.socket.expects_heartbeats = True  # about one a second behind the first subscription

    async def snapshot(self, epoch: int) -> None:
        """Until both snapshots have arrived."""
        for arrived in self.snapshot_of.arrived.values():
            await arrived.wait()

    async def reconcile(self, epoch: int) -> str:
        """See `KrakenVenue`."""
        return await self._reconcile(epoch)

    async def ping(self) -> None:
        """An application ping; its pong proves that the venue's own loop answers, and tells its time (T6.5,
        T10.5).
        """
        begin_ns = self.clock.begin()
        reply = await self.link.request(
            lambda number: msgspec.json.encode({"method": "ping", "req_id": number}),
            self.link.limits.pong_within_s,
        )
        if not isinstance(reply, Reply):
            raise LinkRefused(reply.reason)
        pong = msgspec.json.decode(reply.frame, type=Pong)
        if pong.time_out is not None:
            self.clock.measured(rfc3339_ns(pong.time_out), begin_ns)

    def on_transition(self, transition: Transition) -> None:
        """The link moved."""
        if self.link.phase is Phase.DOWN:
            self.system = VenueState.UNKNOWN
        if not self.link.can_send:
            for timer in self._gap_timers.values():
                timer.cancel()
            self._gap_timers.clear()
        self._on_transition(transition)

    # ---- frames ------------------------------------------------------------------------------------------

    def on_frame(self, frame: RawFrame) -> None:
        """One frame. Raises `DecodeError`."""
        payload = frame.payload
        try:
            header = self._header.decode(payload)
            if header.channel == "executions":
                self._in_order(header, msgspec.json.decode(payload, type=ExecutionsMessage))
            elif header.channel == "balances":
                self._in_order(header, msgspec.json.decode(payload, type=BalancesMessage))
            elif header.channel == "status":
                for row in msgspec.json.decode(payload, type=StatusMessage).data:
                    self.system = state_of(row.system)
            elif header.method == "pong":
                self.link.answered(msgspec.json.decode(payload, type=Pong).req_id, payload)
            elif header.method is not None:
                self.link.answered(header.req_id, payload)
        except UNREADABLE as error:
            raise DecodeError("private", str(error)[:200]) from error

    def _in_order(self, header: SocketHeader, message: ExecutionsMessage | BalancesMessage) -> None:
        channel = header.channel or ""
        self.events_proof_ns = time.monotonic_ns()
        order = self._order[channel]
        before = order.repeated
        try:
            ready = order.accept(message.sequence, message.type == "snapshot", message)
        except OverflowError as error:
            self.link.degrade(f"{channel}: {error}")
            return
        self.repeated_messages += order.repeated - before
        for one in ready:
            self._message(channel, one)
        timer = self._gap_timers.pop(channel, None)
        if timer is not None:
            timer.cancel()
        if order.gap:
            self._gap_timers[channel] = asyncio.get_running_loop().call_later(
                GAP_WAIT_S, self._still_missing, channel, order
            )

    def _still_missing(self, channel: str, order: ChannelOrder) -> None:
        if order.gap and self._order[channel] is order:
            self.gaps += 1
            self.link.degrade(f"message {order.expected} of {channel} is missing")

    def _message(self, channel: str, message: ExecutionsMessage | BalancesMessage) -> None:
        whole = message.type == "snapshot"
        self.mirror.quiet = whole and self.first
        try:
            if isinstance(message, ExecutionsMessage):
                for raw in message.data:
                    self._execution_row(raw, whole)
            else:
                for row in message.data:
                    self._mapped(lambda row=row: self.mirror.balance(row))  # type: ignore[misc]
        finally:
            self.mirror.quiet = False
        if whole:
            self.snapshot_of.arrived[channel].set()

    def _execution_row(self, raw: msgspec.Raw, whole: bool) -> None:
        row = self._execution.decode(raw)
        if whole and row.exec_type == EXECUTED:
            # executions of the past: the reconciliation reads the missed ones with their true remainders
            self.snapshot_of.trade_ids.add(row.exec_id or "")
            with suppress(Unmapped, DecodeError):
                fact = self.mirror.fact_of(row)
                self.snapshot_of.facts[fact.trade_id] = fact
            return
        if whole:
            self.snapshot_of.open_ids.add(row.order_id)

        def tell() -> None:
            unknown = self.mirror.execution(row)
            known = self.mirror.get(row.order_id)
            if row.ratecount is not None and known is not None:
                now_ns = time.monotonic_ns()
                self._rest.limits.engine_report(known.symbol, row.ratecount, now_ns, now_ns)
            if unknown is not None and len(self.unknown_orders) < MAX_HELD_MESSAGES:
                self.unknown_orders.append(unknown)
                self.on_unknown()

        self._mapped(tell)

    def _mapped(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except (Unmapped, DecodeError) as error:
            if len(self.problems) < MAX_PROBLEMS:
                self.problems.append(str(error)[:200])
