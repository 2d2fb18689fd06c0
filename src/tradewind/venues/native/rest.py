"""A node's HTTP interface: reads and commands of one account through its lane.

Nothing is sent twice here. What never left this host, what the node refused and what nobody knows are three
different answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from tradewind.venues.codes import RejectCode
from tradewind.venues.facts import facts_of
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.limits import Gate, Priority, SlidingLimits
from tradewind.venues.limits.retry import read_again
from tradewind.venues.limits.sliding import Request, Rule
from tradewind.venues.native.messages import ApiToken, LimitsRow, Problem, TimeAnswer
from tradewind.venues.native.options import PACKAGE, PREFIX
from tradewind.venues.native.refusals import NAMES, SERVER_ERROR, refusal_of
from tradewind.venues.protocol import Rejected, Uncertain
from tradewind.venues.transport.clock import SAMPLES, ClockGuard
from tradewind.venues.transport.isolators import Fault, Isolators
from tradewind.venues.transport.private_http import Answer, NoAnswer
from tradewind.venues.transport.signer import Nonce, SignedRequest, SignerLane

T = TypeVar("T")
OK: Final = 200
NS: Final = 1_000_000_000
WINDOW_S: Final = 10
KEYS_WINDOW_S: Final = 5
"""Longer than a command is valid."""
READS_PER_WINDOW: Final = 2_000
"""Our own budget: a node has no published one for reads."""
KEYS_SHARE: Final = 4
"""Of the live keys three quarters are used: retries and other clients of the account have some, too."""
READS: Final = Request(("reads",))
COMMAND: Final = Request(("commands", "keys"))
CANCEL: Final = Request(("cancels",))
LOCAL_REASONS: Final = {
    "StaleEpoch": RejectCode.STALE_EPOCH,
    "KeyQuarantined": RejectCode.KEY_QUARANTINED,
    "RateLimitedLocal": RejectCode.RATE_LIMITED_LOCAL,
    "AboveBudget": RejectCode.RATE_LIMITED_LOCAL,
}
AUTHENTICATION: Final = frozenset(
    name for name, (code, _) in NAMES.items() if code is RejectCode.NOT_AUTHORISED
) - {"WRONG_OWNER", "INSUFFICIENT_SCOPE"}


def default_limits() -> LimitsRow:
    """Those of class 0, which every account has."""
    return LimitsRow(rate_class=0, **facts_of(PACKAGE)["rates"].value)


def native_rules(limits: LimitsRow) -> list[Rule]:
    """Windows that never ask a bucket for more than it has, however requests arrive.

    A bucket of `at_once` that gains `per_s` has, behind any window in which at most the smaller of `at_once`
    and what it gains in the window was taken, again as much.
    """

    def most(at_once: int, per_s: int) -> int:
        return max(1, min(at_once, per_s * WINDOW_S))

    span_ns, keys_span_ns = WINDOW_S * NS, KEYS_WINDOW_S * NS
    commands = most(limits.commands_at_once, limits.commands_per_s)
    cancels = most(limits.cancels_at_once, limits.cancels_per_s)
    keys = max(1, limits.live_keys * (KEYS_SHARE - 1) // KEYS_SHARE)
    return [
        Rule(name="reads", limit=READS_PER_WINDOW, span_ns=span_ns),
        Rule(name="commands", limit=commands, span_ns=span_ns),
        Rule(name="keys", limit=keys, span_ns=keys_span_ns),
        Rule(name="cancels", limit=cancels, span_ns=span_ns, cancels=True),
    ]


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A read that gave nothing. `name` is the node's error, "" when it did not answer in form. `passing`: it
    may be answered if it is asked again.
    """

    reason: str
    name: str = ""
    passing: bool = False


class NativeRest:
    """Calls of one account. `epoch` is the highest trading epoch that was seen; reads go under it."""

    def __init__(
        self,
        lane: SignerLane,
        *,
        token: ApiToken,
        clock: ClockGuard,
        limits: SlidingLimits,
        gate: Gate,
        epoch: int = 0,
    ) -> None:
        """`gate` is the lane's gate over `limits`."""
        self.lane, self.clock, self.limits, self.gate = lane, clock, limits, gate
        self.token = token
        self.epoch = epoch
        self.isolators = Isolators()
        self.on_adopted: Callable[[SlidingLimits], None] = lambda limits: None

    def __repr__(self) -> str:
        return f"NativeRest({self.lane.http.host}:{self.lane.http.port})"

    def adopt(self, limits: LimitsRow) -> None:
        """Use the limits that the node publishes for the account. Only while nothing is under way. What was
        counted so far goes on counting.
        """
        now_ns, before = time.monotonic_ns(), self.limits
        self.limits = SlidingLimits(native_rules(limits))
        self.limits.restore(before.state(now_ns), now_ns, 0)
        self.gate.model = self.limits
        self.on_adopted(self.limits)

    # ---- reads -------------------------------------------------------------------------------------------

    async def read(
        self,
        path: str,
        kind: type[T],
        query: Sequence[tuple[str, str]] = (),
        *,
        cls: Priority = Priority.P2,
        timeout_s: float = 5.0,
    ) -> T | Failed:
        """A document below the prefix. A passing fault is asked again (T4.10)."""
        target = PREFIX + quote(path) + (f"?{urlencode(list(query))}" if query else "")
        return await read_again(
            lambda: self._read(target, kind, cls, timeout_s),
            lambda answer: 0.0 if isinstance(answer, Failed) and answer.passing else None,
        )

    async def _read(self, target: str, kind: type[T], cls: Priority, timeout_s: float) -> T | Failed:
        reply = await self._send("GET", target, b"", READS, cls, self.epoch, timeout_s)
        if isinstance(reply, NoAnswer):
            return Failed(reason=reply.reason, passing=reply.sent)
        if reply.status != OK:
            problem = _problem(reply.body)
            name = "" if problem is None else problem.name
            text = f"HTTP {reply.status}" if problem is None else f"{name}: {problem.detail}"
            return Failed(reason=text[:200], name=name, passing=reply.status >= SERVER_ERROR)
        try:
            return msgspec.json.decode(reply.body, type=kind)
        except UNREADABLE as error:
            self._malformed("GET")
            path = target.partition("?")[0]
            return Failed(reason=f"{path}: {error}"[:200], passing=True)

    async def measure_clock(self) -> bool:
        """Ask for the node's time, `SAMPLES` times. False when nothing was answered."""
        taken = 0
        for _ in range(SAMPLES):
            begin_ns = self.clock.begin()
            answer = await self.read("/time", TimeAnswer, timeout_s=2.0)
            if isinstance(answer, Failed):
                break
            taken += self.clock.measured(answer.now_ns, begin_ns)
        return taken > 0

    # ---- commands ----------------------------------------------------------------------------------------

    async def change(
        self,
        path: str,
        kind: type[T],
        body: Mapping[str, Any],
        *,
        epoch: int,
        cls: Priority,
        window: Request,
        timeout_s: float = 5.0,
    ) -> T | Rejected | Uncertain:
        """A command: what it did, a definite refusal, or that nobody knows."""
        sent_ns = self.clock.venue_ns()
        packed = msgspec.json.encode(body)
        reply = await self._send("POST", PREFIX + quote(path), packed, window, cls, epoch, timeout_s)
        if isinstance(reply, NoAnswer):
            return Uncertain(reply.reason, sent_ns) if reply.sent else local_refusal(reply.reason)
        if reply.status != OK:
            refusal = refusal_of(reply.status, _problem(reply.body))
            return refusal or Uncertain(f"HTTP {reply.status}", sent_ns)
        try:
            return msgspec.json.decode(reply.body, type=kind)
        except UNREADABLE as error:
            self._malformed("POST")
            return Uncertain(f"{path}: {error}"[:200], sent_ns)

    async def _send(  # noqa: PLR0917 - one request
        self,
        method: str,
        target: str,
        body: bytes,
        window: Request,
        cls: Priority,
        epoch: int,
        timeout_s: float,
    ) -> Answer | NoAnswer:
        headers = {**self.token.header(), "Accept": "application/json"}
        if body:
            headers["Content-Type"] = "application/json"

        def build(_: Nonce) -> SignedRequest:
            return SignedRequest(method=method, target=target, headers=headers, body=body)

        isolator = self.isolators.of(_class_of(method))
        leave = isolator.ask(cls, time.monotonic_ns())
        if leave is None:
            return NoAnswer(reason="Isolated", sent=False)
        begin_ns = time.monotonic_ns()
        reply = await self.lane.call(build, cls=cls, epoch=epoch, cost=[window], timeout_s=timeout_s)
        now_ns = time.monotonic_ns()
        isolator.reply(leave, reply, now_ns)
        if isinstance(reply, Answer):
            self._note(reply, window, now_ns - begin_ns)
        return reply

    def _note(self, reply: Answer, window: Request, taken_ns: int) -> None:
        """What an answer says about key and limits."""
        now_ns = time.monotonic_ns()
        self.limits.round_trip(taken_ns, now_ns)
        if reply.status == OK:
            self.lane.accepted()
            return
        problem = _problem(reply.body)
        if reply.status == 429:
            self.limits.status(reply.status, reply.headers.get("retry-after", "1"), now_ns, window.windows[0])
            self.gate.poke()
        if problem is not None and problem.name in AUTHENTICATION:
            self.lane.signature_refused()

    def _malformed(self, method: str) -> None:
        """A body that cannot be read is a fault of the endpoint class."""
        isolator, now_ns = self.isolators.of(_class_of(method)), time.monotonic_ns()
        leave = isolator.ask(Priority.P0, now_ns)
        if leave is not None:
            isolator.report(leave, Fault.MALFORMED, now_ns)


def _class_of(method: str) -> str:
    return "reads" if method == "GET" else "orders"


def _problem(body: bytes) -> Problem | None:
    try:
        return msgspec.json.decode(body, type=Problem)
    except UNREADABLE:
        return None


def local_refusal(reason: str) -> Rejected:
    """What never left this host."""
    code = LOCAL_REASONS.get(reason.partition(":")[0], RejectCode.NOT_LIVE)
    return Rejected(code, reason, code is RejectCode.STALE_EPOCH)
