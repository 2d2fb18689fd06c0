"""`tradewind amm quote`: what a market maker would ask, from its state alone. No platform is needed.

Exit status: 0 quoted, 2 a number outside the maker's domain, or no plotting library for `--plot`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import Json, print_json, print_rows

if TYPE_CHECKING:
    from collections.abc import Callable

amm = App(name="amm", help="Automated market makers: quotes and pictures.")
quote = App(name="quote", help="What a pool in a given state would ask.")
amm.command(quote)
Plot = Annotated[Path | None, Parameter(help="also draw a PNG (extra `reports`)")]


@quote.command
def lmsr(
    *,
    b: Annotated[float, Parameter(help="liquidity in shares, 1 to 10,000,000")],
    q: Annotated[str, Parameter(help="net shares sold of each outcome, such as 0,0,0")],
    outcome: Annotated[int, Parameter(help="which one to trade, from 0")] = 0,
    shares: Annotated[float | None, Parameter(help="buy so many; sell, when negative")] = None,
    spend: Annotated[float | None, Parameter(help="buy for so much money")] = None,
    plot: Plot = None,
    json: Json = False,
) -> int:
    """Prices of all outcomes, and the cost of a trade in one of them."""

    def work() -> dict[str, Any]:
        from tradewind import amm as makers

        quantities = numbers("q", q)
        found: dict[str, Any] = {"maker": "lmsr", "prices": makers.lmsr_prices(b, quantities)}
        found["cost_so_far"] = makers.lmsr_cost(b, quantities) - makers.lmsr_cost(b, [0.0] * len(quantities))
        traded = shares
        if spend is not None:
            traded = makers.lmsr_shares_for_cost(b, quantities, outcome, spend)
        if traded is not None:
            if not 0 <= outcome < len(quantities):
                raise ValueError(f"outcome must be from 0 to {len(quantities) - 1}, got {outcome}")
            delta = [traded * (place == outcome) for place in range(len(quantities))]
            after = [old + step for old, step in zip(quantities, delta, strict=True)]
            cost = makers.lmsr_trade_cost(b, quantities, delta)
            found |= {"shares": traded, "cost": cost, "prices_after": makers.lmsr_prices(b, after)}
            found["average_price"] = cost / traded if traded else None
        if plot is not None:
            from tradewind.lab.market_makers import draw_lmsr

            draw_lmsr(plot, b, quantities, outcome)
        return found

    exclusive(shares=shares, spend=spend)
    return answer(work, json)


@quote.command
def pm(
    *,
    liquidity: Annotated[float, Parameter(help="L; a dynamic pool passes L·√(time to expiry)")],
    price: Annotated[float, Parameter(help="price of X now, in 0..1")],
    collateral: Annotated[float | None, Parameter(help="buy X for so much money")] = None,
    swap: Annotated[float | None, Parameter(help="pay in so many X for Y")] = None,
    plot: Plot = None,
    json: Json = False,
) -> int:
    """Reserves and value of a pool at a price, and what a trade would bring."""

    def work() -> dict[str, Any]:
        from tradewind import amm as makers

        x, y = makers.pm_amm_reserves(liquidity, price)
        found: dict[str, Any] = {"maker": "pm-amm", "x": x, "y": y}
        found["value"] = makers.pm_amm_value(liquidity, price)
        if collateral is not None:
            bought = makers.pm_amm_buy(liquidity, x, y, collateral)
            new = (max(x + collateral - bought, 0.0), y + collateral)
            found |= {
                "paid": collateral,
                "x_out": bought,
                "price_after": makers.pm_amm_price(liquidity, *new),
            }
            found["average_price"] = collateral / bought if bought else None
        if swap is not None:
            out = makers.pm_amm_swap(liquidity, x, y, swap)
            after = makers.pm_amm_price(liquidity, x + swap, max(y - out, 0.0))
            found |= {"x_in": swap, "y_out": out, "price_after": after}
        if plot is not None:
            import math

            from tradewind.lab.market_makers import draw_curves

            draw_curves(plot, makers.pm_amm_value(liquidity, 0.5) / math.log(2.0), liquidity, price)
        return found

    exclusive(collateral=collateral, swap=swap)
    return answer(work, json)


@quote.command
def distribution(
    *,
    k: Annotated[float, Parameter(help="L2 norm of the market's claim")],
    before: Annotated[str, Parameter(help="mean and width of the market now, such as 0,1")],
    after: Annotated[str | None, Parameter(help="mean and width that the trade moves it to")] = None,
    backing: Annotated[float | None, Parameter(help="money behind each point: gives the least width")] = None,
    plot: Plot = None,
    json: Json = False,
) -> int:
    """Mass, peak and least width of the market's claim, and the collateral of a move."""

    def work() -> dict[str, Any]:
        from tradewind import amm as makers

        now = pair("before", before)
        found: dict[str, Any] = {"maker": "distribution"}
        found["lambda"] = makers.distribution_lambda(k, now[1])
        found["peak"] = makers.distribution_peak(k, now[1])
        if backing is not None:
            found["least_width"] = makers.distribution_min_sigma(k, backing)
        target = now if after is None else pair("after", after)
        if after is not None:
            found["collateral"] = makers.distribution_collateral(k, *now, *target)
        if plot is not None:
            from tradewind.lab.market_makers import draw_densities

            draw_densities(plot, k, now, target)
        return found

    return answer(work, json)


def numbers(name: str, text: str) -> list[float]:
    """Numbers between commas. Raises ValueError that names the argument."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{name} must be numbers between commas, got {text!r}") from None


def pair(name: str, text: str) -> tuple[float, float]:
    found = numbers(name, text)
    if len(found) != 2:
        raise ValueError(f"{name} must be a mean and a width, got {text!r}")
    return found[0], found[1]


def exclusive(**given: float | None) -> None:
    """At most one of the options."""
    named = [f"--{name}" for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise CommandFailure(ExitCode.CANNOT, "INVALID_COMMAND", f"{' and '.join(named)} exclude each other")


def answer(work: Callable[[], dict[str, Any]], json: bool) -> int:
    """Prints what `work` finds; a number outside the domain is one message."""
    from tradewind.lab.scenarios.report import PlotMissing

    try:
        found = work()
    except ValueError as error:
        raise CommandFailure(ExitCode.CANNOT, "PARAMETER_OUT_OF_BOUNDS", str(error)) from error
    except PlotMissing as error:
        raise CommandFailure(ExitCode.CANNOT, "PLOT_MISSING", str(error)) from error
    if json:
        print_json(found)
    else:
        rows = [{"quote": name.replace("_", " "), "value": shown(value)} for name, value in found.items()]
        print_rows(rows, ("quote", "value"), title="quote", empty="nothing")
    return ExitCode.OK


def shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(f"{item:.6f}" for item in value)
    return f"{value:.9g}" if isinstance(value, float) else str(value)


@amm.command
def loss(
    *,
    price: Annotated[float, Parameter(help="true price at the beginning, 0.01 to 0.99")] = 0.5,
    paths: Annotated[int, Parameter(help="simulated paths of each pool, 2 to 100,000")] = 2_000,
    seed: Annotated[int, Parameter(help="of the random numbers")] = 1,
    plot: Plot = None,
    json: Json = False,
) -> int:
    """What static and dynamic pm-AMMs lose to better-informed traders, simulated against what is expected."""
    from tradewind.lab.rebalancing import draw_losses, simulate
    from tradewind.lab.scenarios.report import PlotMissing

    try:
        reports = [
            simulate(dynamic=dynamic, price=price, paths=paths, seed=seed) for dynamic in (False, True)
        ]
        if plot is not None:
            draw_losses(plot, reports)
    except ValueError as error:
        raise CommandFailure(ExitCode.CANNOT, "PARAMETER_OUT_OF_BOUNDS", str(error)) from error
    except PlotMissing as error:
        raise CommandFailure(ExitCode.CANNOT, "PLOT_MISSING", str(error)) from error
    rows = [
        {
            "pool": "dynamic" if report.dynamic else "static",
            "lost": round(report.whole.lost, 6),
            "expected": round(report.whole.expected, 6),
            "standard_error": round(report.whole.error, 6),
            "deviation": round(report.whole.deviation, 2),
        }
        for report in reports
    ]
    if json:
        print_json({"pools": rows, "paths": paths, "seed": seed})
        return 0
    columns = ["pool", "lost", "expected", "standard_error", "deviation"]
    print_rows(rows, columns, title="Loss versus rebalancing, V₀ = 1", empty="no pools")
    return 0
