"""`tradewind paper`: campaigns on paper money, measured for days."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json

paper = App(name="paper", help="Paper campaigns: run for days, checked every minute, with a report.")
DEFAULT_REPORTS = Path("reports/paper")
Campaign = Annotated[str | None, Parameter(help="name of a campaign; default: the present or latest one")]
Reports = Annotated[Path, Parameter(help="where reports go: REPORTS/<campaign>/")]


@paper.command
def start(
    *,
    hours: Annotated[float | None, Parameter(help="length in hours; default 120")] = None,
    data: DataDirectory = DEFAULT_DATA,
    config: Annotated[Path | None, Parameter(help="TOML file with the same names as these options")] = None,
    feed: Annotated[str | None, Parameter(help="auto, live, replay or generated; default auto")] = None,
    replay: Annotated[list[Path] | None, Parameter(help="recording to replay, again and again")] = None,
    venue: Annotated[str | None, Parameter(help="venue of the live feed: binance (default), kraken")] = None,
    symbol: Annotated[str | None, Parameter(help="market to trade; default BTC/USDT")] = None,
    strategy: Annotated[str | None, Parameter(help="strategy; default market_maker")] = None,
    parameters: Annotated[str | None, Parameter(help="its parameters; default demonstration")] = None,
    trader: Annotated[
        Path | None, Parameter(help="file with several strategies, their symbols and budgets (TOML)")
    ] = None,
    profile: Annotated[str | None, Parameter(help="risk profile; default paper")] = None,
    cash: Annotated[list[str] | None, Parameter(help="starting funds; default '10000 USDT'")] = None,
    seed: Annotated[int | None, Parameter(help="seed of the generated market")] = None,
    speed: Annotated[
        float | None, Parameter(help="speed of recordings and of the generated market (sim only)")
    ] = None,
    compressed: Annotated[
        bool, Parameter(negative="", help="sim, as fast as it goes: virtual hours, never evidence")
    ] = False,
    port: Annotated[int | None, Parameter(help="console and API; default 8000, 0 for any free one")] = None,
    reports: Reports = DEFAULT_REPORTS,
    detach: Annotated[
        bool, Parameter(negative="", help="run in the background, with a log beside the campaign")
    ] = False,
    json: Json = False,
) -> int:
    """Begin a campaign, or continue the unfinished one of this data directory.

    The first interrupt stops in order and keeps the campaign; the same command continues it. Only hours with
    a live market on the real clock are evidence.
    """
    from tradewind.cli.campaigning import Options, start_campaign

    return start_campaign(
        Options(
            hours=hours,
            data=data,
            feed=feed,
            replay=None if replay is None else tuple(replay),
            venue=venue,
            symbol=symbol,
            strategy=strategy,
            parameters=parameters,
            trader=trader,
            profile=profile,
            cash=None if cash is None else tuple(cash),
            seed=seed,
            speed=speed,
            compressed=compressed,
            port=port,
        ),
        config=config,
        reports=reports,
        detach=detach,
        as_json=json,
    )


@paper.command
def status(
    *,
    data: DataDirectory = DEFAULT_DATA,
    campaign: Campaign = None,
    json: Json = False,
) -> int:
    """Progress, whether it runs, the last checkpoint, and what is red now. Works when the process is dead."""
    from tradewind.cli.campaign_reading import show_status

    return show_status(data, campaign, as_json=json)


@paper.command
def report(
    *,
    data: DataDirectory = DEFAULT_DATA,
    campaign: Campaign = None,
    reports: Reports = DEFAULT_REPORTS,
    json: Json = False,
) -> int:
    """Write the report: checklist, daily checklists, tables, HTML, Markdown and PDF. Exit 0 when it is green.

    Made again from the same files it is the same, byte for byte.
    """
    from tradewind.cli.campaign_reading import write_report

    return write_report(data, campaign, reports, as_json=json)


@paper.command
def stop(
    *,
    data: DataDirectory = DEFAULT_DATA,
    end: Annotated[
        bool, Parameter(negative="", help="the campaign is over: the next start begins a new one")
    ] = False,
    json: Json = False,
) -> int:
    """Stop a campaign in order, as the first interrupt does, and wait until its process is gone."""
    from tradewind.cli.campaign_reading import stop_campaign

    return stop_campaign(data, end=end, as_json=json)
