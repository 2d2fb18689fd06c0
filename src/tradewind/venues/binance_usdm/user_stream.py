"""Private events of a USD-M account: the listen key that names the stream, and the stream (T6.6).

The key lives an hour behind its latest POST or PUT. Every connection asks for it anew, which also prolongs
it; in between it is kept alive every half of its life. When the venue says that it has ended, or does not
know it any more, the connections are made anew with another key, and every one of them is reconciled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog

from tradewind.venues.binance.private_messages import ErrorBody
from tradewind.venues.binance.rest import BinanceRest, Failed
from tradewind.venues.binance.shapes import SHAPES, name_of
from tradewind.venues.binance.user_stream import EventStream
from tradewind.venues.binance_usdm.account import UsdmMirror
from tradewind.venues.binance_usdm.private_messages import (
    EVENT_TYPES,
    AccountUpdate,
    ConfigUpdate,
    ListenKeyBody,
    MarginCall,
    OrderTradeUpdate,
)
from tradewind.venues.binance_usdm.wire import NO_LISTEN_KEY
from tradewind.venues.facts import facts_of
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.frame_watch import FrameWatch
from tradewind.venues.market_data import DecodeError
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.errors import TransportError
from tradewind.venues.transport.private_link import LinkRefused, PrivateLimits, PrivateLink, Transition
from tradewind.venues.transport.websocket import LinkLimits, RawFrame

log = structlog.get_logger(__name__)
EXPIRED = "listenKeyExpired"
RETRY_S = 60.0
"""Behind a failed prolongation; there is time for 29 of them."""
END_WITHIN_S = 2.0
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    name: msgspec.json.Decoder(kind) for name, kind in EVENT_TYPES.items()
}


class ListenKeys:
    """The listen key of one account. `on_lost(reason)` is called when the venue does not know it any more."""

    def __init__(
        self, rest: BinanceRest, facts: str, on_lost: Callable[[str], None], every_s: float | None = None
    ) -> None:
        known = facts_of(facts)
        self.every_s = float(known["listen_key_s"].value) / 2 if every_s is None else every_s
        self.key = ""
        self.prolonged = 0
        self._rest, self._on_lost = rest, on_lost
        self._weight = int(known["weights"].value["listen_key"])

    async def ask(self) -> str:
        """The key that lives, or a new one. Raises `TransportError` when the venue gives none."""
        answer = await self._rest.keyed("POST", "listenKey", ListenKeyBody, weight=self._weight)
        if isinstance(answer, Failed):
            raise TransportError(f"listenKey: {answer.reason}")
        if not answer.listenKey:
            raise TransportError("listenKey: the answer has none")
        self.key = answer.listenKey
        return self.key

    async def run(self) -> None:
        """Keep the key alive until cancelled."""
        wait_s = self.every_s
        while True:
            await asyncio.sleep(wait_s)
            wait_s = self.every_s if await self.keep() else min(RETRY_S, self.every_s)

    async def keep(self) -> bool:
        """Prolong the key once. False: not now."""
        if not self.key:
            return True
        answer = await self._rest.keyed("PUT", "listenKey", ListenKeyBody, weight=self._weight)
        if isinstance(answer, Failed):
            log.warning("binance_usdm_listen_key", reason=answer.reason)
            if answer.code == NO_LISTEN_KEY:
                self.key = ""
                self._on_lost("the venue does not know the listen key")
            return False
        self.prolonged += 1
        if answer.listenKey and answer.listenKey != self.key:
            self._on_lost("the venue has another listen key")
        return True

    async def end(self) -> None:
        """Give the key up. It would end by itself; nothing depends on the answer."""
        if not self.key:
            return
        self.key = ""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN_S):
                await self._rest.keyed(
                    "DELETE", "listenKey", msgspec.Raw, weight=self._weight, timeout_s=END_WITHIN_S
                )


class StreamAnswer(msgspec.Struct, gc=False):
    """Enough of a frame to tell an answer from an event, and a wrapped event from a bare one."""

    id: int | None = None
    e: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")
    error: ErrorBody | None = None


class UsdmStream(EventStream):
    """USD-M's dialect of a private link: the address is the proof of who we are."""

    decoders = _DECODERS
    mirror: UsdmMirror

    def __init__(
        self,
        url: str,
        keys: ListenKeys,
        rest: BinanceRest,
        mirror: UsdmMirror,
        *,
        reconcile: Callable[[Any, int], Awaitable[str]],
        on_transition: Callable[[Any, Transition], None],
        on_shutdown: Callable[[Any, str], None],
        name: str = "binance-usdm private",
        limits: PrivateLimits | None = None,
        socket_limits: LinkLimits | None = None,
        policy: BackoffPolicy | None = None,
    ) -> None:
        super().__init__(
            rest, mirror, reconcile=reconcile, on_transition=on_transition, on_shutdown=on_shutdown
        )
        self._url, self._keys = url, keys
        self._named = ""
        self._frame = msgspec.json.Decoder(StreamAnswer)
        self.link = PrivateLink(
            name, self._address, self, limits=limits, socket_limits=socket_limits, policy=policy
        )
        self.link.watch = FrameWatch(SHAPES, name_of)

    async def _address(self) -> str:
        self._named = await self._keys.ask()
        return f"{self._url}/{self._named}"

    # ---- steps of the link -------------------------------------------------------------------------------

    async def authenticate(self, epoch: int) -> None:
        """The address did it, unless another connection got another key meanwhile."""
        self.fresh()
        if self._named != self._keys.key:
            raise LinkRefused("the listen key was replaced meanwhile")

    async def subscribe(self, epoch: int) -> None:
        """The address did it; the answer to a question proves that somebody is there."""
        await self.ping()

    async def ping(self) -> None:
        """A question whose answer proves that the venue's own loop answers."""
        frame = await self.exchange("LIST_SUBSCRIPTIONS", [], 0)
        error = msgspec.json.decode(frame, type=StreamAnswer).error
        if error is not None:
            raise LinkRefused(f"LIST_SUBSCRIPTIONS: {error.code} {error.msg}"[:200])

    # ---- frames ------------------------------------------------------------------------------------------

    def on_frame(self, frame: RawFrame) -> None:
        """One frame. Raises `DecodeError`."""
        try:
            head = self._frame.decode(frame.payload)
            if bytes(head.data):
                self.event(bytes(head.data))
            elif head.e is not None:
                self.event(frame.payload)
            elif head.id is not None:
                self.link.answered(head.id, frame.payload)
            else:
                raise DecodeError("private", "neither an event nor an answer")
        except UNREADABLE as error:
            raise DecodeError("private", str(error)[:200]) from error

    def tell(self, kind: str, event: Any) -> None:
        """Hand a known event to the mirror."""
        match event:
            case OrderTradeUpdate():
                self.mirror.report(event.o)
            case AccountUpdate():
                self.mirror.update(event)
            case MarginCall():
                self.mirror.called(event)
            case ConfigUpdate():
                self._configured(event)
            case _ if kind == EXPIRED:
                self.link.degrade("the listen key has expired")
            case _:  # told in full by other events
                self.mirror.note_word("event", kind)

    def _configured(self, event: ConfigUpdate) -> None:
        """Another leverage is another margin; assets that stand in for each other are not supported."""
        if event.ai is not None and event.ai.get("j"):
            self.problem("multi-assets mode was switched on")
        self.mirror.on_doubtful_balance()
