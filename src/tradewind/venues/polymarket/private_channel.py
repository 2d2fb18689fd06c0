"""/ws/user as a private link: the key goes in the first message, a pong proves that it was taken (T6.7)."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.frame_watch import FrameWatch
from tradewind.venues.market_data import DecodeError
from tradewind.venues.polymarket.messages import OrderRow, TradeRow, Unmapped, ms_to_ns
from tradewind.venues.polymarket.mirror import Mirror
from tradewind.venues.polymarket.rest import Credentials
from tradewind.venues.polymarket.shapes import SHAPES, name_of
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.private_link import (
    LinkRefused,
    NoReply,
    PrivateLimits,
    PrivateLink,
    Transition,
)
from tradewind.venues.transport.websocket import LinkLimits, RawFrame

MAX_PROBLEMS: Final = 64


class Header(msgspec.Struct, frozen=True):
    event_type: str = ""


class PrivateChannel:
    """Polymarket's dialect of a private link. Tells the mirror what it hears."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        mirror: Mirror,
        snapshot: Callable[[int], Awaitable[str]],
        reconcile: Callable[[int], Awaitable[str]],
        *,
        on_transition: Callable[[Transition], None],
        limits: PrivateLimits | None = None,
        socket_limits: LinkLimits | None = None,
        policy: BackoffPolicy | None = None,
    ) -> None:
        self.mirror = mirror
        self.problems: list[str] = []
        """Rows of this connection that could not be mapped: the account may hold more than the mirror."""
        self._credentials = credentials
        self._snapshot, self._reconcile, self._on_transition = snapshot, reconcile, on_transition
        self._awaited: int | None = None
        self.link = PrivateLink(
            "polymarket private", lambda: url, self, limits=limits, socket_limits=socket_limits, policy=policy
        )
        self.link.watch = FrameWatch(SHAPES, name_of)

    def __repr__(self) -> str:
        return f"PrivateChannel({self.link.phase})"

    # ---- steps of the link -------------------------------------------------------------------------------

    async def authenticate(self, epoch: int) -> None:
        """The key itself, for every market. A wrong one closes the connection without a word."""
        self.problems.clear()
        key = self._credentials
        message = {
            "auth": {
                "apiKey": key.key,
                "secret": base64.urlsafe_b64encode(key.secret).decode(),
                "passphrase": key.passphrase,
            },
            "markets": [],
            "type": "user",
        }
        self.link.socket.send_text(msgspec.json.encode(message))

    async def subscribe(self, epoch: int) -> None:
        """There is no acknowledgement: the pong behind the key stands for one."""
        await self.ping()

    async def snapshot(self, epoch: int) -> None:
        """Open orders by REST: the channel tells changes only."""
        problem = await self._snapshot(epoch)
        if problem:
            raise LinkRefused(problem)

    async def reconcile(self, epoch: int) -> str:
        """See `PolymarketVenue`."""
        return await self._reconcile(epoch)

    async def ping(self) -> None:
        """A text PING and its PONG."""

        def encode(number: int) -> bytes:
            self._awaited = number
            return b"PING"

        reply = await self.link.request(encode, self.link.limits.pong_within_s)
        if isinstance(reply, NoReply):
            raise LinkRefused(f"no pong: {reply.reason}")

    # ---- hearing -----------------------------------------------------------------------------------------

    def on_frame(self, frame: RawFrame) -> None:
        """Raises `DecodeError` for what cannot be read."""
        if frame.payload == b"PONG":
            number, self._awaited = self._awaited, None
            self.link.answered(number, frame.payload)
            return
        try:
            kind = msgspec.json.decode(frame.payload, type=Header).event_type
            if kind == "order":
                row = msgspec.json.decode(frame.payload, type=OrderRow, strict=False)
                moment_ns = ms_to_ns(row.timestamp) if row.timestamp else frame.recv_ts_ns
                self.mirror.apply(self.mirror.state_of(row, moment_ns))
            elif kind == "trade":
                trade = msgspec.json.decode(frame.payload, type=TradeRow, strict=False)
                for one in self.mirror.executions(trade):
                    self.mirror.settle(one)
        except Unmapped as error:
            self._problem(str(error))
        except (*UNREADABLE, ArithmeticError) as error:
            raise DecodeError("user", str(error)[:200]) from error

    def _problem(self, text: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(text[:200])

    def on_transition(self, transition: Transition) -> None:
        self._on_transition(transition)
