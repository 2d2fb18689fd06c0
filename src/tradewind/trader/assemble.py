"""Puts a paper trader together: venue, risk, strategy, session and kill switch over a port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from tradewind.security.capability import CapabilityDenied
from tradewind.venues.market_data import Instrument
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.mirror import MirrorConfig
from tradewind.venues.paper.port import Port
from tradewind.venues.paper.schedule import load_schedule
from tradewind.venues.paper.setup import PaperKeys, set_up
from tradewind.venues.paper.venue import PaperVenue

from . import discovery
from .execution.desk import ExecutionDesk
from .execution.service_view import attach as attach_execution
from .hosting.host import Hosted
from .kill import KillSwitch
from .risk.profile import load_profile
from .service import TraderService
from .session import Session
from .strategy import Strategy
from .trader_file import TraderFile

SCHEDULES = {"binance": "binance-spot-vip0", "kraken": "kraken-spot-tier0", "generated": "binance-spot-vip0"}
"""The fee schedule whose venue a feed comes from; a generated market borrows Binance's and says so by its
name.
"""
CAPABLE_ENVIRONMENTS = ("sim", "paper")


class PaperTrader(msgspec.Struct, frozen=True):
    """A session with its parts."""

    session: Session
    venue: PaperVenue
    trader: TraderService
    kill: KillSwitch
    execution: ExecutionDesk


def build_strategy(name: str, parameters: str, symbol: str, environment: str) -> Strategy:
    """A strategy by its source with a named parameter set. Raises `StrategyError`, `ParameterError`."""
    preset = parameters if name == "market_maker" else "default"
    return discovery.make(name, (symbol,), preset=preset, environment=environment)


async def assemble(
    port: Port,
    keys: PaperKeys,
    *,
    instruments: Sequence[Instrument],
    symbol: str,
    cash: Mapping[str, Decimal],
    schedule: str | Path,
    profile: str | Path = "paper",
    strategy: str = "market_maker",
    parameters: str = "default",
    traders: TraderFile | None = None,
    outside: Mapping[str, Instrument] | None = None,
    environment: str = "paper",
    latency: LatencyConfig | None = None,
    mirror: MirrorConfig | None = None,
    seed: int = 1,
) -> PaperTrader:
    """Set up what is missing in the engine and build the parts. Call `session.open()` next, then
    `session.run(feed)`.

    `traders` names several strategies; without it one of `strategy` trades `symbol`.

    Raises `CapabilityDenied` for environments above paper, `ConfigError`, `ScheduleError`, `StrategyError`,
    `ParameterError`, `TraderFileRefused`, `ManifestError`, `SetupRefused`.
    """
    if environment not in CAPABLE_ENVIRONMENTS:
        raise CapabilityDenied(f"environment {environment!r} cannot be built here, only sim and paper")
    limits = load_profile(profile)
    if traders is not None:
        hosted = traders.hosted(environment, limits)
    else:
        hosted = [Hosted(strategy=build_strategy(strategy, parameters, symbol, environment))]
    setup = await set_up(port, keys, load_schedule(schedule), instruments, cash, mirror=mirror)
    chosen = latency or LatencyConfig(seed=seed)
    venue = PaperVenue(port, setup, name="paper", latency=chosen)
    trader = TraderService(
        venue, port, limits, strategies=hosted, outside=outside, environment=environment, seed=seed
    )
    session = Session(venue, trader)
    return PaperTrader(session, venue, trader, KillSwitch(session), attach_execution(trader))
