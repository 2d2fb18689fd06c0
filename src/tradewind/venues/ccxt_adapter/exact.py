"""What we change in an exchange object of ccxt: exact numbers, one private request at a time, our own limits.

ccxt has hooks for all of it: `on_json_response`, `fetch2`, `fetch`, `handle_errors` and `nonce` belong to its
base class and are overridden here by a mixin. What a call met on its way is noted in a `Trace`.
"""

from __future__ import annotations

import asyncio
import heapq
import json
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, NoReturn

from tradewind.venues.limits import Priority

MAX_WAITING: Final = 1_000
"""Private requests that wait for their turn."""


class Trace:
    """What became of one call: whether a request left, and what came back last."""

    __slots__ = (
        "accepted",
        "answered",
        "cls",
        "readable",
        "retry_after",
        "sent",
        "status",
    )

    def __init__(self, cls: Priority) -> None:
        self.cls = cls
        self.sent = 0
        self.status: int | None = None
        self.retry_after: str | None = None
        self.answered = False
        """Whether the latest request has an answer."""
        self.readable = False
        """Whether that answer is JSON."""
        self.accepted = False
        """Whether ccxt found no error in that answer: what it raises afterwards is its own."""


TRACE: ContextVar[Trace | None] = ContextVar("tradewind_ccxt_trace", default=None)


class HeldBack(Exception):
    """Our own limits did not let a request out: nothing was sent."""

    code = "RateLimitedLocal"


class NotJson(ValueError):
    """An answer that is not JSON, or has no exact numbers."""

    code = "NotJson"


def read_exactly(body: str) -> Any:
    """A JSON document with every number that is not whole as its text.

    Raises:
        NotJson: it is none, or holds something that is no number.
    """
    try:
        return json.loads(body, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise NotJson(type(error).__name__) from error


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)


class Turn:
    """One at a time; among those who wait, the highest class first, and in order within a class."""

    def __init__(self) -> None:
        self._busy = False
        self._number = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    async def take(self, cls: Priority) -> None:
        """Raises `HeldBack` when `MAX_WAITING` wait already."""
        if not self._busy:
            self._busy = True
            return
        if len(self._waiting) >= MAX_WAITING:
            raise HeldBack("too many requests wait")
        self._number += 1
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (int(cls), self._number, mine))
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self.give()  # it was our turn in the moment in which we left
            raise

    def give(self) -> None:
        """Let the next one go."""
        while self._waiting:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)
                return
        self._busy = False


class ExactNumbers:
    """Mixin in front of a class of ccxt. `admit(cls, cost)` is asked before every request."""

    tradewind_turn: Turn
    tradewind_admit: Callable[[Priority, float], Awaitable[None]]
    tradewind_last_nonce = 0
    markets: Any

    def on_json_response(self, body: str) -> Any:
        """In place of the decoder that makes floats."""
        return read_exactly(body)

    def parse_json(self, http_response: str) -> Any:
        """None for an answer that is not JSON; `handle_errors` looks at what the status says."""
        trace = TRACE.get()
        try:
            parsed = read_exactly(http_response)
        except NotJson:
            parsed = None
        if trace is not None:
            trace.readable = isinstance(parsed, dict | list)
        return parsed if isinstance(parsed, dict | list) else None

    def parse_order_book_bid_ask(self, row: Any, price: Any = 0, amount: Any = 1, *others: Any) -> Any:
        """A level as text. ccxt's own makes floats, which its streams need for sorting; we sort ourselves."""
        if TRACE.get() is None:
            return super().parse_order_book_bid_ask(row, price, amount, *others)  # type: ignore[misc]
        return [self.safe_string(row, price), self.safe_string(row, amount)]  # type: ignore[attr-defined]

    def on_rest_response(self, code: int, reason: str, *others: Any) -> Any:
        """Notes that an answer came. `others`: address, method, headers, text."""
        trace = TRACE.get()
        if trace is not None:
            headers = others[2]
            trace.answered, trace.status = True, code
            trace.retry_after = next(
                (str(headers[one]) for one in headers if str(one).lower() == "retry-after"), None
            )
        return super().on_rest_response(code, reason, *others)  # type: ignore[misc]

    def handle_errors(self, code: int, *others: Any) -> Any:
        """ccxt's own reading of errors, then ours: what is not JSON is no answer."""
        result = super().handle_errors(code, *others)  # type: ignore[misc]
        trace = TRACE.get()
        if trace is not None and not trace.readable and code < 400:
            raise NotJson("the answer is not JSON")
        return result

    def client(self, url: str) -> Any:
        """A connection of ccxt's streams that is made anew behind a frame which nobody can read. Without this
        its reading ends for ever, and silently.
        """
        client = super().client(url)  # type: ignore[misc]
        if not hasattr(client, "tradewind_handle"):
            client.tradewind_handle = client.handle_message

            def handle(message: Any) -> None:
                try:
                    client.tradewind_handle(message)
                except Exception as error:  # noqa: BLE001 - ccxt's handlers raise anything
                    client.on_error(ConnectionError(f"a frame that cannot be read: {type(error).__name__}"))

            client.handle_message = handle
        return client

    def nonce(self) -> Any:
        """ccxt's, but never the same or a smaller one again."""
        wanted = super().nonce()  # type: ignore[misc]
        if not isinstance(wanted, int):
            return wanted
        self.tradewind_last_nonce = max(wanted, self.tradewind_last_nonce + 1)
        return self.tradewind_last_nonce

    async def fetch(self, *arguments: Any, **named: Any) -> Any:
        """One request."""
        trace = TRACE.get()
        if trace is not None:
            trace.sent += 1
            trace.answered = trace.readable = trace.accepted = False
            trace.status = None
        answer = await super().fetch(*arguments, **named)  # type: ignore[misc]
        if trace is not None:
            trace.accepted = True
        return answer

    async def fetch2(
        self, path: str, api: Any = "public", method: str = "GET", params: Any = None, config: Any = None
    ) -> Any:
        """Counted by our limits; a private one is signed and answered before the next, as some venues want
        nonces in their order on the wire.
        """
        trace = TRACE.get()
        cls = Priority.P2 if trace is None else trace.cls
        params, config = params or {}, config or {}
        cost = self.calculate_rate_limiter_cost(api, method, path, params, config)  # type: ignore[attr-defined]
        # what waits for its budget does not keep others from going
        await self.tradewind_admit(cls, cost)
        if "public" in str(api).lower():
            return await super().fetch2(path, api, method, params, config)  # type: ignore[misc]
        await self.tradewind_turn.take(cls)
        try:
            return await super().fetch2(path, api, method, params, config)  # type: ignore[misc]
        finally:
            self.tradewind_turn.give()
