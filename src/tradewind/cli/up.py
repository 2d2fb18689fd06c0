"""`tradewind up`: everything on this machine, in one process, on loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json

DEFAULT_CASH = ("10000 USDT",)


def up(
    *,
    env: Annotated[
        str, Parameter(help="sim or paper; testnet, canary and live need a certificate")
    ] = "paper",
    data: DataDirectory = DEFAULT_DATA,
    port: Annotated[int, Parameter(help="port on the loopback interface; 0 for any free one")] = 8000,
    feed: Annotated[
        str, Parameter(help="auto (live, else recordings, else generated), live, replay, generated")
    ] = "auto",
    replay: Annotated[
        list[Path] | None, Parameter(help="recording to replay; several are one recording in order")
    ] = None,
    loop: Annotated[bool, Parameter(negative="", help="start the recording again when it ends")] = False,
    venue: Annotated[
        str, Parameter(help="venue of the live feed and of the fee schedule: binance, kraken")
    ] = "binance",
    speed: Annotated[
        float, Parameter(help="speed of recordings and of the generated market; 0 is fastest (sim only)")
    ] = 1.0,
    for_: Annotated[
        str | None, Parameter(name="--for", help="stop by itself after this time, e.g. 90s, 5m, 1h30m")
    ] = None,
    candidate: Annotated[
        bool, Parameter(negative="", help="full configuration of the environment, refusing signer")
    ] = False,
    cash: Annotated[
        list[str] | None, Parameter(help="starting funds of a new installation, e.g. '10000 USDT'")
    ] = None,
    symbol: Annotated[str, Parameter(help="market to trade")] = "BTC/USDT",
    strategy: Annotated[
        str, Parameter(help="market_maker, mean_reversion, breakout; none for manual orders only")
    ] = "market_maker",
    parameters: Annotated[
        str, Parameter(help="demonstration (trades, and as a rule loses) or honest (quotes above its costs)")
    ] = "demonstration",
    trader: Annotated[
        Path | None, Parameter(help="file with several strategies, their symbols and budgets (TOML)")
    ] = None,
    profile: Annotated[str, Parameter(help="risk profile: a name or a .toml file")] = "paper",
    seed: Annotated[int, Parameter(help="seed of the generated market")] = 20_240_808,
    keepers: Annotated[
        bool, Parameter(help="run the workers of keeper-1, keeper-2 and oracle-1 to oracle-3 once registered")
    ] = True,
    leave_orders: Annotated[
        bool, Parameter(negative="", help="an orderly stop leaves working orders where they are")
    ] = False,
    alert_url: Annotated[
        str, Parameter(help="where alerts go (Events v2 by POST); none: alerts.jsonl of the data directory")
    ] = "",
    exchange_demo: Annotated[
        bool,
        Parameter(negative="", help="a leveraged market beside it: feed, perpetual, two accounts, keeper"),
    ] = False,
    catalogue: Annotated[
        str, Parameter(help="address of a venue catalogue whose prices linked outcome markets show")
    ] = "",
    json: Json = False,
) -> int:
    """Run everything on this machine: node, feed, paper venue, trader, API and console on
    http://localhost:8000.

    The first interrupt stops in order (orders cancelled and verified, journal closed), the second cancels
    directly, the third leaves at once. SIGUSR1 halts the trader, SIGUSR2 flattens it. Positions are never
    closed by a stop.
    """
    from tradewind.cli.starting import configure, run

    configuration = configure(
        env=env,
        data=data,
        port=port,
        feed=feed,
        replay=tuple(replay or ()),
        loop=loop,
        venue=venue,
        speed=speed,
        duration=for_,
        candidate=candidate,
        cash=cash,
        default_cash=DEFAULT_CASH,
        symbol=symbol,
        strategy=strategy,
        parameters=parameters,
        profile=profile,
        trader=trader,
        seed=seed,
        keepers=keepers,
        leave_orders=leave_orders,
        alert_url=alert_url,
        exchange_demo=exchange_demo,
        catalogue=catalogue,
    )
    return run(configuration, as_json=json)
