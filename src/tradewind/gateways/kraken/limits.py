"""What a client may send: the connector's own model of Kraken's limits, asked by the server (trading T4.2).

One REST counter a key, one public counter an address, one engine counter an account and pair. Everything is
asked as P0: the shares and reserves of the connector are its own caution, the venue only counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from tradewind.gateways.kraken import errors
from tradewind.gateways.kraken.errors import KrakenError
from tradewind.venues.limits.kraken import (
    Action,
    AddBatch,
    CancelAll,
    Engine,
    Item,
    KrakenLimits,
    PublicCall,
    RestCall,
)
from tradewind.venues.limits.verdicts import OPEN_ORDERS_LIMIT, Denied, Granted, Priority

POINTS: Final = {
    "Ledgers": 2, "TradesHistory": 2, "ClosedOrders": 2, "QueryTrades": 2,
    "AddOrder": 0, "AddOrderBatch": 0, "AmendOrder": 0, "EditOrder": 0,
    "CancelOrder": 0, "CancelOrderBatch": 0, "CancelAll": 0, "CancelAllOrdersAfter": 0,
}  # fmt: skip
"""Points of private REST calls; one for every other. Trading is counted by the engine instead."""

MAX_TRACKED: Final = 65_536
"""Keys, accounts and addresses, each. The one that was made first is forgotten first."""


class ServerLimits:
    """Counters of everybody. `tiers` names the tier of accounts that do not have the default one."""

    def __init__(self, tier: str, tiers: Mapping[str, str] | None = None) -> None:
        """Raises `UnknownTier`."""
        self.tier = tier
        self.tiers = dict(tiers or {})
        for one in {tier, *self.tiers.values()}:
            KrakenLimits(one)
        self._keys: dict[str, KrakenLimits] = {}
        self._addresses: dict[str, KrakenLimits] = {}
        self._accounts: dict[str, KrakenLimits] = {}
        self._sent = 0

    def _of(self, table: dict[str, KrakenLimits], name: str, account: str = "") -> KrakenLimits:
        found = table.get(name)
        if found is None:
            if len(table) >= MAX_TRACKED:
                del table[next(iter(table))]
            found = table[name] = KrakenLimits(self.tiers.get(account, self.tier))
        return found

    def public(self, address: str, now_ns: int) -> None:
        """A public REST call. Raises `KrakenError`."""
        verdict = self._of(self._addresses, address).admit(Priority.P0, [PublicCall()], now_ns)
        if not isinstance(verdict, Granted):
            raise KrakenError(errors.RATE_LIMIT)

    def private(self, key: str, account: str, method: str, now_ns: int) -> None:
        """A private REST call. Raises `KrakenError`."""
        points = POINTS.get(method, 1)
        verdict = self._of(self._keys, key, account).admit(Priority.P0, [RestCall(points)], now_ns)
        if not isinstance(verdict, Granted):
            raise KrakenError(errors.RATE_LIMIT)

    def engine(self, account: str, items: Sequence[Item], now_ns: int) -> None:
        """Actions on orders. Raises `KrakenError`."""
        verdict = self._of(self._accounts, account, account).admit(Priority.P0, items, now_ns)
        if isinstance(verdict, Denied) and verdict.reason == OPEN_ORDERS_LIMIT:
            raise KrakenError("EOrder:Orders limit exceeded")
        if not isinstance(verdict, Granted):
            raise KrakenError(errors.ENGINE_RATE_LIMIT)

    def name(self) -> str:
        """A name for an order that has no number yet."""
        self._sent += 1
        return f"sent-{self._sent}"

    def working(self, account: str, symbol: str, order: int, now_ns: int, sent_as: str = "") -> None:
        """An order was accepted or amended: its age counts from now."""
        limits = self._of(self._accounts, account, account)
        if sent_as:
            limits.gone(symbol, sent_as)
        limits.working(symbol, str(order), now_ns)

    def gone(self, account: str, symbol: str, order: int | str) -> None:
        """An order ended, or never came to be."""
        self._of(self._accounts, account, account).gone(symbol, str(order))

    def points(self, account: str, symbol: str, now_ns: int) -> Decimal:
        """The engine counter of a pair: `ratecount` of executions."""
        level = self._of(self._accounts, account, account).levels(now_ns).get(f"engine:{symbol}")
        return Decimal(0) if level is None else level[0]

    def threshold(self, account: str) -> int:
        """Where the engine counter ends: `maxratecount`."""
        return int(self._of(self._accounts, account, account).threshold)


__all__ = ["Action", "AddBatch", "CancelAll", "Engine", "ServerLimits"]
