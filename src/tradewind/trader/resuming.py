"""What a start finds of the life before: requests that were in flight, orders of strategies that are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import risk_view
from .orders import ManagedOrder, State
from .risk.check import Path
from .strategy import CancelIntent

if TYPE_CHECKING:
    from .service import TraderService


def resolve(trader: TraderService, now_ns: int) -> None:
    """What was in flight when the process ended (T7.11): the venue's log is complete, absence is proven."""
    for order in list(trader.oms.orders.values()):
        if order.state in {State.AMEND_PENDING, State.CANCEL_PENDING}:
            order.pending_price_ticks = order.pending_lots = None
            order.settle(at_ns=now_ns)
            trader.trim(order)
        elif order.state in {State.JOURNALED, State.SENT, State.UNKNOWN}:
            _resolve_absent(trader, order, now_ns)


def _resolve_absent(trader: TraderService, order: ManagedOrder, now_ns: int) -> None:
    if trader.venue.account.find(order.client_id) is not None:
        return
    age_ms = (now_ns - order.intent.decision_ns) // 1_000_000
    if order.intent.policy == "resend" and age_ms <= trader.profile.account.max_intent_age_ms:
        request = risk_view.risk_order_of(trader, order, Path.RESEND, order.intent.decision_ns)
        snapshot = trader.snapshot_for_risk(
            strategy=order.intent.strategy, symbol=order.intent.symbol, replaces=order.client_id
        )
        if not trader.risk.check(request, snapshot):
            trader.decisions.sends.append(lambda: trader.oms.send(order, trader.venue, now_ns))
            return
    trader.record(trader.oms.abandon(order, "absent at the venue after a restart", now_ns))


def cancel_orphans(trader: TraderService) -> None:
    """Orders of strategies that are not run any more are cancelled."""
    for order in trader.oms.working():
        if order.intent.path == Path.STRATEGY and order.intent.strategy not in trader.hosts.by_name:
            cancel = CancelIntent(client_id=order.client_id, reason="its strategy is not run any more")
            trader.wish(order.intent.strategy, Path.MANUAL, cancel)
