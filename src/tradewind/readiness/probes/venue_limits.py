"""venue-rate-limit-bucket and venue-rate-limit-models: the limiters against venues that know their rules.

The venues here are written from the published rules, in fractions, and share no code with the models. Time is
virtual: hours of order flow take seconds.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue
from tradewind.venues.limits.binance import BinanceLimits, Call
from tradewind.venues.limits.kraken import Action, Engine, KrakenLimits, RestCall
from tradewind.venues.limits.sliding import Request, SlidingLimits, polymarket_rules
from tradewind.venues.limits.socket import MESSAGE_BURST, MESSAGES_PER_S, SocketBudget
from tradewind.venues.limits.verdicts import GRANTED, SECOND_NS, Priority

SEED: Final = 4_200
PAIR: Final = "BTC/USD"
TIERS: Final = {"starter": (60, "1", 15, "0.33"), "pro": (180, "3.75", 20, "1")}
CANCEL_POINTS: Final = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))
AMEND_POINTS: Final = ((5, 3), (10, 2), (15, 1))
FLOW_STEPS: Final = 4_000
PRESSURE: Final = 10
"""Times the permitted rate."""
PRESSURE_S: Final = 300
WINDOW_LIMIT: Final = 600
WINDOW_NS: Final = 10 * SECOND_NS
MESSAGES_A_SECOND: Final = 5


class _Counter:
    """A venue's counter that decays; a request above its threshold is refused."""

    def __init__(self, threshold: int, decay: str) -> None:
        self.threshold, self.decay = threshold, Fraction(decay)
        self.level, self.at_ns, self.refused = Fraction(0), 0, 0

    def look(self, now_ns: int) -> Fraction:
        self.level = max(Fraction(0), self.level - self.decay * (now_ns - self.at_ns) / SECOND_NS)
        self.at_ns = now_ns
        return self.level

    def take(self, points: int, now_ns: int) -> bool:
        if self.look(now_ns) + points > self.threshold:
            self.refused += 1
            return False
        self.level += points
        return True


class _Engine(_Counter):
    """The engine's counter of one pair, with the ages of its orders."""

    def __init__(self, threshold: int, decay: str) -> None:
        super().__init__(threshold, decay)
        self.born: dict[str, int] = {}

    def act(self, action: Action, order: str, now_ns: int) -> bool:
        age_s = (now_ns - self.born.get(order, now_ns)) / SECOND_NS
        steps = {Action.CANCEL: CANCEL_POINTS, Action.AMEND: AMEND_POINTS}.get(action, ())
        fixed = 0 if action is Action.CANCEL else 1
        points = fixed + next((extra for below_s, extra in steps if age_s < below_s), 0)
        if not self.take(points, now_ns):
            return False
        if action is Action.CANCEL:
            self.born.pop(order, None)
        else:
            self.born[order] = now_ns
        return True

    def cancels_everything(self, now_ns: int) -> bool:
        """Whether a cancel of every open order now would pass; nothing is changed."""
        points = sum(
            next((extra for below_s, extra in CANCEL_POINTS if (now_ns - born) / SECOND_NS < below_s), 0)
            for born in self.born.values()
        )
        return self.look(now_ns) + points <= self.threshold


class _Windows:
    """Requests in fixed windows of the venue's clock."""

    def __init__(self) -> None:
        self.used: dict[int, int] = {}
        self.refused = 0

    def take(self, weight: int, now_ns: int) -> None:
        number = now_ns // WINDOW_NS
        self.used[number] = self.used.get(number, 0) + weight
        self.refused += self.used[number] > WINDOW_LIMIT


class _Log:
    """Requests in any span of time."""

    def __init__(self, limit: int, span_ns: int) -> None:
        self.limit, self.span_ns, self.refused = limit, span_ns, 0
        self._moments: deque[int] = deque()

    def take(self, now_ns: int) -> None:
        while self._moments and now_ns - self._moments[0] >= self.span_ns:
            self._moments.popleft()
        self._moments.append(now_ns)
        self.refused += len(self._moments) > self.limit


class Greedy(KrakenLimits):
    """New orders use the points that cancels will need."""

    def _engine_wait(self, cls: Priority, name: str, demand: Any, now_ns: int) -> Any:
        demand.new_risk = False
        return super()._engine_wait(Priority.P0, name, demand, now_ns)


def _flow(limits: KrakenLimits, venue: _Engine, chance: random.Random) -> dict[str, Any]:
    """Random order flow of one pair: how far off the prediction was, and states that block a cancel-all."""
    now_ns, worst, blocked = 0, Fraction(0), 0
    for number in range(FLOW_STEPS):
        now_ns += chance.choice((0, 0, 0, 50, 400, 3_000, 9_000)) * 1_000_000
        orders = sorted(venue.born)
        action = chance.choice((Action.ADD, Action.ADD, Action.ADD, Action.AMEND, Action.CANCEL))
        if action is not Action.ADD and not orders:
            continue
        order = f"o{number}" if action is Action.ADD else chance.choice(orders)
        cls = Priority.P0 if action is Action.CANCEL else chance.choice((Priority.P3, Priority.P1))
        item = Engine(action=action, pair=PAIR, order=order)
        if limits.admit(cls, [item], now_ns) == GRANTED:
            venue.act(action, order, now_ns)
            if action is not Action.CANCEL:
                limits.working(PAIR, order, now_ns)
        level = limits.levels(now_ns).get(f"engine:{PAIR}", (Decimal(0), 0))[0]
        worst = max(worst, abs(Fraction(level) - venue.look(now_ns)))
        blocked += not venue.cancels_everything(now_ns)
    return {"worst": float(worst), "blocked": blocked, "refused": venue.refused, "states": FLOW_STEPS}


def _rules() -> list[dict[str, Any]]:
    row = {"rateLimitType": "REQUEST_WEIGHT", "interval": "SECOND", "intervalNum": 10, "limit": WINDOW_LIMIT}
    return [row]


def _windows(chance: random.Random) -> dict[str, Any]:
    """Random requests in fixed windows: the venue's own total against the predicted one."""
    limits, venue, now_ns, worst = BinanceLimits(), _Windows(), 28_000_000 * 60 * SECOND_NS, 0
    limits.load(_rules(), now_ns)
    for _ in range(FLOW_STEPS):
        now_ns += chance.choice((0, 0, 1, 20, 700)) * 1_000_000
        weight = chance.randint(1, 40)
        if limits.admit(chance.choice(list(Priority)), [Call(weight=weight)], now_ns) == GRANTED:
            venue.take(weight, now_ns)
        predicted = int(limits.levels(now_ns)["REQUEST_WEIGHT:10s"][0])
        worst = max(worst, abs(predicted - venue.used.get(now_ns // WINDOW_NS, 0)))
    return {"worst": worst, "blocked": 0, "refused": venue.refused, "states": FLOW_STEPS}


def _observe_models(_: ProbeContext, make: Callable[[str], KrakenLimits] = KrakenLimits) -> Facts:
    chance = random.Random(SEED)  # noqa: S311 the same flow in every run
    rows = {name: _flow(make(name), _Engine(*row[:2]), chance) for name, row in TIERS.items()}
    return rows | {"windows": _windows(chance)}


def _summarise_models(facts: Facts) -> Mapping[str, MeasuredValue]:
    states = sum(row["states"] for row in facts.values())
    # A refused request is a prediction that was wrong in the only way that costs something.
    refused = any(row["refused"] for name, row in facts.items() if name == "windows")
    worst = max(row["worst"] for row in facts.values()) + (2 if refused else 0)
    return {
        "counter_prediction_error": MeasuredValue(worst, "points", states),
        "cancel_all_blocked_states": count(sum(row["blocked"] for row in facts.values()), states),
    }


models = drill(
    "venue-rate-limit-models",
    observe=_observe_models,
    broken=lambda context: _observe_models(context, Greedy),
    summarise=_summarise_models,
    provenance="emulated",
)


def _press(ask: Callable[[int], bool], send: Callable[[int], None], per_s: float) -> int:
    """Asks at ten times the permitted rate for five minutes, and sends what was let out."""
    step_ns, sent = int(SECOND_NS / (per_s * PRESSURE)), 0
    for now_ns in range(SECOND_NS, (PRESSURE_S + 1) * SECOND_NS, step_ns):
        if ask(now_ns):
            send(now_ns)
            sent += 1
    return sent


def _pressed(messages_per_s: Decimal = MESSAGES_PER_S) -> Facts:
    facts: dict[str, Any] = {}
    for tier, (threshold, decay, maximum, rest_decay) in TIERS.items():
        limits, rest = KrakenLimits(tier), _Counter(maximum, rest_decay)
        sent = _press(
            lambda now_ns, limits=limits: limits.admit(Priority.P3, [RestCall()], now_ns) == GRANTED,  # type: ignore[misc]  # bound early
            lambda now_ns, rest=rest: rest.take(1, now_ns) and None,  # type: ignore[misc]  # bound early
            float(rest_decay),
        )
        facts[f"kraken rest {tier}"] = {"sent": sent, "refused": rest.refused}
        facts[f"kraken engine {tier}"] = _pressed_engine(KrakenLimits(tier), _Engine(threshold, decay))
    windows, venue = BinanceLimits(), _Windows()
    windows.load(_rules(), SECOND_NS)
    sent = _press(
        lambda now_ns: windows.admit(Priority.P3, [Call(weight=5)], now_ns) == GRANTED,
        lambda now_ns: venue.take(5, now_ns),
        WINDOW_LIMIT / 10 / 5,
    )
    facts["binance weight"] = {"sent": sent, "refused": venue.refused}
    facts["polymarket reads"] = _pressed_sliding()
    budget, socket = SocketBudget(messages_per_s, MESSAGE_BURST), _Log(MESSAGES_A_SECOND, SECOND_NS)
    sent = _press(lambda now_ns: budget.message(now_ns) == GRANTED, socket.take, MESSAGES_A_SECOND)
    facts["socket messages"] = {"sent": sent, "refused": socket.refused}
    return facts


def _pressed_engine(limits: KrakenLimits, venue: _Engine) -> dict[str, int]:
    """Adds and cancels as fast as they are let out, at ten times what the decay sustains."""
    number = 0

    def ask(now_ns: int) -> bool:
        item = Engine(action=Action.ADD, pair=PAIR, order=f"o{number}")
        return limits.admit(Priority.P3, [item], now_ns) == GRANTED

    def send(now_ns: int) -> None:
        nonlocal number
        venue.act(Action.ADD, f"o{number}", now_ns)
        limits.working(PAIR, f"o{number}", now_ns)
        cancel = Engine(action=Action.CANCEL, pair=PAIR, order=f"o{number}")
        if limits.admit(Priority.P0, [cancel], now_ns) == GRANTED:
            venue.act(Action.CANCEL, f"o{number}", now_ns)
        number += 1

    return {"sent": _press(ask, send, float(venue.decay)), "refused": venue.refused}


def _pressed_sliding() -> dict[str, int]:
    limits, venue, request = SlidingLimits(polymarket_rules()), _Log(50, WINDOW_NS), [Request(("reads",))]

    def send(now_ns: int) -> None:
        venue.take(now_ns)
        limits.done(request, now_ns)

    sent = _press(lambda now_ns: limits.admit(Priority.P3, request, now_ns) == GRANTED, send, 5.0)
    return {"sent": sent, "refused": venue.refused}


def _summarise_bucket(facts: Facts) -> Mapping[str, MeasuredValue]:
    sent = sum(row["sent"] for row in facts.values())
    idle = sum(row["sent"] == 0 for row in facts.values())
    # A class that lets nothing out is not smoothed, it is shut.
    return {"venue_rate_rejects": count(sum(row["refused"] for row in facts.values()) + idle, sent)}


bucket = drill(
    "venue-rate-limit-bucket",
    observe=lambda _: _pressed(),
    broken=lambda _: _pressed(MESSAGES_PER_S * 2),
    summarise=_summarise_bucket,
    provenance="emulated",
)
