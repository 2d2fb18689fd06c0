"""The watchdog's own way to a venue: it lists and cancels orders, and cannot place one.

A key of its own, REST alone, no mirror, no instruments: an order that this build cannot map is cancelled all
the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from tradewind.venues.binance.encode import BinanceKey
from tradewind.venues.binance.live import SPOT
from tradewind.venues.binance.rest import BinanceRest, Failed, Replied
from tradewind.venues.codes import RejectCode
from tradewind.venues.kraken.live import KrakenEndpoints
from tradewind.venues.kraken.private_messages import CountResult, OpenOrders
from tradewind.venues.kraken.rest import Failed as KrakenFailed
from tradewind.venues.kraken.rest import KrakenRest
from tradewind.venues.limits import BinanceLimits, Gate, KrakenLimits, Priority
from tradewind.venues.limits.binance import Call
from tradewind.venues.protocol import Rejected, Uncertain
from tradewind.venues.transport.clock import ClockGuard
from tradewind.venues.transport.keys import KeyFolder, KeyPurpose
from tradewind.venues.transport.lease import KeyLock
from tradewind.venues.transport.private_http import PrivateHttp
from tradewind.venues.transport.signatures import decode_secret
from tradewind.venues.transport.signer import SignerLane

TIMEOUT_S: Final = 3.0
BATCH: Final = 50
MAX_ORDERS: Final = 10_000
NO_ORDER: Final = "OAAAAA-AAAAA-AAAAAA"
NO_ORDER_NUMBER: Final = "1"
OPEN_ORDERS_WEIGHT: Final = 80
KRAKEN_PAIR: Final = "XBTUSD"
BINANCE_SYMBOL: Final = "BTCUSDT"
WALLET_PREFIX: Final = "/sapi/v1"


SAYS_NOTHING: Final = frozenset(
    {
        RejectCode.RATE_LIMITED, RejectCode.RATE_LIMITED_LOCAL, RejectCode.KEY_QUARANTINED,
        RejectCode.NOT_LIVE, RejectCode.MAINTENANCE, RejectCode.CANCEL_ONLY, RejectCode.VENUE_BUSY,
        RejectCode.INVALID_NONCE, RejectCode.STALE_EPOCH, RejectCode.VENUE_REJECTED,
    }
)  # fmt: skip
"""Refusals that come before, or have nothing to do with, what a key may do."""


class Resting(msgspec.Struct, frozen=True, kw_only=True):
    """An order that works at the venue."""

    venue_id: str
    client_id: str
    symbol: str


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue lets the key do; None: it did not say."""

    trades: bool | None
    cancels: bool | None
    reads: bool | None = None
    withdraws: bool | None = None
    bound: bool | None = None
    """Whether only certain addresses may use the key."""


class VenuePath(Protocol):
    """What the watchdog does at a venue. Nothing raises for an outcome of the venue."""

    name: str

    async def resting(self) -> list[Resting] | str:
        """Every working order of the account, or why that is not known."""

    async def cancel_all(self, symbols: Sequence[str]) -> str:
        """One sweep over the whole account; "" when the venue took it. `symbols` for venues without one."""

    async def cancel(self, orders: Sequence[Resting]) -> str:
        """These orders alone; "" when the venue took it, or knows none of them any more."""

    async def rights(self) -> Rights:
        """Asked of the venue in ways that change nothing."""


def _told(answer: Rejected | Uncertain) -> str:
    return f"{answer.code}: {answer.raw}" if isinstance(answer, Rejected) else answer.reason


def _allowed(answer: object) -> bool | None:
    if isinstance(answer, Uncertain):
        return None
    if not isinstance(answer, Rejected):
        return True
    if answer.code == RejectCode.NOT_AUTHORISED:
        return False
    return None if answer.code in SAYS_NOTHING else True


class _KrakenRow(msgspec.Struct, gc=False):
    cl_ord_id: str | None = None


class KrakenPath:
    """Kraken: CancelAll, and batches of fifty."""

    name = "kraken"

    def __init__(self, rest: KrakenRest) -> None:
        self._rest = rest

    async def resting(self) -> list[Resting] | str:
        """See `VenuePath`."""
        fields = [("trades", "false")]
        answer = await self._rest.read("OpenOrders", OpenOrders, fields, cls=Priority.P0, timeout_s=TIMEOUT_S)
        if isinstance(answer, KrakenFailed):
            return answer.reason
        if len(answer.open) > MAX_ORDERS:
            return f"more than {MAX_ORDERS} orders"
        return [
            Resting(venue_id=name, client_id=_client_id(row), symbol="") for name, row in answer.open.items()
        ]

    async def cancel_all(self, symbols: Sequence[str]) -> str:
        """See `VenuePath`."""
        answer = await self._rest.change("CancelAll", CountResult, [], epoch=0, timeout_s=TIMEOUT_S)
        return _told(answer) if isinstance(answer, Rejected | Uncertain) else ""

    async def cancel(self, orders: Sequence[Resting]) -> str:
        """See `VenuePath`."""
        for start in range(0, len(orders), BATCH):
            some = orders[start : start + BATCH]
            fields = [(f"orders[{number}]", one.venue_id) for number, one in enumerate(some)]
            name = "CancelOrderBatch"
            if len(some) == 1:  # the venue's batch has at least two
                name, fields = "CancelOrder", [("txid", some[0].venue_id)]
            answer = await self._rest.change(name, CountResult, fields, epoch=0, timeout_s=TIMEOUT_S)
            if isinstance(answer, Rejected) and answer.code == RejectCode.UNKNOWN_ORDER:
                continue
            if isinstance(answer, Rejected | Uncertain):
                return _told(answer)
        return ""

    async def rights(self) -> Rights:
        """See `VenuePath`."""
        order = [
            ("pair", KRAKEN_PAIR), ("type", "buy"), ("ordertype", "limit"), ("price", "1"),
            ("volume", "1"), ("validate", "true"),
        ]  # fmt: skip
        trades = await self._rest.change("AddOrder", msgspec.Raw, order, epoch=0, timeout_s=TIMEOUT_S)
        cancels = await self._rest.change(
            "CancelOrder", CountResult, [("txid", NO_ORDER)], epoch=0, timeout_s=TIMEOUT_S
        )
        return Rights(trades=_allowed(trades), cancels=_allowed(cancels))


def _client_id(row: msgspec.Raw) -> str:
    try:
        return msgspec.json.decode(row, type=_KrakenRow).cl_ord_id or ""
    except msgspec.DecodeError:
        return ""  # unreadable, and not protective then


class _BinanceRow(msgspec.Struct, gc=False):
    symbol: str
    orderId: int
    clientOrderId: str = ""


class _Restrictions(msgspec.Struct, kw_only=True, gc=False):
    ipRestrict: bool
    enableReading: bool
    enableWithdrawals: bool
    enableInternalTransfer: bool = False
    permitsUniversalTransfer: bool = False


class BinancePath:
    """Binance spot: every symbol has a sweep of its own."""

    name = "binance"

    def __init__(self, rest: BinanceRest, wallet: BinanceRest | None = None) -> None:
        """`wallet` reaches the calls about the key itself; None: they are not asked."""
        self._rest, self._wallet = rest, wallet

    async def resting(self) -> list[Resting] | str:
        """See `VenuePath`."""
        answer = await self._rest.read(
            "openOrders", list[_BinanceRow], weight=OPEN_ORDERS_WEIGHT, cls=Priority.P0, timeout_s=TIMEOUT_S
        )
        if isinstance(answer, Failed):
            return answer.reason
        return [
            Resting(venue_id=str(one.orderId), client_id=one.clientOrderId, symbol=one.symbol)
            for one in answer
        ]

    async def cancel_all(self, symbols: Sequence[str]) -> str:
        """See `VenuePath`. Without symbols nothing can be swept, which is said."""
        if not symbols:
            return "no symbol is known"
        problems = [await self._change("openOrders", [("symbol", one)]) for one in dict.fromkeys(symbols)]
        return next((one for one in problems if one), "")

    async def cancel(self, orders: Sequence[Resting]) -> str:
        """See `VenuePath`."""
        for one in orders:
            problem = await self._change("order", [("symbol", one.symbol), ("orderId", one.venue_id)])
            if problem:
                return problem
        return ""

    async def _change(self, path: str, fields: list[tuple[str, str]]) -> str:
        answer = self._judged(await self._call("DELETE", path, fields))
        if isinstance(answer, Rejected) and answer.code == RejectCode.UNKNOWN_ORDER:
            return ""
        return "" if answer is None else _told(answer)

    async def _call(self, method: str, path: str, fields: list[tuple[str, str]]) -> object:
        return await self._rest.change(
            method, path, msgspec.Raw, fields, epoch=0, cls=Priority.P0, cost=Call(weight=1),
            timeout_s=TIMEOUT_S,
        )  # fmt: skip

    def _judged(self, answer: object) -> Rejected | Uncertain | None:
        if isinstance(answer, Replied):
            return self._rest.judged(answer)
        return answer if isinstance(answer, Rejected | Uncertain) else None

    async def rights(self) -> Rights:
        """See `VenuePath`. The venue itself has one right for both."""
        order = [
            ("symbol", BINANCE_SYMBOL), ("side", "BUY"), ("type", "LIMIT"), ("timeInForce", "GTC"),
            ("quantity", "1"), ("price", "1"),
        ]  # fmt: skip
        trades = self._judged(await self._call("POST", "order/test", order))
        gone = [("symbol", BINANCE_SYMBOL), ("orderId", NO_ORDER_NUMBER)]
        cancels = self._judged(await self._call("DELETE", "order", gone))
        told = await self._restrictions()
        if told is None:
            return Rights(trades=_allowed(trades), cancels=_allowed(cancels))
        return Rights(
            trades=_allowed(trades),
            cancels=_allowed(cancels),
            reads=told.enableReading,
            # whatever moves funds to somebody else counts
            withdraws=told.enableWithdrawals or told.enableInternalTransfer or told.permitsUniversalTransfer,
            bound=told.ipRestrict,
        )

    async def _restrictions(self) -> _Restrictions | None:
        """What the venue says of the key; None: it does not say."""
        if self._wallet is None:
            return None
        answer = await self._wallet.read(
            "account/apiRestrictions", _Restrictions, weight=1, timeout_s=TIMEOUT_S
        )
        return None if isinstance(answer, Failed) else answer


@contextlib.asynccontextmanager
async def open_path(
    venue: str, key: str, secret: str, *, data: Path, url: str, purpose: KeyPurpose = KeyPurpose.WATCHDOG
) -> AsyncIterator[VenuePath]:
    """The path to a venue with a key that nothing else uses. `url` "" is the venue's own address.

    Raises:
        KeyError: no such venue. BadSecret. KeyBusy: another process runs with this key (exit status 75).
        WrongPurpose: the key is for something else. NonceError: an operator has to look first.
    """
    opener = {"kraken": _open_kraken, "binance": _open_binance}[venue]
    async with opener(key, secret, KeyFolder(data), url, purpose) as path:
        yield path


@contextlib.asynccontextmanager
async def _open_kraken(
    key: str, secret: str, keys: KeyFolder, url: str, purpose: KeyPurpose
) -> AsyncIterator[VenuePath]:
    url = url or KrakenEndpoints().rest_url
    raw = decode_secret(secret)
    record = keys.register("kraken", key, label=str(purpose), purpose=purpose)
    lock, nonces = keys.open(record.fingerprint, purpose=purpose)
    limits = KrakenLimits("starter")
    gate, public = Gate(limits), PrivateHttp(url, max_connections=1)
    lane = SignerLane(PrivateHttp(url, max_connections=1), lock=lock, nonces=nonces, gate=gate)
    try:
        yield KrakenPath(KrakenRest(lane, public, key=key, secret=raw, limits=limits, gate=gate))
    finally:
        gate.close()
        await lane.close()
        await public.close()


@contextlib.asynccontextmanager
async def _open_binance(
    key: str, secret: str, keys: KeyFolder, url: str, purpose: KeyPurpose
) -> AsyncIterator[VenuePath]:
    url = url or SPOT.rest_url
    record = keys.register("binance", key, label=str(purpose), purpose=purpose)
    lock = KeyLock(keys.folder, record.fingerprint)  # no nonces: this venue looks at the clock
    clock, limits = ClockGuard(), BinanceLimits(50_000_000)
    gate, public = Gate(limits, clock.venue_ns), PrivateHttp(url, max_connections=1)
    lane = SignerLane(
        PrivateHttp(url, max_connections=2),
        lock=lock,
        stamp_ms=lambda: clock.venue_ns() // 1_000_000,
        gate=gate,
    )

    def calls(prefix: str) -> BinanceRest:
        return BinanceRest(
            lane, public, key=BinanceKey(key, secret), clock=clock, limits=limits, gate=gate, prefix=prefix
        )

    try:
        yield BinancePath(calls(SPOT.rest_prefix), calls(WALLET_PREFIX))
    finally:
        gate.close()
        await lane.close()
        await public.close()
