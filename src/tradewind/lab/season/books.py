"""The books of a season, kept from postings and events alone, and held against the engine's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy

from tradewind.core.enums import Line
from tradewind.core.native import event_kinds
from tradewind.core.records import codec
from tradewind.lab.scenarios.accounting import FIRST_SYSTEM_LINE, body_of

POOL_OWNER = 2**32 - 1
"""Account of claims that a pool holds."""
KEYED = (Line.SET_ESCROW, Line.POOL_CASH, Line.BOND_ESCROW)
"""System lines with an entry for each market, at its handle + 1."""


class Books:
    """Σ by asset and line, escrow by market, and who holds which claims."""

    def __init__(self, assets: int, markets: int) -> None:
        self.posting_dtype, self.event_dtype = codec("Posting").dtype(), codec("Event").dtype()
        self.codes = {code: name for name, (code, _) in event_kinds().items()}
        self.lines = numpy.zeros((assets, 256), numpy.int64)
        """Σ of a line over its owners, micro-units."""
        self.keyed = {line: numpy.zeros(markets + 1, numpy.int64) for line in KEYED}
        """Settlement money of a market's own lines by handle + 1."""
        self.claims: dict[int, dict[tuple[int, int], int]] = {}
        """Micro-shares by market and (account, outcome), open orders included; nothing is kept of zero."""
        self.system: dict[tuple[int, int, int], int] = {}
        """Other system lines: micro-units by asset, line and key."""
        self.counts: dict[str, int] = {}
        self.events = self.redeemed = 0

    def add(self, batch: Any) -> None:
        """Reads one batch."""
        self._add_postings(numpy.frombuffer(batch.postings, self.posting_dtype))
        events = numpy.frombuffer(batch.events, self.event_dtype)
        self.events += len(events)
        codes, counts = numpy.unique(events["kind"], return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            name = self.codes[code]
            self.counts[name] = self.counts.get(name, 0) + count
            if name == "ClaimsMoved":
                self._add_claims(events[events["kind"] == code])
            elif name == "Redeemed":
                self.redeemed += int(body_of(events[events["kind"] == code], "RedeemedBody")["amount"].sum())

    def _add_postings(self, postings: Any) -> None:
        numpy.add.at(self.lines, (postings["asset"], postings["line"]), postings["amount"])
        for line, by_market in self.keyed.items():
            ours = postings[postings["line"] == line]
            numpy.add.at(by_market, ours["owner"], ours["amount"])
        rest = postings[(postings["line"] >= FIRST_SYSTEM_LINE) & ~numpy.isin(postings["line"], KEYED)]
        places = zip(rest["asset"].tolist(), rest["line"].tolist(), rest["owner"].tolist(), strict=True)
        for place, amount in zip(places, rest["amount"].tolist(), strict=True):
            self.system[place] = self.system.get(place, 0) + amount

    def _add_claims(self, events: Any) -> None:
        bodies = body_of(events, "ClaimsBody")
        rows = zip(
            events["market"].tolist(),
            events["account"].tolist(),
            bodies["outcome"].tolist(),
            bodies["free"].tolist(),
            bodies["held"].tolist(),
            strict=True,
        )
        for market, account, outcome, free, held in rows:
            holders = self.claims.setdefault(market, {})
            if free + held:
                holders[account, outcome] = free + held
            else:
                holders.pop((account, outcome), None)

    def holders(self, market: int) -> list[int]:
        """Accounts with claims of a market, ascending; pools are none."""
        return sorted({account for account, _ in self.claims.get(market, {}) if account != POOL_OWNER})

    def supply(self, market: int, outcome: int) -> int:
        """Micro-shares of an outcome with all holders."""
        return sum(lots for (_, one), lots in self.claims.get(market, {}).items() if one == outcome)

    def owned(self, asset: int) -> int:
        """What users have of an asset on all their lines, micro-units."""
        return int(self.lines[asset, :FIRST_SYSTEM_LINE].sum())

    def line(self, asset: int, line: Line) -> int:
        return int(self.lines[asset, line])

    def differences(self, core: Any, asset: int) -> Iterator[str]:
        """Where Σ of an asset is not zero, or a system line is not what the engine says: nowhere."""
        total = int(self.lines[asset].sum())
        if total:
            yield f"the postings of asset {asset} sum to {total}"
        for (one, line, key), amount in self.system.items():
            if one == asset and (engine := core.system_balance(line, key, asset)) != amount:
                yield f"asset {asset}, line {line:#x}, key {key}: engine {engine}, postings {amount}"

    def market_differences(self, core: Any, asset: int, markets: int) -> Iterator[str]:
        """The same for the lines of each market."""
        for line, by_market in self.keyed.items():
            for market in range(markets):
                engine, amount = core.system_balance(int(line), market + 1, asset), int(by_market[market + 1])
                if engine != amount:
                    yield f"market {market}, line {line.name}: engine {engine}, postings {amount}"
