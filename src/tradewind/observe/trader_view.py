"""The trader's part of the platform view: profit, position, limits, state, fills. Reading only."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from tradewind.trader.hosting.host import StrategyHost
from tradewind.trader.risk.check import Code, Snapshot, worst_exposures
from tradewind.trader.risk.state import ACCOUNT, TradingState, strategy_scope, venue_scope
from tradewind.trader.service import TraderService
from tradewind.venues.market_data import Known, Side, Stale, Unknown
from tradewind.venues.protocol import FillEvent

from .view import (
    MAX_FILLS,
    UNKNOWN,
    Alarm,
    FillRow,
    LimitState,
    LimitView,
    PositionView,
    ProfitView,
    Quality,
    Reading,
    Severity,
    StrategyView,
    TradingView,
)

MS_NS = 1_000_000
ZERO = Decimal(0)
WARN_FRACTION = 0.8
CENT = Decimal("0.01")
MICRO = Decimal("0.000001")


def reading(value: Known[Any] | Stale[Any] | Unknown, now_ns: int) -> Reading:
    """A trader value with its age."""
    match value:
        case Known():
            return Reading.known(plain(value.value), age_ms(value.as_of_ns, now_ns))
        case Stale():
            return Reading.stale(plain(value.last), age_ms(value.as_of_ns, now_ns))
        case _:
            return UNKNOWN


def plain(value: Decimal) -> str:
    """Decimal text without an exponent."""
    return format(value, "f")


def age_ms(as_of_ns: int, now_ns: int) -> int:
    """Milliseconds since a moment, never negative."""
    return max(0, now_ns - as_of_ns) // MS_NS


def profit(trader: TraderService, now_ns: int) -> ProfitView:
    """Profit and loss at the present marks; money in the account currency."""
    equity = trader.marks.equity()
    result = trader.marks.profit_and_loss()
    positions = trader.ledger.positions.values()
    unrealised = total = UNKNOWN
    if result.unrealised is not None:
        floor = Decimal(_micro(result.unrealised))
        unrealised = Reading.known(plain(floor))
        # From the shown parts, so that the tiles add up to the last micro-unit.
        total = Reading.known(plain(result.realised + floor - result.fees))
    return ProfitView(
        unit=trader.marks.currency,
        equity=_rounded(reading(equity, now_ns)),
        realised=Reading.known(_micro(result.realised)),
        unrealised=unrealised,
        fees=Reading.known(_micro(result.fees)),
        total=total,
        volume=Reading.known(_micro(sum((one.volume_quote for one in positions), ZERO))),
        fill_count=sum(one.fill_count for one in positions),
    )


def _micro(value: Decimal) -> str:
    """At most six places, rounded down: a mark (a middle of two prices) has more, booked money never has."""
    return plain(value.quantize(MICRO, rounding=ROUND_FLOOR)) if value % MICRO else plain(value)


def _rounded(value: Reading) -> Reading:
    if value.value is None:
        return value
    return Reading(_micro(Decimal(value.value)), value.quality, value.age_ms)


def position(trader: TraderService, now_ns: int) -> PositionView:
    """Quantity and average price of the traded symbol."""
    held = trader.ledger.positions.get(trader.symbol)
    if held is None:
        return PositionView(quantity=Reading.known(ZERO), average_price=UNKNOWN, notional=Reading.known(ZERO))
    quantity = held.quantity
    average = Reading.known(_micro(held.cost / quantity)) if quantity else UNKNOWN
    top = trader.marks.top(trader.symbol)
    notional = UNKNOWN
    if isinstance(top, Known):
        notional = Reading.known(_micro(quantity * top.value.mid), age_ms(top.as_of_ns, now_ns))
    return PositionView(quantity=Reading.known(plain(quantity)), average_price=average, notional=notional)


def fills(trader: TraderService) -> tuple[FillRow, ...]:
    """Own executions, newest first."""
    newest = list(trader.recent_fills)[: -MAX_FILLS - 1 : -1]
    return tuple(_fill(trader, one) for one in newest)


def _fill(trader: TraderService, fill: FillEvent) -> FillRow:
    instrument = trader.oms.instruments[fill.symbol]
    price, quantity = instrument.tick * fill.price_ticks, instrument.lot * fill.lots
    return FillRow(
        time_ns=fill.venue_ts_ns,
        seq=fill.sequence,
        side=side_text(fill.side),
        price=plain(price),
        quantity=plain(quantity),
        notional=plain(price * quantity),
        fee=plain(fill.fee),
        fee_asset=fill.fee_asset,
        liquidity="maker" if fill.maker else "taker",
        order_id=fill.venue_id,
    )


def side_text(side: int) -> str:
    """ "buy" or "sell"."""
    return "buy" if side == Side.BUY else "sell"


def trading(trader: TraderService) -> TradingView:
    """State in force with the reason of its most restrictive latch."""
    state = trader.state()
    latches = [latch for latch in trader.states.active() if latch.level == state.name]
    if not latches:
        return TradingView(state=state.name.lower())
    latch = latches[0]
    return TradingView(
        state=state.name.lower(),
        reason=f"{latch.cause}: {latch.reason}",
        actor=latch.actor,
        since_ns=latch.at_ns,
        latching=latch.latching,
    )


def strategies(trader: TraderService, ended_reason: str | None = None) -> tuple[StrategyView, ...]:
    """Every strategy; `ended_reason` says why its session is over."""
    return tuple(_strategy(trader, host, ended_reason) for host in trader.hosts)


def _strategy(trader: TraderService, host: StrategyHost, ended_reason: str | None) -> StrategyView:
    times, books = host.times(), trader.books
    state, detail = _strategy_state(trader, host, ended_reason)
    return StrategyView(
        name=host.name,
        state=state,
        detail=detail,
        symbols=host.symbols,
        positions=tuple(
            (one.symbol, plain(one.quantity)) for one in books.positions(host.name) if one.quantity
        ),
        budget_pct=plain(host.budget_pct),
        net=_micro(books.net(host.name, trader.marks.mid)),
        fills=books.fill_counts.get(host.name, 0),
        open_orders=len(trader.oms.working(host.name)),
        callbacks=host.callbacks,
        intents=host.intents,
        callback_p99_us=times.p99_us,
        callback_max_us=times.max_us if times.count else None,
        memory_bytes=None if host.memory is None else host.memory.held_bytes,
        restarts=host.restarts,
    )


def _strategy_state(trader: TraderService, host: StrategyHost, ended_reason: str | None) -> tuple[str, str]:
    if host.error is not None:
        return "halted", host.error
    if ended_reason is not None:
        return "ended", ended_reason
    if not trader.running:
        return "stopped", ""
    level = trader.state(host.name)
    if level is not TradingState.NORMAL:
        scopes = {ACCOUNT, venue_scope(trader.venue.name), strategy_scope(host.name)}
        reasons = [one.reason for one in trader.states.active() if one.scope in scopes]
        return level.name.lower(), "; ".join(reasons)
    return "running", f"version {host.manifest.version}, {', '.join(host.symbols)}"


def alarms(trader: TraderService, now_ns: int, newest: int = 2, within_s: int = 60) -> Iterator[Alarm]:
    """State and the trader's own alarms of the last minute."""
    view = trading(trader)
    if view.state != "normal":
        severity = Severity.CRITICAL if view.state == "halted" else Severity.WARNING
        text = view.reason or "no reason recorded"
        yield Alarm(severity=severity, code=f"TRADING_{view.state.upper()}", text=text)
    for host in trader.hosts:
        if host.error is not None:
            text = f"{host.name}: {host.error}"
            yield Alarm(severity=Severity.CRITICAL, code="STRATEGY_FAULT", text=text)
    if trader.reconciled is not None and not trader.reconciled.clean:
        text = trader.reconciled.differences[0]
        yield Alarm(severity=Severity.CRITICAL, code="NOT_RECONCILED", text=text)
    for alarm in list(trader.alarms)[-newest:]:
        if now_ns - alarm.at_ns <= within_s * 1_000 * MS_NS:
            yield Alarm(severity=Severity.WARNING, code="TRADER", text=alarm.text)


# ---- limits --------------------------------------------------------------------------------------------


def gauge(code: str, name: str, used: Decimal | None, limit: Decimal | None, unit: str) -> LimitView:
    """A limit with its filling; unknown when one of the two is."""
    if used is None or limit is None or limit <= 0:
        shown = "0" if limit is None else plain(limit)
        return LimitView(code=code, name=name, used=UNKNOWN, limit=shown, unit=unit)
    fraction = float(used / limit)
    state = (
        LimitState.FULL if fraction >= 1 else LimitState.WARN if fraction >= WARN_FRACTION else LimitState.OK
    )
    return LimitView(
        code=code,
        name=name,
        used=Reading.known(plain(_short(used))),
        limit=plain(_short(limit)),
        unit=unit,
        fraction=fraction,
        state=state,
    )


def _short(value: Decimal) -> Decimal:
    return value if value == value.to_integral_value() else value.quantize(CENT)


def limits(trader: TraderService) -> tuple[LimitView, ...]:
    """The limits of the profile as fuel gauges, the ones that stop trading first."""
    snapshot = trader.snapshot_for_risk()
    return (*_losses(trader, snapshot), *_exposures(trader, snapshot), *_counts(trader, snapshot))


def _losses(trader: TraderService, snapshot: Snapshot) -> Iterator[LimitView]:
    guard, profile = trader.loss, trader.profile.limits
    unit = trader.marks.currency
    equity = snapshot.equity.value if isinstance(snapshot.equity, Known) else None
    loss = None if equity is None else guard.loss(equity)
    daily = None if loss is None else max(ZERO, loss)
    yield gauge(Code.DAILY_LOSS, "Daily loss", daily, guard.limit, unit)
    own = guard.strategy_loss(trader.name, snapshot.strategy_pnl.get(trader.name, ZERO))
    strategy_loss = max(ZERO, own) if guard.base is not None else None
    yield gauge(Code.STRATEGY_LOSS, "Strategy loss", strategy_loss, guard.strategy_limit, unit)
    drawdown = None
    if equity is not None and guard.high_water:
        drawdown = max(ZERO, (guard.high_water - equity) * 100 / guard.high_water)
    yield gauge(Code.DRAWDOWN, "Drawdown", drawdown, profile.drawdown_halt_pct, "%")


def _exposures(trader: TraderService, snapshot: Snapshot) -> Iterator[LimitView]:
    profile = trader.profile.limits
    shares: tuple[Decimal | None, Decimal | None, Decimal | None] = (None, None, None)
    if isinstance(snapshot.equity, Known) and snapshot.equity.value > 0:
        shares = _shares(snapshot, snapshot.equity.value, trader.symbol)
    names = ("Position, worst case", "Gross exposure", "Net exposure")
    bounds = (
        (Code.POSITION_NOTIONAL, profile.max_position_notional_pct),
        (Code.GROSS_EXPOSURE, profile.max_gross_exposure_pct),
        (Code.NET_EXPOSURE, profile.max_net_exposure_pct),
    )
    for name, used, (code, bound) in zip(names, shares, bounds, strict=True):
        yield gauge(code, name, used, bound, "% of equity")


def _shares(
    snapshot: Snapshot, equity: Decimal, symbol: str
) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    try:
        worst = worst_exposures(None, snapshot)
    except ValueError:
        return None, None, None
    gross = sum((max(abs(low), abs(high)) for low, high in worst.values()), ZERO)
    net = max(
        abs(sum((low for low, _ in worst.values()), ZERO)),
        abs(sum((high for _, high in worst.values()), ZERO)),
    )
    low, high = worst.get(symbol, (ZERO, ZERO))
    return max(abs(low), abs(high)) * 100 / equity, gross * 100 / equity, net * 100 / equity


def _counts(trader: TraderService, snapshot: Snapshot) -> Iterator[LimitView]:
    profile = trader.profile.limits
    open_here = Decimal(sum(1 for one in snapshot.working if one.symbol == trader.symbol))
    yield gauge(
        Code.OPEN_ORDERS, "Open orders", open_here, Decimal(profile.max_open_orders_symbol_count), "orders"
    )
    top = snapshot.tops.get(trader.symbol)
    spread = top.value.spread_bps if isinstance(top, Known) else None
    yield gauge(Code.WIDE_SPREAD, "Spread for taking", spread, profile.max_spread_bps, "bps")
    market_age = Decimal(age_ms(top.as_of_ns, snapshot.now_ns)) if isinstance(top, Known | Stale) else None
    yield gauge(Code.STALE_MARKET, "Market data age", market_age, Decimal(profile.max_market_age_ms), "ms")
    as_of_ns = snapshot.balances_as_of_ns
    balance_age = None if as_of_ns is None else Decimal(age_ms(as_of_ns, snapshot.now_ns))
    yield gauge(Code.STALE_BALANCE, "Balance age", balance_age, Decimal(profile.max_balance_age_ms), "ms")


def balance_quality(trader: TraderService, now_ns: int) -> tuple[Quality, int | None]:
    """How far the balances are proven: by the last agreement of ledger and venue."""
    if trader.balances_as_of_ns is None:
        return Quality.UNKNOWN, None
    age = age_ms(trader.balances_as_of_ns, now_ns)
    fresh = age <= trader.profile.limits.max_balance_age_ms
    return (Quality.KNOWN if fresh else Quality.STALE), age
