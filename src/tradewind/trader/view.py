"""`snapshot(trader)`: everything a console or an API shows of the trader, as plain data. Unknown is None
with a reason.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from tradewind.venues.market_data import Known, Side, Stale, Unknown

from .risk.check import worst_exposures
from .risk.state import TradingState

if TYPE_CHECKING:
    from .hosting.host import StrategyHost
    from .service import TraderService

ZERO = Decimal(0)
MILLISECOND_NS = 1_000_000
WARN_AT = Decimal("0.8")


class ValueView(msgspec.Struct, frozen=True, kw_only=True):
    """A value with its quality: `known`, `stale` or `unknown` (then `value` is None unless a last one
    exists).
    """

    quality: str
    value: Decimal | None
    age_ms: int | None
    reason: str = ""


class BalanceView(msgspec.Struct, frozen=True, kw_only=True):
    """One asset of the trader's ledger; `age_ms` since it last equalled the venue's."""

    asset: str
    available: Decimal
    reserved: Decimal
    total: Decimal
    quality: str
    age_ms: int | None


class PositionView(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol's position, by cost of its lots."""

    symbol: str
    quantity: Decimal
    average_price: Decimal | None
    mark: ValueView
    realised: Decimal
    unrealised: Decimal | None
    fees: Decimal
    net: Decimal | None
    fills: int
    volume_quote: Decimal
    is_dust: bool


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An open order."""

    client_id: str
    venue_id: str | None
    strategy: str
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    filled: Decimal
    state: str
    tag: str
    age_ms: int


class FillView(msgspec.Struct, frozen=True, kw_only=True):
    """A recent fill."""

    trade_id: str
    client_id: str
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    at_ns: int


class LimitView(msgspec.Struct, frozen=True, kw_only=True):
    """A limit as a fuel gauge. `used` None: not known now. `state`: ok, warn (80 %), full (beyond) or
    unknown.
    """

    id: str
    name: str
    used: Decimal | None
    limit: Decimal
    unit: str
    fraction: Decimal | None
    state: str


class LatchView(msgspec.Struct, frozen=True, kw_only=True):
    """A restriction in force."""

    scope: str
    cause: str
    level: str
    latching: bool
    reason: str
    actor: str
    since_ns: int
    not_before_ns: int


class StrategyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy: its own result, holdings, orders and callback times. `error` is why it is halted."""

    name: str
    version: str
    code_hash: str
    state: str
    error: str
    symbols: tuple[str, ...]
    outside: tuple[str, ...]
    budget_pct: Decimal
    realised: Decimal
    unrealised: Decimal | None
    fees: Decimal
    net: Decimal | None
    positions: dict[str, Decimal]
    fills: int
    open_orders: int
    intents: int
    callbacks: int
    callback_p99_us: float | None
    callback_max_us: float
    memory_bytes: int | None
    restarts: int


class TraderSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The trader at one moment. Money is `Decimal`; encode it as strings."""

    at_ns: int
    environment: str
    venue: str
    currency: str
    strategy: str
    strategy_version: str
    strategy_state: str
    strategy_note: str
    fee_schedule: str
    maker_bps: Decimal
    taker_bps: Decimal
    state: str
    latches: tuple[LatchView, ...]
    equity: ValueView
    day_base: Decimal | None
    day_loss: Decimal | None
    drawdown_step: int
    realised: Decimal
    unrealised: Decimal | None
    fees: Decimal
    net: Decimal | None
    balances: tuple[BalanceView, ...]
    positions: tuple[PositionView, ...]
    orders: tuple[OrderView, ...]
    fills: tuple[FillView, ...]
    limits: tuple[LimitView, ...]
    reconciled: bool | None
    reconciled_age_ms: int | None
    reconciliation_differences: tuple[str, ...]
    strategies: tuple[StrategyRow, ...]
    counters: dict[str, int]
    denials: dict[str, int]
    alarms: tuple[tuple[int, str], ...]


def snapshot(trader: TraderService, *, max_fills: int = 100) -> TraderSnapshot:
    """The trader now. Reads only; cheap enough for several calls per second."""
    now_ns = trader.port.now_ns()
    pnl = trader.marks.profit_and_loss()
    equity = trader.marks.equity()
    fees = trader.fees.value if isinstance(trader.fees, Known) else trader.venue.setup.fees
    base = trader.loss.base
    reconciled = trader.reconciled
    note = trader.strategy_error or str(getattr(trader.strategy, "gate_reason", ""))
    return TraderSnapshot(
        at_ns=now_ns,
        environment=trader.oms.identity.environment,
        venue=trader.venue.name,
        currency=trader.profile.account.currency,
        strategy=trader.name,
        strategy_version=trader.strategy.manifest.version,
        strategy_state=_strategy_state(trader, next(iter(trader.hosts))),
        strategy_note=note,
        fee_schedule=fees.name,
        maker_bps=fees.maker_bps,
        taker_bps=fees.taker_bps,
        state=trader.state().name,
        latches=tuple(_latch(latch) for latch in trader.states.active()),
        equity=_value(equity, now_ns),
        day_base=base.equity if base else None,
        day_loss=trader.loss.loss(equity.value) if isinstance(equity, Known) else None,
        drawdown_step=trader.loss.step,
        realised=pnl.realised,
        unrealised=pnl.unrealised,
        fees=pnl.fees,
        net=pnl.net,
        balances=_balances(trader, now_ns),
        positions=_positions(trader, now_ns),
        orders=_orders(trader, now_ns),
        fills=_fills(trader, max_fills),
        limits=limits(trader),
        reconciled=reconciled.clean if reconciled else None,
        reconciled_age_ms=_age_ms(now_ns, reconciled.at_ns) if reconciled else None,
        reconciliation_differences=tuple(reconciled.differences) if reconciled else (),
        strategies=tuple(_strategy(trader, host) for host in trader.hosts),
        counters={
            **msgspec.to_builtins(trader.oms.stats),
            **_mirror_counters(trader),
            "risk_checks": trader.risk.checked,
        },
        denials={str(code): count for code, count in trader.risk.denials.items()},
        alarms=tuple((alarm.at_ns, alarm.text) for alarm in trader.alarms),
    )


def limits(trader: TraderService) -> tuple[LimitView, ...]:
    """The limits of the profile that have a level at any moment, with what is used of them."""
    bounds, equity = trader.profile.limits, trader.marks.equity()
    view = trader.snapshot_for_risk()
    gauges = [
        _gauge(
            "L10",
            "open orders",
            Decimal(len(view.working)),
            Decimal(bounds.max_open_orders_account_count),
            "orders",
        ),
        _gauge(
            "L09",
            "positions",
            Decimal(sum(1 for quantity in view.positions.values() if quantity)),
            Decimal(bounds.max_positions_count),
            "positions",
        ),
    ]
    if not isinstance(equity, Known) or equity.value <= 0:
        for limit_id, name, bound in (
            ("L14", "daily loss", bounds.daily_loss_pct),
            ("L05", "position", bounds.max_position_notional_pct),
            ("L07", "gross exposure", bounds.max_gross_exposure_pct),
            ("L15", "drawdown", bounds.drawdown_halt_pct),
        ):
            gauges.append(_gauge(limit_id, name, None, bound, "%"))
        return tuple(gauges)
    hundredth = equity.value / 100
    loss, loss_limit = trader.loss.loss(equity.value), trader.loss.limit
    if loss is not None and loss_limit is not None:
        gauges.insert(
            0, _gauge("L14", "daily loss", max(ZERO, loss), loss_limit, trader.profile.account.currency)
        )
    own_limit = trader.loss.strategy_limit
    if own_limit is not None:
        own = trader.loss.strategy_loss(trader.name, trader.strategy_pnl()[trader.name])
        gauges.append(
            _gauge("L16", "strategy loss", max(ZERO, own), own_limit, trader.profile.account.currency)
        )
    try:
        worst = worst_exposures(None, view)
    except ValueError:
        worst = {}
    sizes = [max(abs(low), abs(high)) for low, high in worst.values()]
    gauges.append(
        _gauge(
            "L05",
            "largest position",
            max(sizes, default=ZERO) / hundredth,
            bounds.max_position_notional_pct,
            "%",
        )
    )
    gauges.append(
        _gauge("L07", "gross exposure", sum(sizes, ZERO) / hundredth, bounds.max_gross_exposure_pct, "%")
    )
    high = trader.loss.high_water
    if high:
        drawdown = max(ZERO, (high - equity.value) * 100 / high)
        gauges.append(_gauge("L15", "drawdown", drawdown, bounds.drawdown_halt_pct, "%"))
    return tuple(gauges)


def _gauge(limit_id: str, name: str, used: Decimal | None, limit: Decimal, unit: str) -> LimitView:
    fraction = None if used is None else used / limit
    if fraction is None:
        state = "unknown"
    else:
        state = "full" if fraction > 1 else "warn" if fraction >= WARN_AT else "ok"
    return LimitView(
        id=limit_id, name=name, used=used, limit=limit, unit=unit, fraction=fraction, state=state
    )


def _age_ms(now_ns: int, as_of_ns: int) -> int:
    return max(0, (now_ns - as_of_ns) // MILLISECOND_NS)


def _value(value: Known[Decimal] | Stale[Decimal] | Unknown, now_ns: int) -> ValueView:
    match value:
        case Known():
            return ValueView(quality="known", value=value.value, age_ms=_age_ms(now_ns, value.as_of_ns))
        case Stale():
            age_ms = _age_ms(now_ns, value.as_of_ns)
            return ValueView(quality="stale", value=value.last, age_ms=age_ms, reason=value.reason)
        case Unknown():
            return ValueView(quality="unknown", value=None, age_ms=None, reason=value.reason)
    raise TypeError(f"not a value: {value!r}")


def _strategy_state(trader: TraderService, host: StrategyHost) -> str:
    if host.error is not None:
        return "faulted"
    if not trader.running:
        return "stopped"
    return {TradingState.NORMAL: "running", TradingState.REDUCE_ONLY: "reduce only"}.get(
        trader.state(host.name), "halted"
    )


def _strategy(trader: TraderService, host: StrategyHost) -> StrategyRow:
    pnl, times = trader.books.profit_and_loss(host.name, trader.marks.mid), host.times()
    return StrategyRow(
        name=host.name,
        version=host.manifest.version,
        code_hash=host.code_hash,
        state=_strategy_state(trader, host),
        error=host.error or "",
        symbols=host.symbols,
        outside=host.manifest.outside,
        budget_pct=host.budget_pct,
        realised=pnl.realised,
        unrealised=pnl.unrealised,
        fees=pnl.fees,
        net=pnl.net,
        positions={one.symbol: one.quantity for one in trader.books.positions(host.name) if one.quantity},
        fills=trader.books.fill_counts.get(host.name, 0),
        open_orders=len(trader.oms.working(host.name)),
        intents=host.intents,
        callbacks=host.callbacks,
        callback_p99_us=times.p99_us,
        callback_max_us=times.max_us,
        memory_bytes=None if host.memory is None else host.memory.held_bytes,
        restarts=host.restarts,
    )


def _latch(latch: object) -> LatchView:
    fields = msgspec.to_builtins(latch)
    return LatchView(
        scope=fields["scope"],
        cause=fields["cause"],
        level=fields["level"],
        latching=fields["latching"],
        reason=fields["reason"],
        actor=fields["actor"],
        since_ns=fields["at_ns"],
        not_before_ns=fields["not_before_ns"],
    )


def _balances(trader: TraderService, now_ns: int) -> tuple[BalanceView, ...]:
    as_of_ns, bound_ms = trader.balances_as_of_ns, trader.profile.limits.max_balance_age_ms
    age_ms = None if as_of_ns is None else _age_ms(now_ns, as_of_ns)
    quality = "unknown" if age_ms is None else "known" if age_ms <= bound_ms else "stale"
    ledger = trader.ledger
    return tuple(
        BalanceView(
            asset=asset,
            available=ledger.available(asset),
            reserved=ledger.balance(asset, "reserved"),
            total=ledger.total(asset),
            quality=quality,
            age_ms=age_ms,
        )
        for asset in sorted({*trader.venue.setup.assets, *ledger.assets()})
    )


def _positions(trader: TraderService, now_ns: int) -> tuple[PositionView, ...]:
    views = []
    for symbol, market in trader.venue.markets.items():
        instrument = market.setup.instrument
        position = trader.ledger.position(symbol, instrument.base, instrument.quote)
        pnl, top = trader.marks.profit_and_loss(symbol), trader.marks.top(symbol)
        mark: Known[Decimal] | Stale[Decimal] | Unknown
        if isinstance(top, Known):
            mark = Known(top.value.mid, top.as_of_ns, top.source)
        elif isinstance(top, Stale):
            mark = Stale(top.last.mid, top.as_of_ns, top.source, top.reason)
        else:
            mark = top
        least = instrument.min_quantity or instrument.lot
        quantity = position.quantity
        views.append(
            PositionView(
                symbol=symbol,
                quantity=quantity,
                average_price=position.cost / quantity if quantity else None,
                mark=_value(mark, now_ns),
                realised=pnl.realised,
                unrealised=pnl.unrealised,
                fees=pnl.fees,
                net=pnl.net,
                fills=position.fill_count,
                volume_quote=position.volume_quote,
                is_dust=ZERO < quantity < least,
            )
        )
    return tuple(views)


def _orders(trader: TraderService, now_ns: int) -> tuple[OrderView, ...]:
    views = []
    for order in trader.oms.working():
        instrument = trader.oms.instruments[order.intent.symbol]
        views.append(
            OrderView(
                client_id=order.client_id,
                venue_id=order.venue_id,
                strategy=order.intent.strategy,
                symbol=order.intent.symbol,
                side=Side(order.intent.side).name.lower(),
                price=instrument.tick * order.price_ticks,
                quantity=instrument.lot * order.lots,
                filled=instrument.lot * order.filled_lots,
                state=str(order.state),
                tag=order.intent.tag,
                age_ms=_age_ms(now_ns, order.intent.decision_ns),
            )
        )
    return tuple(views)


def _fills(trader: TraderService, count: int) -> tuple[FillView, ...]:
    views = []
    for fill in list(trader.recent_fills)[-count:][::-1]:
        instrument = trader.oms.instruments[fill.symbol]
        views.append(
            FillView(
                trade_id=fill.trade_id,
                client_id=fill.client_id,
                symbol=fill.symbol,
                side=Side(fill.side).name.lower(),
                price=instrument.tick * fill.price_ticks,
                quantity=instrument.lot * fill.lots,
                fee=fill.fee,
                fee_asset=fill.fee_asset,
                maker=fill.maker,
                at_ns=fill.venue_ts_ns,
            )
        )
    return tuple(views)


def _mirror_counters(trader: TraderService) -> dict[str, int]:
    """Of all mirrors together."""
    totals: dict[str, int] = {}
    for market in trader.venue.markets.values():
        for name, count in msgspec.to_builtins(market.mirror.stats).items():
            totals[f"mirror_{name}"] = totals.get(f"mirror_{name}", 0) + count
    return totals
