"""Runs the platform as a campaign: samples it every minute, drills it, and keeps all of it on the disk.

The campaign lives in the process that it measures and never stands in its way: what fails here is recorded as
missing evidence, and trading goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from tradewind.trader.campaign.clocks import SECOND_NS, Clocks, Moment, SystemClocks, process_age_ns
from tradewind.trader.campaign.drills import Planned, due, plan
from tradewind.trader.campaign.evidence import (
    ALERTS_FILE,
    DRILLS_FILE,
    FILLS_FILE,
    ORDERS_FILE,
    SAMPLES_FILE,
)
from tradewind.trader.campaign.samples import SAMPLE_EVERY_S, AlertLine, DrillLine, Sample
from tradewind.trader.campaign.series import (
    MAX_EVENT_BYTES,
    MAX_SAMPLE_BYTES,
    Series,
    SeriesFull,
    read_series,
)
from tradewind.trader.campaign.state import DAY_S, CampaignState, Checkpoint, Ending, save

from .campaign_drills import Drills
from .campaign_figures import FeedWatch, LogWatch, TradingWatch, active_alarms, process_figures
from .campaign_meter import VenueMeter

if TYPE_CHECKING:
    from tradewind.api.platform import Platform

log = structlog.get_logger("tradewind.campaign")
TICK_S: Final = 1.0
VIRTUAL_TICK_S: Final = 0.05
MAX_KNOWN_FILLS: Final = 20_000

OnDay = Callable[[int], Awaitable[list[str]]]
"""Makes the report when a day is over; answers with the rows that are red."""


class CampaignRunner:
    """One life of a campaign. Make it when the platform trades, `run` it, `close` it after the stop."""

    def __init__(
        self,
        platform: Platform,
        folder: Path,
        state: CampaignState,
        *,
        clocks: Clocks | None = None,
        on_day: OnDay | None = None,
        sample_every_s: float = SAMPLE_EVERY_S,
    ) -> None:
        session, selected = platform.session, platform.selected
        assert session is not None
        assert selected is not None
        self.platform, self.folder, self.state = platform, folder, state
        self.clocks = clocks or SystemClocks()
        self.virtual = state.identity.provenance == "virtual"
        self.samples_taken = 0
        self.last_sample: Sample | None = None
        self._session, self._feed = session, selected.feed
        self._on_day, self._sample_every_s = on_day, sample_every_s
        self._planned: list[Planned] = plan(state.identity.hours, state.identity.provenance)
        self._series = {
            name: Series(folder / name, MAX_SAMPLE_BYTES if name == SAMPLES_FILE else MAX_EVENT_BYTES)
            for name in (SAMPLES_FILE, ORDERS_FILE, FILLS_FILE, DRILLS_FILE, ALERTS_FILE)
        }
        self.samples_taken = self._series[SAMPLES_FILE].lines
        self.meter = VenueMeter(
            session,
            lambda: self.campaign_s,
            lambda line: self._write(ORDERS_FILE, line),
            lambda line: self._write(FILLS_FILE, line),
        )
        self.feed_watch = FeedWatch(platform, session, selected.feed)
        self._trading_watch = TradingWatch(session, self.meter)
        self._log_watch = LogWatch(platform)
        self._drills = Drills(platform, self.meter, self.feed_watch, folder)
        self._virtual_before_s = 0.0
        self._feed_first_ns: int | None = None
        self._alarms: set[str] = set()
        self._last_moment: Moment | None = None
        self._next_sample_s = 0.0

    # ---- time --------------------------------------------------------------------------------------

    @property
    def campaign_s(self) -> float:
        """Campaign time in seconds."""
        return self.state.counted_s

    @property
    def reached(self) -> bool:
        """Whether the campaign has its hours."""
        return self.state.hours >= self.state.identity.hours

    def _advance(self) -> Moment:
        now = self.clocks.now()
        virtual_s = None
        if self.virtual:
            feed_ns = self._feed.clock_ns()
            if self._feed_first_ns is None and feed_ns:
                self._feed_first_ns = feed_ns
            virtual_s = 0.0 if self._feed_first_ns is None else (feed_ns - self._feed_first_ns) / SECOND_NS
        self.state.advance(now, virtual_s)
        return now

    # ---- life --------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take over: a new life, the lines that the last one could not write, the meter in its place."""
        self.state.begin_life(self.clocks, os.getpid())
        self._last_moment = self.state.lives[-1].first
        self._write_missing()
        self.meter.attach()
        self._next_sample_s = self.campaign_s
        save(self.folder, self.state)

    def _write_missing(self) -> None:
        """Executions and ends that the journal knows and the series lack: the last life ended in between."""
        open_orders: set[str] = set()
        trade_ids: set[str] = set()
        for line in read_series(self.folder / ORDERS_FILE):
            over = line["what"] in ("end", "reject")
            (open_orders.discard if over else open_orders.add)(line["client_id"])
        for line in read_series(self.folder / FILLS_FILE):
            trade_ids.add(line["trade_id"])
        account = self._session.venue.account
        for fill in account.fills:
            if fill.venue_ts_ns >= self.state.created_ns and fill.trade_id not in trade_ids:
                self.meter.record_fill(fill)
                self.meter.fills -= 1
        for client_id in open_orders:
            order = account.find(client_id)
            if order is None or client_id not in {one.client_id for one in account.open()}:
                managed = self._session.trader.oms.get(client_id)
                state = str(managed.state) if managed is not None else "abandoned"
                symbol = managed.intent.symbol if managed is not None else ""
                filled = managed.filled_lots if managed is not None else None
                self.meter.end(client_id, state, filled, symbol, self.platform.node.now_ns())

    async def run(self) -> None:
        """Until the campaign has its hours. Cancelling it is how a stop ends it."""
        drilling = asyncio.create_task(self._drill(), name="campaign-drills")
        try:
            while not self.reached:
                await self._tick()
                await asyncio.sleep(VIRTUAL_TICK_S if self.virtual else TICK_S)
            await self._sample()
        finally:
            drilling.cancel()
            await asyncio.gather(drilling, return_exceptions=True)

    async def _tick(self) -> None:
        self._advance()
        self.feed_watch.look()
        self._log_watch.look()
        self._note_alarms()
        if self._trading_watch.differences is None and await self._trading_watch.look():
            self.feed_watch.ledger_was_equal()
        if self.campaign_s >= self._next_sample_s:
            await self._sample()
            while self._next_sample_s <= self.campaign_s:
                self._next_sample_s += self._sample_every_s
        await self._close_days()

    async def close(self, ended: Ending, detail: str = "") -> None:
        """The life is over; nothing is written after this. Call it when the platform has stopped."""
        self._advance()
        if ended == "finished":
            # The last word on the whole journal, now that nobody writes to it.
            day = max(1, int((self.campaign_s - 1) // DAY_S) + 1)
            await self._run_drill(
                Planned(id="final-journal", drill="journal", day=day, due_s=self.campaign_s)
            )
        self.state.end_life(ended, detail)
        await asyncio.to_thread(self._persist)
        for series in self._series.values():
            with contextlib.suppress(OSError):
                series.close()

    # ---- samples -----------------------------------------------------------------------------------

    async def _sample(self) -> None:
        now = self._advance()
        assert self._last_moment is not None
        self.state.check_clock(self._last_moment, now)
        self._last_moment = now
        self.samples_taken += 1
        age_ns = process_age_ns(now.boottime_ns)
        self.last_sample = Sample(
            number=self.samples_taken,
            life=self.state.lives[-1].number,
            campaign_s=round(self.campaign_s, 3),
            wall_ns=now.wall_ns,
            monotonic_ns=now.monotonic_ns,
            boottime_ns=now.boottime_ns,
            boot_id=now.boot_id,
            process_age_s=None if age_ns is None else round(age_ns / SECOND_NS, 2),
            process=process_figures(self.platform.configuration.data),
            logs=self._log_watch.take(),
            feed=self.feed_watch.take(),
            trading=self._trading_watch.take(self.platform.trading_error or self._session.ended_reason),
            api=self.meter.take_api(),
            alarms=sorted(self._alarms),
        )
        self._write(SAMPLES_FILE, self.last_sample)
        await asyncio.to_thread(self._persist)

    def _persist(self) -> None:
        try:
            for series in self._series.values():
                series.sync()
            save(self.folder, self.state)
        except OSError as error:
            self.state.problem(f"not written: {error.strerror}")
            log.error("campaign_not_written", error=str(error))

    def _write(self, name: str, line: Any) -> None:
        try:
            self._series[name].append(line)
        except (SeriesFull, OSError, ValueError) as error:
            self.state.problem(f"{name}: {error}")

    def _note_alarms(self) -> None:
        now = set(active_alarms(self.platform))
        for code in sorted(now - self._alarms):
            line = AlertLine(at_ns=time.time_ns(), campaign_s=round(self.campaign_s, 3), text=code)
            self._write(ALERTS_FILE, line)
        self._alarms = now

    # ---- days and drills ---------------------------------------------------------------------------

    async def _close_days(self) -> None:
        day = int(self.campaign_s // DAY_S)
        if day <= self.state.days_closed:
            return
        self.state.days_closed = day
        red: list[str] = []
        if self._on_day is not None:
            try:
                red = await self._on_day(day)
            except Exception as error:  # noqa: BLE001 a report that fails must not end the campaign
                log.error("campaign_report_failed", error=repr(error))
                red = [f"the report failed: {type(error).__name__}"]
        hours = int(day * DAY_S // 3_600)
        self.state.checkpoints.append(Checkpoint(hours=hours, at_ns=time.time_ns(), red=tuple(red)))
        log.info("campaign_checkpoint", hours=hours, red=red)

    async def _drill(self) -> None:
        if self._drills.own_halt():
            # The last life ended within the cool-down of a drill.
            day = int(self.campaign_s // DAY_S) + 1
            await self._run_drill(
                Planned(id="leftover-resume", drill="resume", day=day, due_s=self.campaign_s)
            )
        while True:
            planned = due(self._planned, self.state.drills_done, self.campaign_s)
            if planned is None:
                await asyncio.sleep(TICK_S if not self.virtual else VIRTUAL_TICK_S)
                continue
            self.state.drills_done[planned.id] = round(self.campaign_s, 3)
            line = await self._run_drill(planned)
            if planned.drill == "kill" and line.ran:
                # The halt is on the disk before the cool-down: a stop in between must not lose it.
                await self._run_drill(
                    msgspec.structs.replace(planned, id=f"{planned.id}-resume", drill="resume")
                )

    async def _run_drill(self, planned: Planned) -> DrillLine:
        line = await self._drills.run(planned, self.campaign_s)
        self._write(DRILLS_FILE, line)
        log.info("campaign_drill", drill=planned.id, passed=line.passed, detail=line.detail)
        return line
