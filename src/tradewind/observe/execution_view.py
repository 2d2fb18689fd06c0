"""Parent orders as part of the platform view. Reading only."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from tradewind.trader.execution.desk import ExecutionDesk
from tradewind.trader.execution.model import ParentState

from .view import ExecutionView

_ENDED = "ended "
_WAIT = "wait "


def execution(desk: ExecutionDesk) -> ExecutionView:
    """Counts and slippage of the parents of one trader."""
    states = Counter(str(parent.state) for parent in desk.book.open_parents())
    costs: dict[str, tuple[Decimal, Decimal]] = {}
    for parent in desk.book.parents.values():
        cost = parent.cost_bps
        if not parent.is_ended or cost is None:
            continue
        weight, total = costs.get(parent.opened.algorithm, (Decimal(0), Decimal(0)))
        costs[parent.opened.algorithm] = (weight + parent.value, total + cost * parent.value)
    return ExecutionView(
        open={str(state): states[str(state)] for state in ParentState if states[str(state)]},
        ended=_counted(desk, _ENDED),
        waits=_counted(desk, _WAIT),
        children_denied=desk.counts["children denied"],
        slippage_bps={name: float(total / weight) for name, (weight, total) in sorted(costs.items())},
    )


def _counted(desk: ExecutionDesk, prefix: str) -> dict[str, int]:
    found = sorted(desk.counts.items())
    return {name.removeprefix(prefix): count for name, count in found if name.startswith(prefix)}
