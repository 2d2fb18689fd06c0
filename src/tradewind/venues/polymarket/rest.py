"""Polymarket's REST API: public reads, and calls of one key through its signer lane."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, TypeVar
from urllib.parse import urlencode

import msgspec

from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.limits import Denied, Gate, Priority, SlidingLimits
from tradewind.venues.limits.retry import read_again
from tradewind.venues.limits.sliding import Request
from tradewind.venues.limits.urgency import decides
from tradewind.venues.polymarket.messages import ErrorAnswer
from tradewind.venues.polymarket.wallet import Wallet
from tradewind.venues.transport.private_http import Answer, NoAnswer, PrivateHttp
from tradewind.venues.transport.signatures import polymarket as signature
from tradewind.venues.transport.signer import Nonce, SignedRequest, SignerLane

T = TypeVar("T")
OK: Final = 200
SERVER_ERROR: Final = 500
USER_AGENT: Final = "tradewind"
PROOF_READS: Final = 8
"""Reads that others of their class leave to proofs that an order is absent."""
READS: Final = Request(("reads",), PROOF_READS)
PROOFS: Final = Request(("reads",))
ORDERS: Final = Request(("orders", "orders_sustained"))
CANCEL_ALL: Final = Request(("orders", "orders_sustained", "cancel_all"))


class Credentials(msgspec.Struct, frozen=True):
    """An API key. Its text forms show only the beginning of its name."""

    key: str
    secret: bytes
    passphrase: str

    def __repr__(self) -> str:
        return f"Credentials({self.key[:6]}…)"

    __str__ = __repr__


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A call that gave nothing. `status` 0: no answer; `sent` False: not a byte left."""

    reason: str
    status: int = 0
    sent: bool = True
    heartbeat_id: str = ""

    @property
    def passing(self) -> bool:
        """A fault of the way or of the server: asking once more may help."""
        return self.sent and (not self.status or self.status >= SERVER_ERROR)


class PolymarketRest:
    """Calls of one wallet and key. `epoch` is the highest trading epoch that was seen."""

    def __init__(
        self,
        lane: SignerLane,
        public: PrivateHttp,
        *,
        wallet: Wallet,
        credentials: Credentials,
        limits: SlidingLimits,
        gate: Gate,
    ) -> None:
        """Raises `SigningUnavailable` without the packages of the extra."""
        self.lane, self.limits, self.gate = lane, limits, gate
        self.wallet = wallet
        self.address = wallet.address()
        self.credentials = credentials
        self.epoch = 0
        self._public = public

    def __repr__(self) -> str:
        return f"PolymarketRest({self._public.host})"

    async def public(
        self, path: str, query: Sequence[tuple[str, str]] = (), timeout_s: float = 5.0
    ) -> bytes | Failed:
        """The body of a public call."""
        verdict = await self.gate.acquire(Priority.P4, [READS], patience_s=timeout_s)
        if isinstance(verdict, Denied):
            return Failed(reason=verdict.reason, sent=False)
        target = path + (f"?{urlencode(query)}" if query else "")
        try:
            reply = await self._public.request("GET", target, {"User-Agent": USER_AGENT}, timeout_s=timeout_s)
        finally:
            self.limits.done([READS], time.monotonic_ns())
        found = self._judged(reply, "reads")
        return found.body if isinstance(found, Answer) else found

    async def read(self, path: str, kind: type[T], query: Sequence[tuple[str, str]] = (), *,
                   timeout_s: float = 5.0, cls: Priority = Priority.P2) -> T | Failed:  # fmt: skip
        """A call of the key that changes nothing. What decides about an unknown order goes before other
        reads. A passing fault is asked again (T4.10).
        """
        window = PROOFS if decides() else READS
        return await read_again(
            lambda: self.call("GET", path, kind, query=query, window=window, cls=cls, timeout_s=timeout_s),
            lambda answer: 0.0 if isinstance(answer, Failed) and answer.passing else None,
        )

    async def call(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        window: Request = ORDERS,
        cls: Priority = Priority.P0,
        timeout_s: float = 5.0,
        epoch: int | None = None,
    ) -> T | Failed:
        """One signed call. The signature is over the path without its query."""
        scope = "at once" if window is PROOFS else ""
        granted = await self.gate.acquire(cls, [window], scope=scope, patience_s=timeout_s)
        if isinstance(granted, Denied):
            return Failed(reason=granted.reason, sent=False)
        target = path + (f"?{urlencode(query)}" if query else "")
        key = self.credentials

        def build(nonce: Nonce) -> SignedRequest:
            stamp = str(nonce.value // 1_000)
            headers = {
                "POLY_ADDRESS": self.address,
                "POLY_SIGNATURE": signature(key.secret, stamp, method, path, body),
                "POLY_TIMESTAMP": stamp,
                "POLY_API_KEY": key.key,
                "POLY_PASSPHRASE": key.passphrase,
                "User-Agent": USER_AGENT,
            }
            if body:
                headers["Content-Type"] = "application/json"
            return SignedRequest(method=method, target=target, headers=headers, body=body)

        begin_ns = time.monotonic_ns()
        try:
            reply = await self.lane.call(
                build, cls=cls, epoch=self.epoch if epoch is None else epoch, timeout_s=timeout_s
            )
        finally:
            self.limits.done([window], time.monotonic_ns())
        found = self._judged(reply, window.windows[0])
        if isinstance(found, Failed):
            return found
        self.limits.round_trip(time.monotonic_ns() - begin_ns, time.monotonic_ns())
        try:
            return msgspec.json.decode(found.body, type=kind, strict=False)
        except UNREADABLE as error:
            return Failed(reason=f"{path}: {error}"[:200])

    def _judged(self, reply: Answer | NoAnswer, window: str) -> Answer | Failed:
        if isinstance(reply, NoAnswer):
            return Failed(reason=reply.reason, sent=reply.sent)
        if reply.status == OK:
            return reply
        self.limits.status(reply.status, reply.headers.get("retry-after"), time.monotonic_ns(), window)
        try:
            error = msgspec.json.decode(reply.body, type=ErrorAnswer)
        except UNREADABLE:
            error = ErrorAnswer()
        text = (error.error or error.error_msg or f"status {reply.status}")[:300]
        return Failed(reason=text, status=reply.status, heartbeat_id=error.heartbeat_id)
