"""Balances: the sum of all postings, by owner, sub-account, asset and line, in micro-units."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from tradewind.core.enums import Line
from tradewind.core.errors import TradewindError
from tradewind.core.events import Event

FIRST_SYSTEM_LINE = int(Line.WORLD)


class LedgerOutOfBalance(TradewindError):
    """The postings of an event do not sum to zero, or the lines of an asset do not."""

    name = "LEDGER_OUT_OF_BALANCE"


class Balance(msgspec.Struct, frozen=True):
    """Micro-units of one sub-account in one asset."""

    asset: int
    free: int
    held: int
    pending_withdrawal: int
    other: int
    """Cost, pledged, loan, bond and in transit together."""

    @property
    def total(self) -> int:
        return self.free + self.held + self.pending_withdrawal + self.other


class LedgerView:
    """Double-entry balances of accounts and system lines."""

    def __init__(self) -> None:
        self._accounts: dict[int, dict[tuple[int, int, int], int]] = {}
        self._system: defaultdict[tuple[int, int, int], int] = defaultdict(int)

    def on_event(self, event: Event) -> None:
        """
        Raises:
            LedgerOutOfBalance: the event's postings do not sum to zero in every asset.
        """
        postings = getattr(event, "postings", ())
        if not postings:
            return
        sums: dict[int, int] = {}
        for posting in postings:
            sums[posting.asset] = sums.get(posting.asset, 0) + posting.amount
            if posting.line >= FIRST_SYSTEM_LINE:
                self._system[posting.line, posting.owner, posting.asset] += posting.amount
            else:
                lines = self._accounts.setdefault(posting.owner, {})
                key = (posting.sub, posting.asset, posting.line)
                lines[key] = lines.get(key, 0) + posting.amount
        if any(sums.values()):
            raise LedgerOutOfBalance(f"postings of sequence {event.seq} sum to {sums}")

    def line(self, account: int, asset: int, line: int = Line.FREE, sub: int = 0) -> int:
        """Micro-units on one line of an account (by handle); 0 for a line that was never used."""
        return self._accounts.get(account, {}).get((sub, asset, line), 0)

    def system_line(self, line: int, asset: int, key: int = 0) -> int:
        """Micro-units on a system line; `key` is a market or pool handle."""
        return self._system.get((line, key, asset), 0)

    def system_lines(self) -> Iterator[tuple[Line, int, int, int]]:
        """(line, key, asset, micro-units) of every system line in use."""
        for (line, key, asset), amount in sorted(self._system.items()):
            yield Line(line), key, asset, amount

    def balances(self, account: int, sub: int = 0) -> list[Balance]:
        """Balances of a sub-account by asset; empty when it never had any."""
        lines = self._accounts.get(account, {})
        found = []
        for asset in sorted({asset for of_sub, asset, _ in lines if of_sub == sub}):
            by_line = {line: lines.get((sub, asset, line), 0) for line in Line if line < FIRST_SYSTEM_LINE}
            free, held = by_line.pop(Line.FREE), by_line.pop(Line.HELD)
            pending = by_line.pop(Line.PENDING_WITHDRAWAL)
            found.append(Balance(asset, free, held, pending, sum(by_line.values())))
        return found

    def circulating(self, asset: int, kept: set[Line]) -> int:
        """Micro-units of an asset on every line but the system lines `kept`."""
        of_users = (
            amount
            for lines in self._accounts.values()
            for (_, of_asset, _), amount in lines.items()
            if of_asset == asset
        )
        of_system = (
            amount
            for line, _, of_asset, amount in self.system_lines()
            if of_asset == asset and line not in kept
        )
        return sum(of_users) + sum(of_system)

    def totals(self) -> dict[int, int]:
        """Asset → sum over every line: zero for each, or money was made."""
        sums: defaultdict[int, int] = defaultdict(int)
        for lines in self._accounts.values():
            for (_, asset, _), amount in lines.items():
                sums[asset] += amount
        for (_, _, asset), amount in self._system.items():
            sums[asset] += amount
        return dict(sums)

    def check(self) -> None:
        """
        Raises:
            LedgerOutOfBalance: the lines of an asset do not sum to zero.
        """
        wrong = {asset: amount for asset, amount in self.totals().items() if amount}
        if wrong:
            raise LedgerOutOfBalance(f"sums by asset: {wrong}")
