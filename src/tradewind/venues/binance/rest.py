"""Binance's REST API: public reads, and signed calls through the key's signer lane.

A change that was answered badly is never sent again here; the one exception is a refused time stamp, which
the venue states not to have executed (T10.5): the clock is measured and the request signed anew, once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from tradewind.venues.binance import encode
from tradewind.venues.binance.encode import BinanceKey, Fields
from tradewind.venues.binance.private_messages import ErrorBody, LimitRow
from tradewind.venues.binance.private_messages import ServerTime as TimeBody
from tradewind.venues.binance.refusals import BAD_TIME, KEY_CODES, SPOT_MEANINGS, Meanings
from tradewind.venues.codes import RejectCode
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.limits import BinanceLimits, Denied, Gate, Priority
from tradewind.venues.limits.binance import Call
from tradewind.venues.limits.retry import read_again
from tradewind.venues.limits.urgency import decides
from tradewind.venues.protocol import Rejected, Uncertain
from tradewind.venues.transport.clock import SAMPLES, ClockGuard
from tradewind.venues.transport.isolators import Isolators
from tradewind.venues.transport.private_http import Answer, NoAnswer, PrivateHttp
from tradewind.venues.transport.signer import Nonce, SignedRequest, SignerLane

T = TypeVar("T")
OK = 200
MS = 1_000_000
CONFLICT = 409
STOPPED = frozenset({403, 418, 429})
SERVER_ERROR = 500
FORM = "application/x-www-form-urlencoded"
PROOF_WEIGHT = 300
"""Weight that other reads of their class leave to proofs that an order is absent: ten of them."""
USER_AGENT = "tradewind"
LOCAL_REASONS = {
    "StaleEpoch": RejectCode.STALE_EPOCH,
    "KeyQuarantined": RejectCode.KEY_QUARANTINED,
    "RateLimitedLocal": RejectCode.RATE_LIMITED_LOCAL,
    "AboveBudget": RejectCode.RATE_LIMITED_LOCAL,
}
UNIT_LETTERS = {"SECOND": "s", "MINUTE": "m", "HOUR": "h", "DAY": "d"}
LIMIT_HEADERS = {"REQUEST_WEIGHT": "used-weight", "ORDERS": "order-count"}


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A read that gave nothing. `code` is the venue's own, 0 when it did not answer."""

    reason: str
    retry_after_s: int = 1
    code: int = 0
    passing: bool = False
    """A fault of the way or of the server: asking once more may help."""


def _again(answer: object) -> float | None:
    return 0.0 if isinstance(answer, Failed) and answer.passing else None


class Replied(msgspec.Struct, frozen=True):
    """An error answer with a body that can be read, of a change (HTTP 4xx)."""

    status: int
    error: ErrorBody


def local_refusal(reason: str) -> Rejected:
    """What never left this host."""
    code = LOCAL_REASONS.get(reason.partition(":")[0], RejectCode.NOT_LIVE)
    return Rejected(code, reason, code is RejectCode.STALE_EPOCH)


class BinanceRest:
    """Calls of one API key. `prefix` is the API's, `/api/v3` for spot.

    `epoch` is the highest trading epoch that was seen; reads are signed under it.
    """

    def __init__(
        self,
        lane: SignerLane,
        public: PrivateHttp,
        *,
        key: BinanceKey,
        clock: ClockGuard,
        limits: BinanceLimits,
        gate: Gate,
        prefix: str = "/api/v3",
        meanings: Meanings = SPOT_MEANINGS,
        window_ms: int = 3_000,
        epoch: int = 0,
    ) -> None:
        """`gate` and `lane` run on `clock`: `Gate(limits, clock.venue_ns)`, and its milliseconds for stamps.

        Raises:
            ValueError: a window outside of 1 to 60,000 ms.
        """
        if not 1 <= window_ms <= 60_000:
            raise ValueError("window_ms is between 1 and 60,000")
        self.lane, self.limits, self.gate, self.clock = lane, limits, gate, clock
        self.key, self.meanings = key, meanings
        self.prefix, self.window_ms = prefix, window_ms
        self.epoch = epoch
        self.isolators = Isolators()
        self.server_errors = 0
        self.clock_refusals = 0
        self._public = public

    def __repr__(self) -> str:
        return f"BinanceRest({self._public.host})"

    def _target(self, path: str) -> str:
        """A path is one of the API's own version, or whole when it begins with a slash."""
        return path if path.startswith("/") else f"{self.prefix}/{path}"

    # ---- public ------------------------------------------------------------------------------------------

    async def public(
        self,
        path: str,
        fields: Fields = (),
        *,
        weight: int,
        cls: Priority = Priority.P4,
        timeout_s: float = 10.0,
    ) -> bytes | Failed:
        """The body of a public call."""
        verdict = await self.gate.acquire(cls, [Call(weight=weight)], patience_s=timeout_s)
        if isinstance(verdict, Denied):
            return Failed(reason=verdict.reason)
        target = self._target(path) + (f"?{urlencode(list(fields))}" if fields else "")
        isolator = self.isolators.of("public")
        leave = isolator.ask(cls, time.monotonic_ns())
        if leave is None:
            return Failed(reason="Isolated")
        reply = await self._public.request("GET", target, {"User-Agent": USER_AGENT}, timeout_s=timeout_s)
        isolator.reply(leave, reply, time.monotonic_ns())
        if isinstance(reply, NoAnswer):
            return Failed(reason=reply.reason)
        self._note(reply)
        return reply.body if reply.status == OK else self._failed(reply)

    async def measure_clock(self, timeout_s: float = 2.0) -> bool:
        """Ask for the venue's time, `SAMPLES` times (weight 1 each). False when nothing was answered."""
        taken = 0
        for _ in range(SAMPLES):
            verdict = await self.gate.acquire(Priority.P2, [Call(weight=1)], patience_s=timeout_s)
            if isinstance(verdict, Denied):
                break
            begin_ns = self.clock.begin()
            reply = await self._public.request(
                "GET", f"{self.prefix}/time", {"User-Agent": USER_AGENT}, timeout_s=timeout_s
            )
            if isinstance(reply, NoAnswer):
                break
            try:
                body = msgspec.json.decode(reply.body, type=TimeBody)
            except UNREADABLE:
                break
            taken += self.clock.measured(body.serverTime * MS, begin_ns)
            self._note(reply)
        return taken > 0

    # ---- signed ------------------------------------------------------------------------------------------

    async def read(
        self,
        path: str,
        kind: type[T],
        fields: Fields = (),
        *,
        weight: int,
        cls: Priority = Priority.P2,
        timeout_s: float = 10.0,
    ) -> T | Failed:
        """A signed call that changes nothing. What decides about an unknown order goes before other reads,
        also of its class. A passing fault is asked again (T4.10).
        """
        return await read_again(lambda: self._once(path, kind, fields, weight, cls, timeout_s), _again)

    async def _once(  # noqa: PLR0917 - the arguments of `read`, in its order
        self, path: str, kind: type[T], fields: Fields, weight: int, cls: Priority, timeout_s: float
    ) -> T | Failed:
        leaves = PROOF_WEIGHT if cls is Priority.P2 and not decides() else 0
        reply = await self._send(
            "GET", path, fields, cls=cls, epoch=self.epoch, cost=Call(weight=weight, leaves=leaves),
            timeout_s=timeout_s,
        )  # fmt: skip
        return self._decoded(path, reply, kind)

    async def keyed(
        self, method: str, path: str, kind: type[T], *, weight: int, timeout_s: float = 5.0
    ) -> T | Failed:
        """A call that needs the key and no signature, and moves no money: keys of event streams."""
        cost = Call(weight=weight)
        reply = await self._send(
            method, path, (), cls=Priority.P2, epoch=self.epoch, cost=cost, timeout_s=timeout_s, signed=False
        )
        return self._decoded(path, reply, kind)

    def _decoded(self, path: str, reply: Answer | NoAnswer, kind: type[T]) -> T | Failed:
        if isinstance(reply, NoAnswer):
            return Failed(reason=reply.reason, passing=reply.sent)
        if reply.status != OK:
            return self._failed(reply)
        try:
            return msgspec.json.decode(reply.body, type=kind)
        except UNREADABLE as error:
            return Failed(reason=f"{path}: {error}"[:200], passing=True)

    async def change(
        self,
        method: str,
        path: str,
        kind: type[T],
        fields: Fields,
        *,
        epoch: int,
        cls: Priority,
        cost: Call,
        timeout_s: float = 5.0,
    ) -> T | Replied | Rejected | Uncertain:
        """A signed call that may change something. `Replied`: the venue's own error; `judged` reads it."""
        sent_ns = self.clock.venue_ns()
        reply = await self._send(method, path, fields, cls=cls, epoch=epoch, cost=cost, timeout_s=timeout_s)
        if isinstance(reply, NoAnswer):
            return Uncertain(reply.reason, sent_ns) if reply.sent else local_refusal(reply.reason)
        if reply.status in STOPPED:
            return Rejected(RejectCode.RATE_LIMITED, f"HTTP {reply.status}", False)
        if reply.status >= SERVER_ERROR:
            return Uncertain(f"HTTP {reply.status}", sent_ns)
        try:
            if reply.status == OK:
                return msgspec.json.decode(reply.body, type=kind)
            return Replied(reply.status, msgspec.json.decode(reply.body, type=ErrorBody))
        except UNREADABLE as error:
            return Uncertain(f"{path}: {error}"[:200], sent_ns)

    def judged(self, answer: Replied) -> Rejected | Uncertain:
        """What an error of a change means."""
        refusal = self.meanings.refusal(answer.error.code, answer.error.msg)
        return refusal or Uncertain(f"{answer.error.code} {answer.error.msg}"[:200], self.clock.venue_ns())

    async def _send(
        self, method: str, path: str, fields: Fields, *, cls: Priority, epoch: int, cost: Call,
        timeout_s: float, signed: bool = True,
    ) -> Answer | NoAnswer:  # fmt: skip
        target = self._target(path)
        in_body = method in ("POST", "PUT")

        def build(nonce: Nonce) -> SignedRequest:
            headers = {"X-MBX-APIKEY": self.key.name, "User-Agent": USER_AGENT}
            if not signed:
                return SignedRequest(method=method, target=target, headers=headers)
            text = encode.signed(self.key, fields, nonce.value, self.window_ms)
            if in_body:
                return SignedRequest(
                    method=method, target=target, headers={**headers, "Content-Type": FORM},
                    body=text.encode(),
                )  # fmt: skip
            return SignedRequest(method=method, target=f"{target}?{text}", headers=headers)

        # what is not signed changes no order: its faults must not stop orders
        isolator = self.isolators.of("account" if method == "GET" or not signed else "orders")
        for attempt in (1, 2):
            leave = isolator.ask(cls, time.monotonic_ns())
            if leave is None:
                return NoAnswer(reason="Isolated", sent=False)
            answer = await self.lane.call(
                build, cls=cls, epoch=epoch, cost=[cost], timeout_s=timeout_s,
                scope="at once" if decides() else "",
            )  # fmt: skip
            isolator.reply(leave, answer, time.monotonic_ns())
            if isinstance(answer, NoAnswer):
                return answer
            code = self._note(answer)
            if code == BAD_TIME and attempt == 1:
                self.clock_refusals += 1
                self.clock.forget()
                if await self.measure_clock():
                    continue
            return answer
        raise AssertionError("two attempts return")

    # ---- what answers say about key and limits -----------------------------------------------------------

    def _note(self, answer: Answer) -> int:
        """Tell limits and lane; returns the venue's error code, 0 for none."""
        now_ns = self.clock.venue_ns()
        sent_ns = now_ns - (time.monotonic_ns() - answer.sent_ns)
        self.limits.headers(answer.headers, sent_ns, now_ns)
        if answer.status == OK:
            self.lane.accepted()
            return 0
        self.server_errors += answer.status >= SERVER_ERROR
        error = error_of(answer.body)
        text = f"{error.code} {error.msg}" if error is not None else ""
        self.limits.status(answer.status, answer.headers.get("retry-after"), text, now_ns)
        self.gate.poke()
        if error is not None and error.code in KEY_CODES:
            self.lane.signature_refused()
        return 0 if error is None else error.code

    def note_socket(self, rows: Sequence[LimitRow], status: int, text: str, retry_after: str | None) -> None:
        """The same for an answer of the WebSocket API, which carries its limits in its body."""
        now_ns = self.clock.venue_ns()
        headers = {
            f"x-mbx-{LIMIT_HEADERS[one.rateLimitType]}-{one.intervalNum}{UNIT_LETTERS[one.interval]}": str(
                one.count
            )
            for one in rows
            if one.rateLimitType in LIMIT_HEADERS and one.interval in UNIT_LETTERS
        }
        self.limits.headers(headers, now_ns, now_ns)
        if status != OK:
            self.limits.status(status, retry_after, text, now_ns)

    def _failed(self, answer: Answer) -> Failed:
        error = error_of(answer.body)
        block = self.limits.block(self.clock.venue_ns())
        passing = answer.status >= SERVER_ERROR
        wait_s = 0 if block is None else (block.until_ns - self.clock.venue_ns()) // 1_000_000_000
        if error is None:
            return Failed(reason=f"HTTP {answer.status}", retry_after_s=max(1, wait_s), passing=passing)
        return Failed(
            reason=f"HTTP {answer.status}: {error.code} {error.msg}"[:200],
            retry_after_s=max(1, wait_s),
            code=error.code,
            passing=passing,
        )


def error_of(body: bytes) -> ErrorBody | None:
    """The venue's error, None for a body that is none."""
    try:
        return msgspec.json.decode(body, type=ErrorBody)
    except UNREADABLE:
        return None
