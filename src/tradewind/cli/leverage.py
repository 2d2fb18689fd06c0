"""`tradewind market risk|leverage|settle|funding|breaker …`: leveraged markets and circuit breakers."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from tradewind.cli.answers import show
from tradewind.cli.client import Client, segment
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.options import Actor, Market
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_fields, print_json, print_rows

breaker = App(name="breaker", help="Circuit breakers: list, trip, close, configure.")
Breaker = Annotated[
    str,
    Parameter(
        help="coverage, price-fast, price-slow, price-platform, volume, liquidation, congestion, oracle, "
        "oi-rate"
    ),
]
Scope = Annotated[str, Parameter(help="market, or ALL for the platform")]
BREAKER_COLUMNS = ["scope", "breaker", "phase", "cause", "value", "threshold", "until", "trips"]
TRIP_COLUMNS = ["seq", "scope", "breaker", "cause", "value", "threshold"]


def risk(
    name: Market,
    *,
    max_leverage: Annotated[str | None, Parameter(help="largest leverage, steps of 0.01")] = None,
    size_k_ppm: Annotated[int | None, Parameter(help="size term of the margin")] = None,
    floor_mmf_ppm: Annotated[int | None, Parameter(help="floor of the maintenance fraction")] = None,
    liquidation_fee_bps: Annotated[str | None, Parameter(help="liquidation fee in basis points")] = None,
    position_limit: Annotated[str | None, Parameter(help="largest notional of a position")] = None,
    open_interest_cap: Annotated[str | None, Parameter(help="largest open interest")] = None,
    impact_notional: Annotated[str | None, Parameter(help="notional of the funding sample")] = None,
    insurance_limit: Annotated[
        str | None, Parameter(help="largest position that insurance takes over")
    ] = None,
    config_version: Annotated[int | None, Parameter(help="refuse unless this is the present version")] = None,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Change the risk parameters of a leveraged market (RISK); what increases risk needs a proposal."""
    body = {
        "max_leverage": max_leverage,
        "size_k_ppm": size_k_ppm,
        "floor_mmf_ppm": floor_mmf_ppm,
        "liquidation_fee_bps": liquidation_fee_bps,
        "position_limit": position_limit,
        "open_interest_cap": open_interest_cap,
        "impact_notional": impact_notional,
        "insurance_limit": insurance_limit,
        "config_version": config_version,
        "actor": actor,
    }
    answer = Client(data).post(f"/markets/{segment(name)}/risk", body)
    return show(answer, json=json, title=f"Risk parameters of {name} changed")


def leverage(name: Market, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Mark, index, open interest, funding and risk parameters of a leveraged market."""
    document = Client(data).get(f"/markets/{segment(name)}/leverage")
    if json:
        print_json(document)
    else:
        print_fields(document, title=f"Leverage of {document['symbol']}")
    return ExitCode.OK


def settle(name: Market, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Settle a closed leveraged market at the index average of its last hour (SYSTEM)."""
    answer = Client(data).post(f"/markets/{segment(name)}/settle", {})
    return show(answer, json=json, title=f"Market {name} settled")


def funding(name: Market, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Charge the hour's funding once it is due (anyone)."""
    answer = Client(data).post(f"/markets/{segment(name)}/funding", {})
    return show(answer, json=json, title=f"Funding of {name} charged")


@breaker.command(name="list")
def list_breakers(
    *,
    market: Annotated[str | None, Parameter(help="only this market and the platform")] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Breakers with their phase, and the last trips with cause, value and threshold."""
    document = Client(data).get("/breakers", {"market": market})
    if json:
        print_json(document)
        return ExitCode.OK
    print_rows(document["breakers"], BREAKER_COLUMNS, title="Breakers", empty="no breaker has moved yet")
    print_rows(document["trips"], TRIP_COLUMNS, title="Trips", empty="no trips")
    return ExitCode.OK


@breaker.command
def trip(
    name: Breaker,
    market: Scope = "ALL",
    *,
    reason: Annotated[str, Parameter(help="why; it goes into the log")],
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Trip a breaker by hand (EMERGENCY)."""
    body = {"market": market, "reason": reason, "actor": actor}
    answer = Client(data).post(f"/breakers/{segment(name)}/trip", body)
    return show(answer, json=json, title=f"Breaker {name} of {market} tripped")


@breaker.command
def close(
    name: Breaker,
    market: Scope = "ALL",
    *,
    reason: Annotated[str, Parameter(help="why; it goes into the log")] = "",
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Approve an early close (RESUMER). Two people: --as resumer-1, then --as resumer-2."""
    body = {"market": market, "reason": reason, "actor": actor}
    answer = Client(data).post(f"/breakers/{segment(name)}/close", body)
    return show(answer, json=json, title=f"Breaker {name} of {market}: closing approved")


@breaker.command
def configure(
    name: Breaker,
    market: Scope = "ALL",
    *,
    threshold: Annotated[
        int | None, Parameter(help="in the breaker's own unit: bp, hundredths, ppm, count")
    ] = None,
    second_threshold: Annotated[int | None, Parameter(help="second threshold, in bp")] = None,
    halt_s: Annotated[int | None, Parameter(help="length of a halt")] = None,
    cooldown_s: Annotated[int | None, Parameter(help="after it closed")] = None,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Arm or change a breaker (RISK); what loosens it needs a proposal."""
    body = {
        "market": market,
        "threshold": threshold,
        "second_threshold": second_threshold,
        "halt_s": halt_s,
        "cooldown_s": cooldown_s,
        "actor": actor,
    }
    answer = Client(data).post(f"/breakers/{segment(name)}/configure", body)
    return show(answer, json=json, title=f"Breaker {name} of {market} configured")
