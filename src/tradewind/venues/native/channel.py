"""The node's stream as a private link: the token goes with the handshake, the account is heard from the last
event that is known (T6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.market_data import DecodeError
from tradewind.venues.native.messages import Event, Header, Pong, Refused, Subscribed
from tradewind.venues.native.mirror import Mirror
from tradewind.venues.native.options import NativeOptions
from tradewind.venues.transport.account_mirror import Unmapped
from tradewind.venues.transport.clock import ClockGuard
from tradewind.venues.transport.private_link import LinkRefused, NoReply, PrivateLink, Transition
from tradewind.venues.transport.websocket import RawFrame

GONE: Final = "EVENTS_GONE"
MAX_GAP_REQUESTS: Final = 8
"""Times in a row that a missing event is asked for before the connection is made anew."""


class Channel:
    """The dialect of a private link. Tells the mirror what it hears."""

    def __init__(
        self,
        mirror: Mirror,
        account: str,
        options: NativeOptions,
        *,
        headers: Callable[[], Mapping[str, str]],
        clock: ClockGuard,
        snapshot: Callable[[], Awaitable[str]],
        reconcile: Callable[[int], Awaitable[str]],
        on_transition: Callable[[Transition], None],
    ) -> None:
        self.mirror, self.account = mirror, account
        self.gone = False
        """Whether the node has forgotten what we missed: the account has to be read."""
        self._clock, self._options = clock, options
        self._snapshot, self._reconcile, self._on_transition = snapshot, reconcile, on_transition
        self._filling: asyncio.Task[None] | None = None
        self.link = PrivateLink(
            "native private",
            lambda: options.stream_url,
            self,
            limits=options.link,
            socket_limits=options.socket,
            policy=options.reconnect,
            headers=headers,
        )

    def __repr__(self) -> str:
        return f"Channel({self.account!r}, {self.link.phase})"

    async def close(self) -> None:
        """End it for good."""
        await self._stop_filling()
        await self.link.close()

    # ---- steps of the link -------------------------------------------------------------------------------

    async def authenticate(self, epoch: int) -> None:
        """The handshake has proven who we are; a pong proves that the node talks."""
        await self._stop_filling()
        await self.ping()

    async def subscribe(self, epoch: int) -> None:
        """The account from the last known event; where that is forgotten, from now on."""
        if self.mirror.number is None:
            problem = await self._snapshot()
            if problem:
                raise LinkRefused(problem)
        self.gone = False
        answer = await self._ask_from(self.mirror.number)
        if isinstance(answer, Refused) and answer.name == GONE:
            self.gone = True
            answer = await self._ask_from(None)
        if isinstance(answer, Refused):
            raise LinkRefused(f"{answer.name}: {answer.detail}"[:200])

    async def snapshot(self, epoch: int) -> None:
        """What the node could not tell again is read."""
        if self.gone:
            problem = await self._snapshot()
            if problem:
                raise LinkRefused(problem)

    async def reconcile(self, epoch: int) -> str:
        """See `NativeVenue`."""
        return await self._reconcile(epoch)

    async def ping(self) -> None:
        """A ping and its pong, which carries the node's time."""
        begin_ns = self._clock.begin()
        frame = await self._ask({"op": "ping"})
        pong = msgspec.json.decode(frame, type=Pong)
        self._clock.measured(pong.now_ns, begin_ns)
        # Only our account is heard here: an event that was sent and did not arrive is missing.
        if any(number > (self.mirror.number or 0) for number in pong.accounts.values()):
            self._fill_gap()

    async def _ask(self, wish: dict[str, Any]) -> bytes:
        reply = await self.link.request(
            lambda number: msgspec.json.encode({**wish, "id": number}), self.link.limits.pong_within_s
        )
        if isinstance(reply, NoReply):
            raise LinkRefused(f"{wish['op']}: {reply.reason}")
        return reply.frame

    async def _ask_from(self, number: int | None) -> Subscribed | Refused:
        wish: dict[str, Any] = {"op": "subscribe", "channel": "account", "account": self.account}
        if number is not None:
            wish["after"] = number
        frame = await self._ask(wish)
        if msgspec.json.decode(frame, type=Header).type == "subscribed":
            return msgspec.json.decode(frame, type=Subscribed)
        return msgspec.json.decode(frame, type=Refused)

    # ---- hearing -----------------------------------------------------------------------------------------

    def on_frame(self, frame: RawFrame) -> None:
        """Raises `DecodeError` for what cannot be read."""
        try:
            header = msgspec.json.decode(frame.payload, type=Header)
            if header.type == "event":
                whole = self.mirror.hear(msgspec.json.decode(frame.payload, type=Event))
                if not whole:
                    self._fill_gap()
            elif header.type in {"subscribed", "unsubscribed", "refused", "pong"}:
                self.link.answered(header.id, frame.payload)
            elif header.type == "gone":
                self.link.degrade("the node has forgotten events that we missed")
        except Unmapped as error:
            self.link.degrade(str(error)[:200])
        except (*UNREADABLE, ArithmeticError, ValueError) as error:
            # Whatever it was, it may have been an event: what is missing is asked for.
            self._fill_gap()
            raise DecodeError("account", str(error)[:200]) from error

    def on_transition(self, transition: Transition) -> None:
        self._on_transition(transition)

    # ---- missing events ----------------------------------------------------------------------------------

    def _fill_gap(self) -> None:
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._ask_again(), name="native missing events")

    async def _ask_again(self) -> None:
        """Wait a moment for the missing event, then hear the account again from the last one applied."""
        try:
            for _ in range(MAX_GAP_REQUESTS):
                await asyncio.sleep(self._options.gap_wait_s)
                before = self.mirror.number
                answer = await self._ask_from(before)
                if isinstance(answer, Refused):
                    break
                if await self._reaches(answer.number):
                    return
            self.link.degrade("events are missing and do not come")
        except (LinkRefused, *UNREADABLE) as error:
            self.link.degrade(str(error)[:200])

    async def _reaches(self, number: int) -> bool:
        """Whether the mirror comes as far as an event in a moment."""
        for _ in range(20):
            if (self.mirror.number or 0) >= number and not self.mirror.waits:
                return True
            await asyncio.sleep(self._options.gap_wait_s / 4)
        return False

    async def _stop_filling(self) -> None:
        task, self._filling = self._filling, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
