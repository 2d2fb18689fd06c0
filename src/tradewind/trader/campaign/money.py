"""Money of a campaign from its raw lines: exact decimals, first bought is first sold."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal

from .samples import FillLine

ZERO = Decimal(0)


def round_trips(fills: Iterable[FillLine]) -> list[Decimal]:
    """Profit of every sell against the lots it closed, fees of both sides included, in quote units.

    A sell without a lot is skipped: it closes something that was held before the window.
    """
    held: dict[str, deque[list[Decimal]]] = {}
    results = []
    for fill in fills:
        lots = held.setdefault(fill.symbol, deque())
        price, quantity, fee = Decimal(fill.price), Decimal(fill.quantity), Decimal(fill.fee)
        if fill.side == "buy":
            lots.append([quantity, price, fee / quantity])
            continue
        left, profit, closed = quantity, -fee, ZERO
        while left > 0 and lots:
            lot = lots[0]
            part = min(left, lot[0])
            profit += part * (price - lot[1] - lot[2])
            closed += part
            left -= part
            lot[0] -= part
            if not lot[0]:
                lots.popleft()
        if closed:
            results.append(profit)
    return results


def drawdown(equity: Sequence[Decimal]) -> float | None:
    """Largest fall from a high as a share of it; None without values."""
    worst, high = ZERO, None
    for value in equity:
        high = value if high is None else max(high, value)
        if high > 0:
            worst = max(worst, (high - value) / high)
    return None if high is None else float(worst)
