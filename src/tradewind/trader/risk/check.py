"""`RiskModule.check`: every limit of T11.3 for one order, in one synchronous call.

Comparison rule (T11.2): a ceiling passes when value <= limit, a floor when value >= limit. All failures are
listed. An error inside the module denies with `RiskInternal`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal

from . import rules, rules_exposure, rules_loss, rules_market, rules_strategy
from .behaviour import Behaviour
from .facts import Facts, worst_exposures
from .loss import LossGuard
from .model import Code, Denied, Order, Path, Snapshot, Top, Working
from .profile import Limits
from .recent import MAX_RECENT_ORDERS, Recent
from .rules import Rule

__all__ = [
    "MAX_RECENT_ORDERS",
    "Code",
    "Denied",
    "Order",
    "Path",
    "RiskModule",
    "Snapshot",
    "Top",
    "Working",
    "worst_exposures",
]

CostGate = Callable[[Order, Snapshot], Decimal | str]
"""The edge in bps that an entry needs (T14.3), or the reason why nobody can say."""

ALWAYS: tuple[Rule, ...] = (
    rules.filters,
    rules.state,
    rules.order_quantity,
    rules.order_notional,
    rules.collar,
    rules.self_match,
    rules.funds,
    rules_strategy.own_position,
)
"""For every order of every path, also when it reduces."""
PACED: tuple[Rule, ...] = (rules.message_rate, rules.repeat, rules.age)
"""For every order but the slices of a flatten."""
INCREASING: tuple[Rule, ...] = (
    rules_market.market_known,
    rules_market.balance_known,
    rules_exposure.solvent,
    rules_exposure.position,
    rules_exposure.risk_to_stop,
    rules_exposure.gross,
    rules_exposure.net,
    rules_exposure.leverage,
    rules_exposure.cluster,
    rules_exposure.factor,
    rules_exposure.venue_share,
    rules_exposure.unattended,
    rules_exposure.equity_cap,
    rules_exposure.open_orders,
    rules_exposure.position_count,
    rules_strategy.budget,
    rules_loss.daily_loss,
    rules_loss.total_loss,
    rules_loss.drawdown,
    rules_loss.strategy_loss,
    rules_market.spread,
    rules_market.participation,
    rules_market.cost_gate,
    rules_market.behaviour,
    rules_market.unresolved,
)
"""For orders that may increase a position."""


class RiskModule:
    """The risk module. It remembers recent messages (for the rate limits), order patterns, and counts."""

    def __init__(
        self,
        limits: Limits,
        loss: LossGuard,
        *,
        behaviour: Behaviour | None = None,
        cost_gate: CostGate | None = None,
    ) -> None:
        self.limits = limits
        self.loss = loss
        self.behaviour = behaviour or Behaviour()
        self.cost_gate = cost_gate
        self.recent = Recent()
        self.denials: Counter[str] = Counter()
        self.reported: Counter[str] = Counter()
        self.checked = 0
        self.latest: Facts | None = None
        """What the last check was about, so that nobody has to work it out again."""

    def check(self, order: Order, snapshot: Snapshot) -> list[Denied]:
        """Empty when the order may be sent. Counts the message and the denials. Never raises."""
        self.checked += 1
        denied: list[Denied] = []
        try:
            if order.symbol not in snapshot.rules or order.symbol not in self.limits.symbols:
                denied.append(Denied(code=Code.UNKNOWN_SYMBOL, limit="L01", detail=order.symbol))
            else:
                facts = self.latest = Facts(order, snapshot)
                self._apply(facts, denied)
                if not denied and order.path is not Path.FLATTEN:
                    self.behaviour.passed(order, facts.notional, snapshot.now_ns)
        except Exception as error:  # noqa: BLE001 - T11.9: an error in here is a denial, whatever it is
            denied = [Denied(code=Code.RISK_INTERNAL, limit="T11.9", detail=repr(error))]
        if denied:
            for denial in denied:
                self.denials[denial.code] += 1
                self.recent.denied(order.strategy, denial.code, snapshot.now_ns)
        else:
            self.recent.passed(order, snapshot.now_ns)
        return denied

    def _apply(self, facts: Facts, denied: list[Denied]) -> None:
        """Filters first; then what concerns all orders; then what concerns only risk-increasing ones."""
        for rule in ALWAYS:
            rule(self, facts, denied)
        if facts.order.path is not Path.FLATTEN:
            for rule in PACED:
                rule(self, facts, denied)
        if not facts.reduces:
            for rule in INCREASING:
                rule(self, facts, denied)

    def denial_storm(self, strategy: str, now_ns: int) -> str | None:
        """The code that this strategy was denied with too often within a minute (T11.9), if any."""
        return self.recent.storm(strategy, now_ns, self.limits.max_denials_per_minute_count)

    @staticmethod
    def reduces(order: Order, snapshot: Snapshot) -> bool:
        """Whether the order cannot increase |position| even if every working order on its side fills too."""
        return Facts(order, snapshot).reduces
