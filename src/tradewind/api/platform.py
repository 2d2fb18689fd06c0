"""A whole platform in one process: node, views, feed, paper venue, trader.

First the node (its lock refuses a second process), then the views and the API, and only then market data
and trading, so that an operator can look at a platform whose market is not reachable.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from tradewind import __version__
from tradewind.api.controls import TraderControls
from tradewind.api.desk import Desk
from tradewind.api.directory import Directory
from tradewind.api.execution_access import ExecutionOfTrader
from tradewind.api.identities import Identities
from tradewind.api.own_orders import TraderDesk
from tradewind.api.problems import ApiFailure
from tradewind.api.reads import Reads
from tradewind.api.risk_routes import RiskOfTrader
from tradewind.api.safety import Safety
from tradewind.api.views import PlatformViews
from tradewind.config import ConfigurationRefused, UpConfiguration
from tradewind.core import commands as build
from tradewind.core import journal
from tradewind.core.engine import GenesisConfig, Grant
from tradewind.core.hashing import account_id
from tradewind.node.service import NodeService
from tradewind.observe.collect import ViewCollector
from tradewind.trader.assemble import SCHEDULES, PaperTrader, assemble
from tradewind.trader.execution.curve import load_folder
from tradewind.trader.kill import KillSwitch
from tradewind.trader.service import TraderService
from tradewind.trader.session import Session
from tradewind.trader.trader_file import read_trader_file
from tradewind.venues.feeds.select import FeedRequest, SelectedFeed, select_feed
from tradewind.venues.market_data import FeedError
from tradewind.venues.paper.port import NodePort
from tradewind.venues.paper.setup import PaperKeys
from tradewind.venues.paper.venue import PaperVenue

if TYPE_CHECKING:
    from tradewind.keepers.assemble import LocalWorkers
    from tradewind.keepers.supervisor import Supervisor

log = structlog.get_logger("tradewind.platform")

CURVE_FOLDER: Final = "curves"
"""Where an operator puts volume curves for strategies, and for VWAP without a curve of its own."""
STOP_DEADLINE_S: Final = 10.0
DIRECT_STOP_DEADLINE_S: Final = 3.0
MIRRORS: Final = ("mirror_maker", "mirror_taker")
"""Accounts that play the outside market: nobody listens to them."""
LOCAL_KEEPERS: Final = ("keeper_1", "keeper_2")
LOCAL_SOURCES: Final = ("oracle_1", "oracle_2", "oracle_3")
"""Identities whose work this process does once they are registered; in paper and sim one machine wears all
hats."""
STOP_POLL_NS: Final = 20_000_000


class StopReport(msgspec.Struct, kw_only=True):
    """What an orderly stop has shown. `clean`: no order left, timers off, ledger equal, journal closed."""

    clean: bool
    left: list[str] = []
    differences: list[str] = []
    detail: str = ""


class Platform:
    """Everything that `tradewind up` runs, without the HTTP server and the console."""

    def __init__(self, configuration: UpConfiguration, identities: Identities, node: NodeService) -> None:
        self.configuration = configuration
        self.identities = identities
        self.node = node
        self.started_ns = time.time_ns()
        self.views = PlatformViews(journal.genesis(node.journal_path))
        self.views.activity.skipped_owners |= {
            identities.public[name] for name in MIRRORS if name in identities.public
        }
        self.directory = Directory(self.views, identities.public)
        self.desk = Desk(node, self.directory, identities)
        self.collector = ViewCollector(
            env=configuration.env, version=__version__, node=node, views=self.views, feed_note="starting"
        )
        self.reads = Reads(node, self.directory, identities, self.collector.source, lambda: self.venue)
        self.selected: SelectedFeed | None = None
        self.venue: PaperVenue | None = None
        self.trader: TraderService | None = None
        self.session: Session | None = None
        self.kill: KillSwitch | None = None
        self.controls: TraderControls | None = None
        self.trading_error: str | None = None
        self.demo_error: str | None = None
        """Why the demonstration of a leveraged market is not complete."""
        self._trading: asyncio.Task[None] | None = None
        self._collecting: asyncio.Task[None] | None = None
        self.workers: Supervisor | None = None
        self._supervising: asyncio.Task[None] | None = None
        self._local_workers: LocalWorkers | None = None
        self.safety: Safety | None = None
        """Kill order, ramp, alerts and memory guard, once the log is open."""

    @classmethod
    async def open(
        cls,
        configuration: UpConfiguration,
        identities: Identities,
        progress: Callable[[int, int], object] | None = None,
    ) -> Platform:
        """Opens or creates the node and builds the views.

        Raises:
            JournalLocked: another process runs on this data directory; JournalCorrupt, ReplayMismatch,
            JournalIo. IdentityError: the keys are not those of this log.
        """
        now_ns = time.time_ns()
        genesis = GenesisConfig(now_ns, [Grant(*grant) for grant in identities.grants(now_ns)])
        node = await NodeService.start(configuration.data, genesis=genesis, progress=progress)
        try:
            began_with = journal.genesis(node.journal_path)
            identities.check_against((grant.principal, grant.role) for grant in began_with.grants)
            platform = cls(configuration, identities, node)
            await node.attach(platform.views.apply, name="api-views")
            counters = platform.collector.counters
            await node.attach(counters.apply, name="counters", from_seq=node.next_seq)
            platform.safety = await Safety.start(node, configuration)
            platform.desk.ramp = platform.safety.ramp
        except BaseException:
            await node.close()
            raise
        if configuration.keepers:
            await platform._start_workers()
        platform.collector.refresh()
        platform._collecting = asyncio.create_task(platform.collector.run(), name="view-collector")
        return platform

    # ---- keepers and price sources -----------------------------------------------------------------

    async def _start_workers(self) -> None:
        """Workers of the local keepers and sources; they idle until these are registered."""
        from tradewind.keepers.assemble import LocalWorkers
        from tradewind.keepers.local import CALLBACK, LocalPort, Wake
        from tradewind.keepers.supervisor import Supervisor

        wake = Wake(self.views)
        await self.node.attach(wake.on_batch, name=CALLBACK, from_seq=self.node.next_seq)
        self._local_workers = LocalWorkers(
            self.views,
            self.identities.public,
            lambda: LocalPort(self.node, self.views, wake),
            keepers=LOCAL_KEEPERS,
            sources=LOCAL_SOURCES,
            signer=self.identities.signer,
        )
        self._local_workers.catalogue = self.configuration.catalogue
        self.workers = Supervisor(self.configuration.data, self._local_workers.wanted)
        self.collector.workers = self.workers.rows
        self._supervising = asyncio.create_task(self.workers.run(), name="keepers")

    def _offer_quotes(self) -> None:
        """Market data is chosen: the local price sources may publish it, if it may be published at all."""
        if self._local_workers is None or self.selected is None:
            return
        from tradewind.keepers.assemble import refusal_to_publish
        from tradewind.keepers.oracle import FeedQuotes

        one = self.configuration
        self._local_workers.refused = refusal_to_publish(one.env, one.feed, self.selected.feed.label)
        self._local_workers.quotes = FeedQuotes(self.selected.feed)

    # ---- trading -----------------------------------------------------------------------------------

    async def start_trading(self) -> None:
        """Feed, paper venue, recovery, trader; then market data flows.

        Raises:
            ConfigurationRefused: no such feed, recording, symbol or profile.
        """
        one = self.configuration
        self.selected = await self._select_feed()
        feed = self.collector.feed = self.selected.feed
        self.collector.feed_note = "; ".join(self.selected.passed_over)
        traders = None if one.trader is None else read_trader_file(one.trader)
        wanted = (one.symbol,) if traders is None else traders.symbols
        looked_at = () if traders is None else traders.outside
        missing = [symbol for symbol in (*wanted, *looked_at) if symbol not in feed.instruments]
        if missing:
            known = ", ".join(sorted(feed.instruments)) or "nothing"
            raise ConfigurationRefused(
                "UNKNOWN_SYMBOL", f"feed {feed.label} has no {', '.join(missing)}; it has {known}"
            )
        if self.safety is not None:
            await self.safety.obey(one, self.node, self.identities)
        instruments = [feed.instruments[symbol] for symbol in wanted]
        paper = await assemble(
            NodePort(self.node),
            self._paper_keys(),
            instruments=instruments,
            symbol=wanted[0],
            cash=one.cash,
            schedule=SCHEDULES.get(instruments[0].venue, SCHEDULES[one.venue]),
            profile=one.profile,
            strategy=one.strategy,
            parameters="demonstration" if one.parameters == "demonstration" else "default",
            traders=traders,
            outside={symbol: feed.instruments[symbol] for symbol in looked_at},
            environment=one.env,
            seed=one.seed,
        )
        session = paper.session
        differences = await session.open()
        if differences:
            log.error("not_reconciled_after_recovery", differences=[str(one) for one in differences])
        self._begin(paper)
        self._offer_quotes()
        if one.exchange_demo:
            await self._prepare_demo()

    async def _prepare_demo(self) -> None:
        """The demonstration of a leveraged market. Its failure is told and changes nothing else."""
        from tradewind.api.exchange_demo import ExchangeDemo

        try:
            await ExchangeDemo(self.desk, self.configuration.symbol).prepare()
        except ApiFailure as failure:
            self.demo_error = f"{failure.problem.name}: {failure.problem.detail}"
            log.error("exchange_demo_failed", error=self.demo_error)

    def _begin(self, paper: PaperTrader) -> None:
        """Everything is recovered: show it, offer its controls, let market data flow."""
        session = paper.session
        self.session, self.venue, self.trader, self.kill = session, paper.venue, paper.trader, paper.kill
        self.controls = TraderControls(self.kill, session.trader)
        if self.safety is not None:
            self.safety.attach(session.trader)
        self.desk.own_orders = TraderDesk(session)
        self.desk.risk = RiskOfTrader(session)
        self.desk.execution = ExecutionOfTrader(session, paper.execution)
        paper.execution.curves, problems = load_folder(self.configuration.data / CURVE_FOLDER)
        for problem in problems:
            log.error("volume_curve_ignored", problem=problem)
        self.collector.session, self.collector.execution = session, paper.execution
        self.collector.refresh()
        self._trading = asyncio.create_task(self._trade(session), name="trading")

    async def _trade(self, session: Session) -> None:
        assert self.selected is not None
        try:
            await session.run(self.selected.feed.events())
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 the platform outlives its market; the operator is told why
            self.trading_error = f"{type(error).__name__}: {error}"
            log.critical("trading_failed", error=self.trading_error)

    async def _select_feed(self) -> SelectedFeed:
        one = self.configuration
        symbols: tuple[str, ...] = (one.symbol,)
        if one.trader is not None:
            traders = read_trader_file(one.trader)
            symbols = (*traders.symbols, *traders.outside)
        if one.venue == "binance":
            symbols = tuple(symbol.replace("/", "") for symbol in symbols)
        request = FeedRequest(
            venue=one.venue,
            symbols=symbols,
            recordings=one.replay,
            speed=one.speed,
            loop=one.loop,
            seed=one.seed,
        )
        try:
            return await select_feed(one.feed, request)
        except FeedError as error:
            raise ConfigurationRefused("FEED_UNAVAILABLE", str(error)) from error

    def _paper_keys(self) -> PaperKeys:
        return PaperKeys(**{name: self.identities.key(name) for name in PaperKeys.__struct_fields__})

    @property
    def feed_label(self) -> str:
        """Where market data comes from; "none" before the feed was chosen."""
        return "none" if self.selected is None else self.selected.feed.label

    @property
    def feed_state(self) -> str:
        """`live`, `ended`, or the state of the outside book."""
        if self.selected is None:
            return "starting"
        if self.trading_error is not None:
            return "failed"
        if self.session is not None and self.session.ended_reason is not None:
            return "ended"
        return str(self.selected.feed.state(self.configuration.symbol))

    # ---- the end -----------------------------------------------------------------------------------

    async def stop(self, *, direct: bool = False) -> StopReport:
        """Orderly stop (T8.7): no new risk, cancel, verify, disarm, reconcile, close the journal.

        With `leave_orders` an orderly stop cancels nothing; a direct one always does.
        `direct` skips the strategy's last word and the waiting for it. Positions are never closed.
        """
        report = StopReport(clean=True)
        await self._stop_workers()
        if self.node.stop_reason is None:
            if self.session is not None:
                report = await self._stop_trading(self.session, direct=direct)
            else:
                await self._cancel_in_engine()
        await self._stop_market_data()
        if self.safety is not None:
            await self.safety.close()
        if self.node.stop_reason is not None:
            report = msgspec.structs.replace(
                report, clean=False, detail=f"the node is stopped: {self.node.stop_reason}"
            )
        else:
            await self._seal(report)
        await self.node.close()
        return report

    async def _stop_trading(self, session: Session, *, direct: bool) -> StopReport:
        deadline = time.monotonic() + (DIRECT_STOP_DEADLINE_S if direct else STOP_DEADLINE_S)
        if self.configuration.leave_orders and not direct:
            async with session.lock:
                session.trader.running = False
            left = []
        else:
            left = await self._cancel_own(session, deadline, direct=direct)
        if left:
            return StopReport(clean=False, left=left, detail="orders are left at the deadline")
        async with session.lock:
            await session.venue.cancel_after(0, session.trader.oms.identity.epoch)
            differences = [str(one) for one in await session.trader.check_ledger()]
            await session.trader.step()
        detail = "ledger and venue differ" if differences else ""
        return StopReport(clean=not differences, differences=differences, detail=detail)

    async def _cancel_in_engine(self) -> None:
        """The trader never began: what an earlier run left open is cancelled without it."""
        key = self.identities.key("trader")
        if key in self.views.accounts.by_owner:
            await self.node.submit(build.cancel_all(principal=key, account=account_id(key)))

    async def _cancel_own(self, session: Session, deadline: float, *, direct: bool) -> list[str]:
        """Cancels until the venue shows none; returns what is left at the deadline."""
        async with session.lock:
            if not direct:
                await session.trader.stop()
            session.trader.running = False
        while True:
            async with session.lock:
                await session.venue.cancel_all(None, session.trader.oms.identity.epoch)
            await session.sleep_ns(STOP_POLL_NS)
            open_orders = await session.venue.open_orders(None)
            if not open_orders and not session.trader.oms.orders and not session.venue.in_flight_count:
                return []
            if time.monotonic() >= deadline:
                return [one.client_id for one in open_orders] or sorted(session.trader.oms.orders)

    async def _stop_workers(self) -> None:
        if self._supervising is not None:
            self._supervising.cancel()
            await asyncio.gather(self._supervising, return_exceptions=True)
            self._supervising = None

    async def _stop_market_data(self) -> None:
        if self.selected is not None:
            await self.selected.feed.close()
        tasks = [task for task in (self._trading, self._collecting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _seal(self, report: StopReport) -> None:
        """A last snapshot, so that the next start replays nothing; the log itself is complete without it."""
        try:
            await self.node.snapshot()
        except Exception as error:  # noqa: BLE001 the log is durable; this only costs the next start time
            report.detail = f"{report.detail}; no closing snapshot: {error}".lstrip("; ")
