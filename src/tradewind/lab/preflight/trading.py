"""Checks of the trader: V13, V14, V15, V18."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.lab.preflight.exchange import CASH, SYMBOL, World, relaxed
from tradewind.lab.preflight.limit_cases import outcomes
from tradewind.lab.preflight.model import Context, Evidence, require
from tradewind.trader.risk.catalogue import CATALOGUE
from tradewind.trader.risk.check import Code, Denied, Order, Path, RiskModule, Snapshot, Top, Working
from tradewind.trader.risk.loss import LossGuard
from tradewind.trader.risk_view import risk_order
from tradewind.trader.strategies.idle import Idle
from tradewind.trader.strategy import BookTop, PlaceIntent, StrategyIntent
from tradewind.trader.strategy import Context as StrategyContext
from tradewind.venues.market_data import Known, Side
from tradewind.venues.protocol import TimeInForce

SECOND_NS: Final = 1_000_000_000
MS_NS: Final = 1_000_000
LOAD: Final = 50
MAX_VERIFY_MS: Final = 10_000
SWITCH_S: Final = 5
OTHER: Final = "ETH/USDT"
UNIT: Final = Decimal("0.01")


async def balances(context: Context) -> Evidence:
    """V13: the venue's balances equal the trader's ledger and the engine's books, and the money is there."""
    world = await (await World.open()).live()
    context.at("V13.venue", world.venue)
    differences = await world.trader.reconcile()
    require(not differences, f"ledger and venue differ: {differences[0] if differences else ''}")
    found = {one.asset: one.total for one in await world.venue.balances()}  # type: ignore[union-attr]
    require(found.get("USDT") == CASH, f"{found.get('USDT')} USDT are there, {CASH} were paid in")
    equity = world.trader.marks.equity()
    require(isinstance(equity, Known) and equity.value == CASH, f"equity is {equity}")
    number = world.venue.setup.assets["USDT"]
    engine = world.port.engine.balance(world.venue.setup.account_ids["trader"], 0, number, 0)
    require(engine == int(CASH * 1_000_000), f"the engine holds {engine} micro-units")
    return {"balances": {asset: str(amount) for asset, amount in found.items()}, "reconciled": True}


async def dead_man(context: Context) -> Evidence:
    """V14: a trader that falls silent loses its orders when the switch expires, and not before."""
    world = await (await World.open()).live()
    context.at("V14.venue", world.venue)
    await _place(world, 4_999_000)
    await world.venue.cancel_after(SWITCH_S, world.trader.oms.identity.epoch)
    world.trader.running = False
    await world.session.sleep_ns((SWITCH_S - 1) * SECOND_NS)
    before = world.own_orders_in_engine()
    await world.session.sleep_ns(3 * SECOND_NS)
    after = world.own_orders_in_engine()
    require(before == 1, f"{before} orders were open before the switch expired, one was placed")
    require(after == 0, "the order is still open after the switch expired")
    return {"window_s": SWITCH_S, "open_before": before, "open_after": after}


async def kill(context: Context) -> Evidence:
    """V15: halt with 50 working orders: the engine's own books show none afterwards."""
    room = {
        "max_open_orders_symbol_count": 200,
        "max_open_orders_account_count": 200,
        "max_messages_per_s": 500,
        "max_gross_exposure_pct": Decimal(90),
        "max_position_notional_pct": Decimal(90),
        "max_net_exposure_pct": Decimal(90),
        "max_risk_to_stop_bps": Decimal(9_000),
        "max_cluster_exposure_pct": Decimal(90),
        "max_beta_btc_pct": Decimal(90),
    }
    world = await (await World.open(profile=relaxed(**room))).live()
    for number in range(LOAD):
        await _place(world, 4_990_000 - number * 100)
    loaded = world.own_orders_in_engine()
    require(loaded == LOAD, f"{loaded} of {LOAD} orders are working")
    context.at("V15.venue", world.venue)
    started_ns = time.perf_counter_ns()
    result = await world.kill.halt("preflight", "drill")
    wall_ms = (time.perf_counter_ns() - started_ns) // MS_NS
    left = world.own_orders_in_engine()
    require(left == 0, f"{left} orders are left after the halt")
    require(result.verified, f"the halt ended as {result.outcome}: {result.detail}")
    require(wall_ms <= MAX_VERIFY_MS, f"verified zero took {wall_ms} ms")
    denied, _ = await world.trader.submit(_intent(4_980_000))
    require(Code.STATE_HALTED in [one.code for one in denied], "an order passed after the halt")
    return {"orders": LOAD, "verified_zero_ms": wall_ms, "outcome": str(result.outcome)}


def _intent(price_ticks: int, lots: int = 10, side: Side = Side.BUY) -> PlaceIntent:
    return PlaceIntent(symbol=SYMBOL, side=side, price_ticks=price_ticks, lots=lots)


async def _place(world: World, price_ticks: int) -> None:
    denied, _ = await world.trader.submit(_intent(price_ticks))
    require(not denied, f"an order of the load was denied: {[one.code for one in denied]}")
    await world.session.sleep_ns(MS_NS)


# ---- V18 -------------------------------------------------------------------------------------------


async def limits(context: Context) -> Evidence:
    """V18: each limit denies one unit beyond its bound, and no path reaches the venue past the module."""
    world = await (await World.open()).live()
    await world.session.sleep_ns(SECOND_NS)
    case = _Case(world)
    require(not case.denials(), f"the order that all cases start from is denied: {case.denials()}")
    found = {}
    for name, (code, denials) in _cases(case).items():
        denied = denials()
        context_denied = context.at("V18.denials", denied)
        require(
            code in context_denied, f"{name} just over its bound was not denied as {code}: {context_denied}"
        )
        found[name] = str(code)
    rows = context.at("V18.cases", list(outcomes(world.trader.profile.limits)))
    wrong = [one for one in rows if one["expected"] != one["seen"]]
    require(not wrong, f"a limit did not answer as it must: {wrong[0] if wrong else ''}")
    exercised, every = {one["limit"] for one in rows}, {entry.id for entry in CATALOGUE}
    require(exercised == every, f"not driven to their bounds: {sorted(every - exercised)}")
    paths = await _paths(context)
    return {"limits": found, "exercised": sorted(exercised), "paths": paths}


class _Case:
    """An order that passes, and what changes of it or of the account do."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.limits = world.trader.profile.limits
        self.now_ns = world.port.now_ns()
        self.snapshot = world.trader.snapshot_for_risk()
        self.order = risk_order(world.trader, "manual", Path.MANUAL, _intent(4_999_900, 20), self.now_ns)
        self.middle = Decimal(50_000) + Decimal("0.5")

    def module(self, equity: Decimal = CASH) -> RiskModule:
        """A fresh module whose day began with so much equity."""
        guard = LossGuard(self.limits)
        guard.mark(equity, {}, self.now_ns)
        return RiskModule(self.limits, guard)

    def denials(
        self,
        order: dict[str, Any] | None = None,
        snapshot: dict[str, Any] | None = None,
        day_equity: Decimal = CASH,
    ) -> list[str]:
        """Codes that a changed order meets in a changed account."""
        changed = msgspec.structs.replace(self.order, **(order or {}))
        state = msgspec.structs.replace(self.snapshot, **(snapshot or {}))
        return _codes(self.module(day_equity).check(changed, state))

    def equity(self, value: Decimal) -> dict[str, Any]:
        """An account that is worth this."""
        return {"equity": Known(value, self.now_ns, "preflight")}

    def working(self, count: int, symbol: str = SYMBOL, **changes: Any) -> list[Working]:
        """So many tiny working orders."""
        price = Decimal(40_000)
        return [
            Working(
                **{
                    "client_id": f"w{number}",
                    "symbol": symbol,
                    "side": Side.BUY,
                    "price": price,
                    "quantity": Decimal("0.0001"),
                    **changes,
                }
            )
            for number in range(count)
        ]


def _codes(denied: list[Denied]) -> list[str]:
    return [str(one.code) for one in denied]


def _cases(case: _Case) -> dict[str, tuple[Code, Callable[[], list[str]]]]:
    """Name of the limit → its code and the probe just beyond its bound."""
    limit, order = case.limits, case.order
    lot, tick = Decimal("0.0001"), UNIT
    notional = order.notional
    hold = {
        "tops": {**case.snapshot.tops, OTHER: Known(Top(Decimal(1), Decimal(1)), case.now_ns, "preflight")}
    }
    gross = limit.max_gross_exposure_pct
    # Holding so much of another symbol that this order brings the account one cent beyond the gross bound.
    other = CASH * gross / 100 - notional + UNIT
    return {
        "L01 order size": (
            Code.ORDER_QTY_LIMIT,
            lambda: case.denials({"quantity": limit.symbols[SYMBOL].max_order_qty_base + lot}),
        ),
        "L02 order notional": (
            Code.ORDER_NOTIONAL_LIMIT,
            lambda: case.denials({"price": limit.max_order_notional_quote * 100 + tick, "quantity": UNIT}),
        ),
        "L04 price collar": (
            Code.PRICE_COLLAR,
            lambda: case.denials(
                {"price": (case.middle * (1 + limit.price_collar_bps / 10_000)).quantize(tick) + tick}
            ),
        ),
        "L05 position": (
            Code.POSITION_NOTIONAL,
            lambda: case.denials(None, case.equity(notional * 100 / limit.max_position_notional_pct - UNIT)),
        ),
        "L07 gross exposure": (
            Code.GROSS_EXPOSURE,
            lambda: case.denials(None, {**hold, "positions": {**case.snapshot.positions, OTHER: other}}),
        ),
        "L08 net exposure": (
            Code.NET_EXPOSURE,
            lambda: case.denials(None, {**hold, "positions": {**case.snapshot.positions, OTHER: other}}),
        ),
        "L09 number of positions": (
            Code.POSITION_COUNT,
            lambda: case.denials(
                None,
                {
                    "working": [
                        one
                        for number in range(limit.max_positions_count)
                        for one in case.working(1, f"X{number}/USDT")
                    ]
                },
            ),
        ),
        "L10 open orders": (
            Code.OPEN_ORDERS,
            lambda: case.denials(None, {"working": case.working(limit.max_open_orders_symbol_count)}),
        ),
        "L11 messages per second": (
            Code.MESSAGE_RATE,
            lambda: _repeated(
                case, limit.max_messages_per_s, lambda number: {"price": order.price - tick * number}
            ),
        ),
        "L12 repeated order": (
            Code.REPEAT_THROTTLE,
            lambda: _repeated(case, limit.max_same_order_repeat_count, lambda _: {}),
        ),
        "L13 self match": (
            Code.SELF_MATCH,
            lambda: case.denials(None, {"working": case.working(1, side=Side.SELL, price=order.price)}),
        ),
        "L14 daily loss": (
            Code.DAILY_LOSS,
            lambda: case.denials(
                None, case.equity(CASH * (1 - limit.daily_loss_pct / 100) + notional * Decimal("0.02"))
            ),
        ),
        "L16 strategy loss": (
            Code.STRATEGY_LOSS,
            lambda: case.denials(
                None, {"strategy_pnl": {order.strategy: -CASH * limit.max_strategy_loss_pct / 100 - UNIT}}
            ),
        ),
        "L19 market age": (
            Code.STALE_MARKET,
            lambda: case.denials(
                None,
                {
                    "tops": {
                        SYMBOL: Known(
                            case.snapshot.tops[SYMBOL].value,  # type: ignore[union-attr]
                            case.now_ns - (limit.max_market_age_ms + 1) * MS_NS,
                            "preflight",
                        )
                    }
                },
            ),
        ),
        "L20 balance age": (
            Code.STALE_BALANCE,
            lambda: case.denials(
                None, {"balances_as_of_ns": case.now_ns - (limit.max_balance_age_ms + 1) * MS_NS}
            ),
        ),
        "L21 funds": (Code.INSUFFICIENT_FUNDS, lambda: case.denials(None, {"available": {"USDT": notional}})),
        "L22 leverage": (Code.LEVERAGE, lambda: case.denials(None, case.equity(notional - UNIT))),
        "L24 spread": (
            Code.WIDE_SPREAD,
            lambda: case.denials(
                {"price": Decimal(50_126), "post_only": False},
                {"tops": {SYMBOL: Known(Top(Decimal(49_874), Decimal(50_126)), case.now_ns, "preflight")}},
            ),
        ),
        "L26 age of the decision": (
            Code.DECISION_TOO_OLD,
            lambda: case.denials({"decision_ns": case.now_ns - (limit.max_order_age_at_risk_ms + 1) * MS_NS}),
        ),
    }


def _repeated(case: _Case, bound: int, change: Callable[[int], dict[str, Any]]) -> list[str]:
    """The answer to one order more than the bound allows, after those that it does allow."""
    module = case.module()
    for number in range(bound):
        passed = module.check(msgspec.structs.replace(case.order, **change(number)), case.snapshot)
        require(not passed, f"order {number + 1} of {bound} was denied: {_codes(passed)}")
    return _codes(module.check(msgspec.structs.replace(case.order, **change(bound)), case.snapshot))


class _Wishing(Idle):
    """A strategy that wants one order at every book."""

    def __init__(self) -> None:
        super().__init__((SYMBOL,))
        self.manifest = msgspec.structs.replace(self.manifest, data=("book",))

    def on_book(self, context: StrategyContext, book: BookTop) -> list[StrategyIntent]:
        return [_intent(4_999_000 - int(context.now_ns // MS_NS) % 97)]


def _deny_all(order: Order, snapshot: Snapshot) -> list[Denied]:
    return [Denied(code=Code.ORDER_NOTIONAL_LIMIT, limit="preflight", detail="everything is denied")]


async def _paths(context: Context) -> list[str]:
    """With a module that denies everything, no path brings an order into the engine."""
    world = await (await World.open(strategy=_Wishing())).live()
    await world.live()
    require(world.own_orders_in_engine() > 0, "the strategy places nothing, so a denial would prove nothing")
    await world.venue.cancel_all(None, world.trader.oms.identity.epoch)
    take = PlaceIntent(
        symbol=SYMBOL,
        side=Side.BUY,
        price_ticks=5_000_100,
        lots=20,
        post_only=False,
        time_in_force=TimeInForce.IOC,
    )
    denied, _ = await world.trader.submit(take)
    require(not denied, f"the position for the flatten path was denied: {_codes(denied)}")
    await world.session.sleep_ns(SECOND_NS)
    world.trader.risk.check = _deny_all  # type: ignore[method-assign]
    context.at("V18.trader", world.trader)
    await world.venue.cancel_all(None, world.trader.oms.identity.epoch)
    before = world.trader.oms.stats.acks
    await world.live()
    strategy = world.trader.oms.stats.acks
    manual, _ = await world.trader.submit(_intent(4_998_000))
    algorithm, _ = await world.trader.submit(_intent(4_998_100), path=Path.ALGORITHM, strategy="twap")
    require(bool(algorithm), "an algorithm's order passed a module that denies everything")
    flatten = await world.kill.flatten("preflight", "path check")
    require(strategy == before, "a strategy's order passed a module that denies everything")
    require(bool(manual), "a manual order passed a module that denies everything")
    require(not flatten.verified, "a flatten order passed a module that denies everything")
    require(world.trader.oms.stats.acks == before, "the venue took an order that risk had denied")
    return [str(Path.STRATEGY), str(Path.ALGORITHM), str(Path.MANUAL), str(Path.FLATTEN)]
