"""The limits of the first stages on the real risk module: orders, positions, pairs, losses, single source.

The clock is the real one; account and market are set by the probe, as an emulated counterparty would. Each
limit is looked for with orders of every path, from the bound of the shipped profile of the stage.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.lab.preflight.limit_cases import Bench, outcomes
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill, ratio
from tradewind.readiness.record import MeasuredValue
from tradewind.trader.records import Latch, decode, encode
from tradewind.trader.risk import check as risk_check
from tradewind.trader.risk import rules_exposure
from tradewind.trader.risk.catalogue import CATALOGUE, stated_keys, unit_of
from tradewind.trader.risk.check import Denied, Order, RiskModule, Snapshot, Working
from tradewind.trader.risk.check import Path as OrderPath
from tradewind.trader.risk.facts import Facts as OrderFacts
from tradewind.trader.risk.loss import DAY_NS, LossGuard
from tradewind.trader.risk.profile import PROFILE_DIR, ConfigError, load_profile, profile_names
from tradewind.trader.risk.rules import ceiling
from tradewind.trader.risk.state import ACCOUNT, TOTAL_LOSS, LatchError, StateTable, TradingState
from tradewind.venues.market_data import Known

FIRST: Final = "canary"
WIDEST: Final = "live-example-3"
PAIR: Final = "BTC/USDT"
ALIASES: Final = ("BTCUSDT", "XBT/USDT", "btc/usdt", "BTC/USD", "BTC-USDT", "ETH/USDT", "DOGE/USDT")
LOT: Final = Decimal("0.000001")
PRICE: Final = Decimal(50_000)
CENT: Final = Decimal("0.01")
MOST_TRIED: Final = Decimal(20)
D = Decimal
Breaks = Callable[[RiskModule], None]


def _intact(_: RiskModule) -> None:
    """Nothing is broken."""


class Stage:
    """The module with the limits of a shipped profile, and an account of 200."""

    def __init__(self, profile: str, breaks: Breaks = _intact) -> None:
        self.limits = load_profile(profile).limits
        self.bench = Bench(self.limits)
        self.breaks = breaks
        fine = msgspec.structs.replace(self.bench.rules[PAIR].instrument, lot=LOT, min_quantity=LOT)
        self.rules = {PAIR: msgspec.structs.replace(self.bench.rules[PAIR], instrument=fine)}

    def module(self, **changes: Any) -> RiskModule:
        """A fresh module; only the pace is left out, since the probe sends everything at one moment."""
        pace = {"max_messages_per_s": 10**6, "max_same_order_repeat_count": 10**6}
        limits = msgspec.structs.replace(self.limits, **{**pace, **changes})
        loss = LossGuard(limits)
        loss.mark(D(200), {}, self.bench.now_ns)
        loss.begin_stage("probe", D(200), self.bench.now_ns)
        risk = RiskModule(limits, loss)
        self.breaks(risk)
        return risk

    def order(self, notional: Decimal, **changes: Any) -> Order:
        """A resting buy worth so much."""
        quantity = (notional / PRICE).quantize(LOT)
        return self.bench.order(price=PRICE, quantity=quantity, **changes)

    def snapshot(self, **changes: Any) -> Snapshot:
        """Equity of 200, nothing held."""
        fields: dict[str, Any] = {
            "rules": self.rules, "equity": Known(D(200), self.bench.now_ns, "probe"),
            "available": {"USDT": D(200)},
        }  # fmt: skip
        return self.bench.snapshot(**{**fields, **changes})


def _raw_check(change: Callable[[Order, Snapshot], tuple[Order, Snapshot] | None]) -> Breaks:
    """Breaks a module: it looks at something else than what it was given; None lets everything pass."""

    def breaks(risk: RiskModule) -> None:
        whole = risk.check

        def broken(order: Order, snapshot: Snapshot) -> list[Denied]:
            seen = change(order, snapshot)
            return [] if seen is None else whole(*seen)

        risk.check = broken  # type: ignore[method-assign]

    return breaks


# ---- order size, position size, pairs, positions ---------------------------------------------------------


def _observe_size(_: ProbeContext, breaks: Breaks = _intact) -> Facts:
    """The largest order that each path lets pass, searched by cents."""
    stage, largest = Stage(FIRST, breaks), {}
    for path in OrderPath:
        risk, passed, notional = stage.module(), D(0), D("4.5")
        while notional <= D(6):
            if not risk.check(stage.order(notional, path=path), stage.snapshot()):
                passed = stage.order(notional).notional
            notional += LOT * PRICE
        largest[str(path)] = str(passed)
    return {"largest": largest, "cap": str(stage.limits.max_order_notional_quote)}


def _summarise_size(facts: Facts) -> Mapping[str, MeasuredValue]:
    sizes = [D(value) for value in facts["largest"].values()]
    over = sum(value > D(facts["cap"]) for value in sizes)
    return {
        "max_order_notional_usdt": MeasuredValue(float(max(sizes)), "USDT", len(sizes)),
        "bypass_paths": count(over, len(sizes)),
    }


def _rounded_up(order: Order, snapshot: Snapshot) -> tuple[Order, Snapshot]:
    """The cap sees the order before its quantity was rounded up to the next lot."""
    return msgspec.structs.replace(order, quantity=order.quantity - LOT), snapshot


position_size = drill(
    "trader-initial-position-size",
    observe=_observe_size,
    broken=lambda context: _observe_size(context, _raw_check(_rounded_up)),
    summarise=_summarise_size,
    provenance="emulated",
)


def _observe_position(_: ProbeContext, breaks: Breaks = _intact) -> Facts:
    """Orders of every size until no more pass; the worst case of what was admitted, with fees."""
    stage, reached = Stage(FIRST, breaks), {}
    for size in ("0.5", "1", "3", "4.95", "5"):
        risk = stage.module()
        book: list[Working] = []
        for number in range(40):
            order = stage.order(D(size))
            if not risk.check(order, stage.snapshot(working=list(book))):
                book += stage.bench.working(1, price=order.price, quantity=order.quantity)
                book[-1] = msgspec.structs.replace(book[-1], client_id=f"p{number}")
        fee = stage.bench.fees.value.taker_rate
        reached[size] = str(sum((one.price * one.quantity * (1 + fee) for one in book), D(0)))
    return {"reached": reached}


def _summarise_position(facts: Facts) -> Mapping[str, MeasuredValue]:
    values = [D(value) for value in facts["reached"].values()]
    # An account that lets nothing pass has no position limit to show.
    worst = max(values) if min(values) > 0 else D(10**6)
    return {"max_position_usd": MeasuredValue(float(worst), "USD", len(values))}


max_position = drill(
    "trader-max-position-size",
    observe=_observe_position,
    broken=lambda context: _observe_position(
        context, _raw_check(lambda order, view: (order, msgspec.structs.replace(view, working=[])))
    ),
    summarise=_summarise_position,
    provenance="emulated",
)


def _concurrent(profile: str, breaks: Breaks) -> dict[str, str]:
    """How many symbols get an order on each path, when eight are listed and nothing is filled."""
    stage, found = Stage(profile, breaks), {}
    names = [f"P{number}/USDT" for number in range(8)]
    listed = {name: stage.limits.symbols[PAIR] for name in names}
    rules = dict.fromkeys(names, stage.rules[PAIR])
    tops = dict.fromkeys(names, stage.bench.top())
    for path in OrderPath:
        risk = stage.module(symbols=listed)
        book: list[Working] = []
        for name in names:
            view = stage.snapshot(rules=rules, tops=tops, working=list(book))
            if not risk.check(stage.order(D(2), symbol=name, path=path), view):
                book += stage.bench.working(1, name, price=PRICE, quantity=D("0.00004"))
        found[str(path)] = str(len(book))
    return found


def _summarise_concurrent(facts: Facts) -> Mapping[str, MeasuredValue]:
    values = [int(value) for value in facts["positions"].values()]
    most = max(values) if min(values) > 0 else 10**6
    return {"max_concurrent_positions": count(most, len(values))}


def _filled_only(_: RiskModule) -> None:
    def rule(risk: RiskModule, facts: OrderFacts, out: list[Denied]) -> None:
        filled = {name for name, quantity in facts.snapshot.positions.items() if quantity}
        bound = D(risk.limits.max_positions_count)
        ceiling(out, risk_check.Code.POSITION_COUNT, "L09", D(len(filled)), bound)

    risk_check.INCREASING = tuple(
        rule if one is rules_exposure.position_count else one for one in risk_check.INCREASING
    )


def _with_rules(observe: Callable[[], Facts]) -> Facts:
    """Runs with rules that may be broken, and puts the whole ones back."""
    whole = risk_check.INCREASING
    try:
        return observe()
    finally:
        risk_check.INCREASING = whole


initial_positions = drill(
    "trader-initial-max-positions",
    observe=lambda _: {"positions": _concurrent(FIRST, _intact)},
    broken=lambda _: _with_rules(lambda: {"positions": _concurrent(FIRST, _filled_only)}),
    summarise=_summarise_concurrent,
    provenance="emulated",
)
concurrent_positions = drill(
    "trader-max-concurrent-positions",
    observe=lambda _: {"positions": _concurrent(WIDEST, _intact)},
    broken=lambda _: {
        "positions": _concurrent(
            WIDEST,
            _raw_check(lambda order, view: None if order.path is OrderPath.MANUAL else (order, view)),
        )
    },
    summarise=_summarise_concurrent,
    provenance="emulated",
)


def _observe_pairs(_: ProbeContext, extra: tuple[str, ...] = ()) -> Facts:
    stage = Stage(FIRST)
    symbols = stage.limits.symbols | {name: stage.limits.symbols[PAIR] for name in extra}
    passed = {}
    for name in (PAIR, *ALIASES):
        tops = {name: stage.bench.top()}
        view = stage.snapshot(rules={name: stage.rules[PAIR]}, tops=tops)
        passed[name] = [
            str(path)
            for path in OrderPath
            if not stage.module(symbols=symbols).check(stage.order(D(2), symbol=name, path=path), view)
        ]
    return {"passed": passed, "listed": sorted(symbols)}


def _summarise_pairs(facts: Facts) -> Mapping[str, MeasuredValue]:
    passed: Mapping[str, list[str]] = facts["passed"]
    foreign = sum(len(paths) for name, paths in passed.items() if name != PAIR)
    return {
        "tradable_pairs": count(sum(bool(paths) for paths in passed.values()), len(passed)),
        "foreign_intents_accepted": count(foreign, (len(passed) - 1) * len(OrderPath)),
    }


single_pair = drill(
    "trader-initial-single-pair",
    observe=_observe_pairs,
    broken=lambda context: _observe_pairs(context, ("XBT/USDT",)),
    summarise=_summarise_pairs,
    provenance="emulated",
)


# ---- losses ----------------------------------------------------------------------------------------------


def _tolerated(tripped: Callable[[Decimal], bool]) -> Decimal:
    """The largest loss of whole cents that does not halt an account of 200, at most 40."""
    loss = D(0)
    while loss < 2 * MOST_TRIED and not tripped(D(200) - loss - CENT):
        loss += CENT
    return loss


def _observe_daily(_: ProbeContext, overlay: str = "") -> Facts:
    """For the stages' profiles: the loss that is still tolerated, and breaches by admitted orders."""
    profiles = {}
    for name in (FIRST, "canary-7", "canary-pair-2", "live-example"):
        stage = Stage(name)
        risk = stage.module()
        limit = risk.loss.limit or D(10**6)
        breaches = admitted = 0
        for cents in range(0, int(limit * 100) + 100, 7):
            loss = D(cents) / 100
            view = stage.snapshot(equity=Known(D(200) - loss, stage.bench.now_ns, "probe"))
            for stop in (D(49_000), D(40_000), None):
                order = stage.order(D(2), stop=stop)
                worst = order.quantity * (PRICE - stop) if stop is not None else D(0)
                if not risk.check(order, view):
                    admitted += 1
                    breaches += loss + worst > limit
        tolerated = _tolerated(risk.loss.tripped)
        profiles[name] = {"tolerated": str(tolerated), "breaches": breaches, "admitted": admitted}
    return {"profiles": profiles, "definitions": _definitions(overlay)}


def _definitions(overlay: str) -> int:
    """Files and tables that state a daily loss for one start: the profile in force, and what is laid over."""
    texts = [(PROFILE_DIR / f"{FIRST}.toml").read_text(), overlay]
    others = [path.read_text() for path in PROFILE_DIR.parent.rglob("*.toml") if path.parent != PROFILE_DIR]
    return sum(any("daily_loss" in key for key in _keys(tomllib.loads(text))) for text in [*texts, *others])


def _keys(table: Any) -> Iterator[str]:
    if isinstance(table, dict):
        for key, value in table.items():
            yield key
            yield from _keys(value)
    elif isinstance(table, list):
        for one in table:
            yield from _keys(one)


def _summarise_daily(facts: Facts) -> Mapping[str, MeasuredValue]:
    profiles = facts["profiles"].values()
    admitted = sum(one["admitted"] for one in profiles)
    breaches = sum(one["breaches"] for one in profiles) + (admitted == 0)
    return {
        "daily_loss_limit_usd": MeasuredValue(
            float(max(D(one["tolerated"]) for one in profiles)), "USD", len(profiles)
        ),
        "limit_breaches": count(breaches, admitted),
        "limit_definitions": count(facts["definitions"], 1),
    }


daily_loss = drill(
    "trader-daily-loss-limit",
    observe=_observe_daily,
    broken=lambda context: _observe_daily(context, '[limits]\ndaily_loss_quote = "50"\n'),
    summarise=_summarise_daily,
    provenance="emulated",
)


def _observe_total(_: ProbeContext, forgets: bool = False) -> Facts:
    """Nine a day, over midnights and a restart a day, until it halts; then restarts and one person."""
    stage = Stage(FIRST)
    loss, states, now_ns, lost = stage.module().loss, StateTable(), stage.bench.now_ns, D(0)
    halted_at: str | None = None
    for _day in range(8):
        for _step in range(18):
            lost += D("0.5")
            if loss.total_tripped(D(200) - lost):
                reason = f"loss {lost}"
                latch = states.trip(
                    ACCOUNT, TOTAL_LOSS, TradingState.HALTED, reason=reason, actor="trader", now_ns=now_ns
                )
                assert latch is not None
                halted_at = halted_at or str(lost)
                break
        if halted_at is not None:
            break
        now_ns += DAY_NS
        loss.mark(D(200) - lost, {}, now_ns)
        if forgets:
            loss.stage = None
            loss.begin_stage("probe", D(200) - lost, now_ns)
        loss = _restarted(loss)
    cleared = 0
    for _life in range(3):
        states = _restarted_states(states)
        cleared += halted_at is not None and states.effective() is not TradingState.HALTED
        try:
            states.clear(ACCOUNT, TOTAL_LOSS, reason="again", actor="one", now_ns=now_ns + 9 * DAY_NS)
        except LatchError:
            continue
        cleared += 1
        break
    return {"halted_at": halted_at, "cleared": cleared}


def _restarted(loss: LossGuard) -> LossGuard:
    again = LossGuard(loss.limits)
    for record in (loss.base, loss.stage):
        if record is not None:
            again.apply(decode(encode(record)[2]))  # type: ignore[arg-type]
    return again


def _restarted_states(states: StateTable) -> StateTable:
    again = StateTable()
    for latch in states.active():
        record = decode(encode(latch)[2])
        assert isinstance(record, Latch)
        again.apply(record)
    return again


def _summarise_total(facts: Facts) -> Mapping[str, MeasuredValue]:
    halted = D(facts["halted_at"] or 10**6)
    return {
        "total_loss_halt_usd": MeasuredValue(float(halted), "USD", 1),
        "cleared_by_restart": count(facts["cleared"], 3),
    }


total_loss = drill(
    "trader-total-loss-breaker",
    observe=_observe_total,
    broken=lambda context: _observe_total(context, forgets=True),
    summarise=_summarise_total,
    provenance="emulated",
)


# ---- all of them -----------------------------------------------------------------------------------------


def _observe_all(_: ProbeContext, breaks: Breaks = _intact) -> Facts:
    return {
        "rows": list(outcomes(load_profile("paper").limits, breaks)),
        "limits": [entry.id for entry in CATALOGUE],
    }


def _without_gross(_: RiskModule) -> None:
    risk_check.INCREASING = tuple(one for one in risk_check.INCREASING if one is not rules_exposure.gross)


def _summarise_all(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows = facts["rows"]
    exercised = {row["limit"] for row in rows}
    return {
        "limits_exercised": ratio(len(exercised & set(facts["limits"])), len(facts["limits"])),
        "unexpected_outcomes": count(sum(row["expected"] != row["seen"] for row in rows), len(rows)),
    }


all_limits = drill(
    "trader-safety-systems-working",
    observe=_observe_all,
    broken=lambda context: _with_rules(lambda: _observe_all(context, _without_gross)),
    summarise=_summarise_all,
    provenance="emulated",
    not_run=("limits driven to their bounds within a campaign",),
)


def _observe_sources(context: ProbeContext, second: str = "") -> Facts:
    """Keys of limits that stand in more than one place with another value, or without a unit."""
    folder = context.scratch / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "more.toml").write_text(second)
    package = Path(PROFILE_DIR).parents[1]
    keys, found = stated_keys(), []
    for path in [*package.rglob("*.toml"), *folder.glob("*.toml")]:
        if path.parent != PROFILE_DIR:
            found += [f"{path.name}: {key}" for key in _keys(tomllib.loads(path.read_text())) if key in keys]
    refused = []
    for name in profile_names():
        try:
            load_profile(name, folder / "more.toml" if second else None)
        except ConfigError as error:
            refused.append(str(error))
    listed = [entry.key for entry in CATALOGUE if entry.key]
    return {
        "elsewhere": found,
        "refused": refused,
        "twice": sorted({key for key in listed if listed.count(key) > 1}),
        "unlisted": sorted(keys ^ set(listed)),
        "without_unit": [
            entry.id
            for entry in CATALOGUE
            if not entry.unit or (entry.key and not unit_of(entry.key) and entry.key != "entry_cost_gate")
        ],
        "limits": len(CATALOGUE),
    }


def _summarise_sources(facts: Facts) -> Mapping[str, MeasuredValue]:
    wrong = sum(len(facts[name]) for name in ("elsewhere", "refused", "twice", "unlisted"))
    return {
        "conflicting_limits": count(wrong, facts["limits"]),
        "limits_without_unit": count(len(facts["without_unit"]), facts["limits"]),
    }


single_source = drill(
    "trader-safety-limits-single-source",
    observe=_observe_sources,
    broken=lambda context: _observe_sources(context, '[limits]\ndaily_loss_pct = "9"\n'),
    summarise=_summarise_sources,
)
