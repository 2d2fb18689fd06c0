"""Kraken's REST API: public reads, and private calls through the key's signer lane (T3).

A change that was answered badly is never sent again here; the one exception is a refused nonce, which the
venue states not to have executed (T3.9).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from tradewind.venues.codes import RejectCode
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.kraken import encode
from tradewind.venues.kraken.private_messages import Envelope
from tradewind.venues.kraken.refusals import meaning_of, refusal_of
from tradewind.venues.limits import Denied, Gate, KrakenLimits, Priority
from tradewind.venues.limits.kraken import Item, PublicCall, RestCall
from tradewind.venues.limits.retry import read_again
from tradewind.venues.limits.urgency import decides
from tradewind.venues.protocol import Rejected, Uncertain
from tradewind.venues.transport.isolators import Isolators
from tradewind.venues.transport.lease import TradingLease
from tradewind.venues.transport.private_http import Answer, NoAnswer, PrivateHttp, Reply
from tradewind.venues.transport.signatures import kraken as signature
from tradewind.venues.transport.signer import (
    LEASE_EXPIRED,
    STALE_EPOCH,
    Nonce,
    SignedRequest,
    SignerLane,
)

T = TypeVar("T")
OK = 200
TOO_FAST = (418, 429)
FORBIDDEN = 403
SERVER_ERROR = 500
POINTS = {
    "TradesHistory": 2,
    "ClosedOrders": 2,
    "QueryTrades": 2,
    "Ledgers": 2,
    "AddOrder": 0,
    "AmendOrder": 0,
    "CancelOrder": 0,
}
"""Points of the calls that do not cost one (T4.2)."""
LOCAL_REASONS = {
    STALE_EPOCH: RejectCode.STALE_EPOCH,
    LEASE_EXPIRED: RejectCode.STALE_EPOCH,
    "KeyQuarantined": RejectCode.KEY_QUARANTINED,
    "RateLimitedLocal": RejectCode.RATE_LIMITED_LOCAL,
}
USER_AGENT = "tradewind"
PROOF_POINTS = 5
"""What proving an order absent takes (OpenOrders, ClosedOrders, TradesHistory): other reads leave it free, so
that the proof never queues behind them."""
Fields = Sequence[tuple[str, str]]
LateFields = Fields | Callable[[], Fields]


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A read that gave nothing. `errors` are the venue's own texts, empty when it did not answer."""

    reason: str
    retry_after_s: int = 1
    errors: tuple[str, ...] = ()
    passing: bool = False
    """A fault of the way or of the server: asking once more may help."""


def _again(answer: object) -> float | None:
    return 0.0 if isinstance(answer, Failed) and answer.passing else None


def local_refusal(reason: str) -> Rejected:
    """What never left this host."""
    code = LOCAL_REASONS.get(reason.partition(":")[0], RejectCode.NOT_LIVE)
    return Rejected(code, reason, code is RejectCode.STALE_EPOCH)


class KrakenRest:
    """Calls of one API key. Its name is an identifier; the secret stays inside, and out of every repr.

    `epoch` is the highest trading epoch that was seen; reads are signed under it.
    """

    def __init__(
        self,
        lane: SignerLane,
        public: PrivateHttp,
        *,
        key: str,
        secret: bytes,
        limits: KrakenLimits,
        gate: Gate,
        lease: TradingLease | None = None,
    ) -> None:
        self.lane, self.limits, self.gate = lane, limits, gate
        self._public, self._key, self._secret = public, key, secret
        self.epoch = 0 if lease is None else lease.epoch
        self._lease = lease
        self.server_errors = 0
        self.isolators = Isolators()
        """One for each class of calls: public, account (reads), orders (changes)."""

    def __repr__(self) -> str:
        return f"KrakenRest({self._public.host})"

    def fence(self, epoch: int) -> str:
        """Why nothing may leave under this epoch now (T1.1); "" when it may. Asked right before a write: a
        core that was paused beyond its lease sends nothing, not even a cancel.
        """
        if epoch < self.epoch:
            return STALE_EPOCH
        if self._lease is None:
            return ""
        if epoch < self._lease.epoch:
            return STALE_EPOCH
        return "" if epoch == self._lease.epoch and self._lease.may_sign else LEASE_EXPIRED

    # ---- public ------------------------------------------------------------------------------------------

    async def public(
        self, name: str, *, cls: Priority = Priority.P4, timeout_s: float = 5.0
    ) -> bytes | Failed:
        """The body of a public call."""
        verdict = await self.gate.acquire(cls, [PublicCall()], scope="public", patience_s=timeout_s)
        if isinstance(verdict, Denied):
            return Failed(reason=verdict.reason)
        reply = await self._guarded(
            "public",
            cls,
            lambda: self._public.request(
                "GET", f"/0/public/{name}", {"User-Agent": USER_AGENT}, timeout_s=timeout_s
            ),
        )
        if isinstance(reply, NoAnswer):
            return Failed(reason=reply.reason)
        if reply.status != OK:
            return self._status(reply)
        return reply.body

    # ---- private -----------------------------------------------------------------------------------------

    async def read(
        self,
        name: str,
        kind: type[T],
        fields: LateFields = (),
        *,
        cls: Priority = Priority.P2,
        timeout_s: float = 10.0,
    ) -> T | Failed:
        """A private call that changes nothing. `fields` may be made in the moment of the write. What
        decides about an unknown order goes before other reads, also of its class. A passing fault is asked
        again (T4.10).
        """
        return await read_again(lambda: self._read(name, kind, fields, cls, timeout_s), _again)

    async def _read(
        self,
        name: str,
        kind: type[T],
        fields: LateFields,
        cls: Priority,
        timeout_s: float,
    ) -> T | Failed:
        answer = await self._guarded(
            "account",
            cls,
            lambda: self._send(
                name, fields, cls=cls, epoch=self.epoch, items=(), timeout_s=timeout_s,
                leaves=0 if decides() else PROOF_POINTS,
            ),
        )  # fmt: skip
        if isinstance(answer, NoAnswer):
            return Failed(reason=answer.reason, passing=answer.sent)
        if answer.status != OK:
            return self._status(answer)
        try:
            envelope = msgspec.json.decode(answer.body, type=Envelope)
            if envelope.error:
                return Failed(reason="; ".join(envelope.error)[:200], errors=tuple(envelope.error))
            return msgspec.json.decode(envelope.result, type=kind)
        except UNREADABLE as error:
            return Failed(reason=f"{name}: {error}"[:200], passing=True)

    async def change(
        self, name: str, kind: type[T], fields: Sequence[tuple[str, str]], *, epoch: int,
        cls: Priority = Priority.P0, items: Sequence[Item] = (), timeout_s: float = 5.0,
    ) -> T | Rejected | Uncertain:  # fmt: skip
        """A private call that may change something."""
        sent_ns = time.time_ns()
        answer = await self._guarded(
            "orders",
            cls,
            lambda: self._send(name, fields, cls=cls, epoch=epoch, items=items, timeout_s=timeout_s),
        )
        if isinstance(answer, NoAnswer):
            return Uncertain(answer.reason, sent_ns) if answer.sent else local_refusal(answer.reason)
        if answer.status in TOO_FAST or answer.status == FORBIDDEN:
            self._status(answer)
            return Rejected(RejectCode.RATE_LIMITED, f"HTTP {answer.status}", False)
        if answer.status != OK:
            self.server_errors += 1
            return Uncertain(f"HTTP {answer.status}", sent_ns)
        try:
            envelope = msgspec.json.decode(answer.body, type=Envelope)
            if envelope.error:
                refusal = refusal_of(envelope.error)
                return refusal or Uncertain("; ".join(envelope.error)[:200], sent_ns)
            return msgspec.json.decode(envelope.result, type=kind)
        except UNREADABLE as error:
            return Uncertain(f"{name}: {error}"[:200], sent_ns)

    async def _guarded(self, name: str, cls: Priority, send: Callable[[], Awaitable[Reply]]) -> Reply:
        """A class of calls that keeps failing is left alone for a while; cancels go anyway (T10.4)."""
        isolator = self.isolators.of(name)
        leave = isolator.ask(cls, time.monotonic_ns())
        if leave is None:
            return NoAnswer(reason=f"Isolated:{name}", sent=False)
        reply: Reply = NoAnswer(reason="Cancelled", sent=True)
        try:
            reply = await send()
        finally:
            isolator.reply(leave, reply, time.monotonic_ns())
        return reply

    async def _send(
        self, name: str, fields: LateFields, *, cls: Priority, epoch: int,
        items: Sequence[Item], timeout_s: float, leaves: int = 0,
    ) -> Answer | NoAnswer:  # fmt: skip
        path = f"/0/private/{name}"

        def build(nonce: Nonce) -> SignedRequest:
            body = encode.form(nonce.value, fields() if callable(fields) else fields)
            return SignedRequest(
                method="POST",
                target=path,
                headers={
                    "API-Key": self._key,
                    "API-Sign": signature(self._secret, path, str(nonce), body),
                    "Content-Type": "application/x-www-form-urlencoded",
                    "User-Agent": USER_AGENT,
                },
                body=body,
            )

        cost = [RestCall(POINTS.get(name, 1), leaves), *items]
        scope = "rest" if leaves else "rest, at once"
        for attempt in (1, 2):
            answer = await self.lane.call(
                build, cls=cls, epoch=epoch, cost=cost, scope=scope, timeout_s=timeout_s
            )
            if isinstance(answer, NoAnswer):
                return answer
            errors = _errors(answer.body)
            self._note(errors)
            if any(meaning_of(one).code is RejectCode.INVALID_NONCE for one in errors):
                _, again = self.lane.nonce_refused()
                if again and attempt == 1:
                    continue
            return answer
        raise AssertionError("two attempts return")

    def _note(self, errors: Sequence[str]) -> None:
        """What an answer says about the key and about the limits."""
        if not errors:
            self.lane.accepted()
        for text in errors:
            self.limits.refused(text, time.monotonic_ns(), time.time_ns())
            if text.startswith(("EAPI:Invalid key", "EAPI:Invalid signature")):
                self.lane.signature_refused()

    def _status(self, answer: Answer) -> Failed:
        block = self.limits.status(answer.status, answer.headers.get("retry-after"), time.monotonic_ns())
        self.server_errors += answer.status >= SERVER_ERROR
        wait_ns = 0 if block is None else block.until_ns - time.monotonic_ns()
        return Failed(
            reason=f"HTTP {answer.status}",
            retry_after_s=max(1, wait_ns // 1_000_000_000),
            passing=answer.status >= SERVER_ERROR,
        )


class _Errors(msgspec.Struct, gc=False):
    error: list[str] = []


def _errors(body: bytes) -> list[str]:
    try:
        return msgspec.json.decode(body, type=_Errors).error
    except UNREADABLE:
        return []
