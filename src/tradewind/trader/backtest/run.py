"""One back-test run: the paper trader, its risk, the paper venue and the engine, on the clock of the data.

Only `play` knows how the events are driven through; everything that is measured afterwards comes from what
was journaled, from the fills, and from the survey of the data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.core import native
from tradewind.core.engine import RULES_VERSION
from tradewind.core.events import Result
from tradewind.trader.execution.service_view import attach as attach_execution
from tradewind.trader.orders import ManagedOrder
from tradewind.trader.records import TRADER_STREAM, AmendRequest, CancelRequest, Denial, Intent, decode
from tradewind.trader.replaying import Replay
from tradewind.trader.risk.profile import Profile, load_profile
from tradewind.trader.service import TraderService
from tradewind.trader.session import Session
from tradewind.trader.strategy import Strategy
from tradewind.venues.market_data import Known, Side
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.port import EnginePort, Note
from tradewind.venues.paper.queue_model import CancelModel
from tradewind.venues.paper.rows import Rows
from tradewind.venues.paper.schedule import load_schedule
from tradewind.venues.paper.setup import PaperKeys, set_up
from tradewind.venues.paper.venue import PaperVenue
from tradewind.venues.protocol import FeeSchedule, FillEvent, PrivateEvent

from .candles import latency_for_candles
from .data import MarketData
from .errors import BacktestRefused, DataRefused
from .survey import Tell

SECOND_NS: Final = 1_000_000_000
YEAR_NS: Final = 360 * 86_400 * SECOND_NS
FLIGHT_NS: Final = 30 * SECOND_NS
"""How long the end waits for what is under way; no latency is longer than a third of it."""
MAX_MESSAGES: Final = 20_000_000
"""Of one run: they lie in memory, 80 bytes each and 16 a level."""
MAX_INTENTS: Final = 5_000_000
OF_THIS_MACHINE: Final = ("callbacks of ", "memory of ")
"""How alarms begin that depend on how busy this machine is: they would differ from run to run."""
QUEUES: Final = ("prorata", "pessimistic")

Decision = tuple[int, bytes]
"""Moment and journaled bytes of one decision of the strategy, denied ones included."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """Everything besides data and strategy that decides a run."""

    symbol: str
    cash: Decimal
    schedule: str
    profile: str = "paper"
    latency: LatencyConfig = LatencyConfig()
    queue: CancelModel = "prorata"
    seed: int = 1


class OrderLine(msgspec.Struct, kw_only=True):
    """One order of the run as its end shows it. Prices in quote, quantities in base units."""

    order: str
    at_ns: int
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    tag: str
    post_only: bool
    amends: int = 0
    state: str = ""
    filled: Decimal = Decimal(0)
    reason: str = ""


class Facts(msgspec.Struct, kw_only=True):
    """What happened in one run."""

    start_ns: int
    end_ns: int
    currency: str
    fees: FeeSchedule
    profile_hash: str
    decisions: list[Decision]
    decided_ns: dict[str, list[int]]
    """Moments at which each order was decided: placed, then amended."""
    fills: list[FillEvent]
    orders: list[OrderLine]
    denials: dict[str, int]
    rejects: dict[str, int]
    counters: dict[str, int]
    tick: Decimal
    lot: Decimal
    base: str
    cash: Decimal
    final_cash: Decimal
    final_position: Decimal
    strategy_error: str | None
    strategy_note: str
    """What the strategy says of itself at the end: mostly why it does not trade."""
    alarms: list[str]
    differences: list[str]
    refused_mirror_actions: int
    tape_hash: str


class _Recorder:
    """Collects journaled decisions and delivered fills."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.decided_ns: dict[str, list[int]] = {}
        self.intents: list[Intent] = []
        self.denials: dict[str, int] = {}
        self.fills: list[FillEvent] = []
        self.last: dict[str, tuple[str, int, str]] = {}

    def note(self, payload: bytes) -> None:
        """A record of the trader, as it was journaled."""
        record = decode(payload)
        match record:
            case Intent():
                self.intents.append(record)
                self.decided_ns[record.client_id] = [record.decision_ns]
                at_ns = record.decision_ns
            case AmendRequest():
                self.decided_ns.setdefault(record.client_id, []).append(record.decision_ns)
                at_ns = record.decision_ns
            case CancelRequest():
                at_ns = record.decision_ns
            case Denial():
                for code in record.codes:
                    self.denials[code] = self.denials.get(code, 0) + 1
                at_ns = record.at_ns
            case _:
                return
        if len(self.decisions) >= MAX_INTENTS:
            raise BacktestRefused("TOO_MANY_DECISIONS", f"more than {MAX_INTENTS} decisions in one run")
        self.decisions.append((at_ns, payload))

    def on_private(self, event: PrivateEvent) -> None:
        if isinstance(event, FillEvent):
            self.fills.append(event)

    def on_order(self, order: ManagedOrder) -> None:
        self.last[order.client_id] = (str(order.state), order.filled_lots, order.reason)


class _Port(EnginePort):
    """A bare engine whose notes are collected on their way in; nobody else listens to it."""

    def __init__(self, engine: Any, system: bytes, now_ns: int, recorder: _Recorder) -> None:
        super().__init__(engine, system, now_ns, keep_tape=False)
        self._recorder = recorder

    async def submit(self, commands: Sequence[bytes], notes: Sequence[Note] = ()) -> list[Result]:
        """Apply at the virtual moment."""
        for stream, _, payload in notes:
            if stream == TRADER_STREAM:
                self._recorder.note(payload)
        return await super().submit(commands, notes)


class World(msgspec.Struct, frozen=True):
    """The parts of a run."""

    session: Session
    venue: PaperVenue
    trader: TraderService
    port: EnginePort
    recorder: Any


def limits_for(data: MarketData, setting: Setting) -> Profile:
    """The risk profile of the run. Raises `BacktestRefused` when it is not made for this market."""
    profile = load_profile(setting.profile)
    quote = data.instruments[setting.symbol].quote
    if profile.account.currency != quote:
        raise BacktestRefused(
            "PROFILE_MISMATCH",
            f"profile {profile.name} counts in {profile.account.currency}, {setting.symbol} in {quote}",
        )
    if data.market_age_ms is None:
        return profile
    wider = max(profile.limits.max_market_age_ms, data.market_age_ms)
    return msgspec.structs.replace(
        profile, limits=msgspec.structs.replace(profile.limits, max_market_age_ms=wider)
    )


async def build(data: MarketData, strategy: Strategy, setting: Setting, start_ns: int) -> World:
    """Engine, venue and trader, funded, at the moment of the first event.

    Raises:
        BacktestRefused, and what profile, schedule and set-up refuse.
    """
    if setting.queue not in QUEUES:
        raise BacktestRefused(
            "QUEUE_MODEL", f"queue model {setting.queue!r} is not available; there are {', '.join(QUEUES)}"
        )
    latency = latency_for_candles(setting.latency) if data.kind == "candles" else setting.latency
    profile = limits_for(data, setting)
    keys = PaperKeys.derive("backtest")
    genesis = native.encode_genesis(0, RULES_VERSION, start_ns, keys.grants(start_ns + YEAR_NS))
    recorder = _Recorder()
    port = _Port(native.Engine(genesis, audit=False), keys.system, start_ns, recorder)
    instrument = data.instruments[setting.symbol]
    setup = await set_up(
        port,
        keys,
        load_schedule(setting.schedule),
        [instrument],
        {instrument.quote: setting.cash},
        mirror=msgspec.structs.replace(data.mirror, cancel_model=setting.queue),
    )
    venue = PaperVenue(port, setup, name="paper", latency=latency)
    trader = TraderService(venue, port, profile, strategy, environment="sim", seed=setting.seed)
    attach_execution(trader, hears=strategy.manifest.executes)
    venue.subscribe(recorder.on_private)
    trader.on_order_hooks.append(recorder.on_order)
    return World(Session(venue, trader), venue, trader, port, recorder)


async def play(
    data: MarketData,
    strategy: Strategy,
    setting: Setting,
    *,
    tell: Tell = lambda done, of: None,
) -> Facts:
    """Play the data from beginning to end, then stop the trader in order.

    Raises:
        BacktestRefused, DataRefused, and what profile, schedule and set-up refuse.
    """
    rows = rows_of(data)
    if rows is None:
        raise BacktestRefused("DATA_EMPTY", f"{data.label} holds no market data")
    start_ns, end_ns = rows.time_ns(0), rows.time_ns(len(rows) - 1)
    world = await build(data, strategy, setting, start_ns)
    await world.session.open()
    await Replay(world.session, rows).run(on_progress=lambda done: _told(tell, done, len(rows)))
    await _finish(world)
    tell(len(rows), len(rows))
    return await _facts(world, setting, start_ns, end_ns)


def _told(tell: Tell, done: int, of: int) -> None:
    tell(done, of)


def rows_of(data: MarketData) -> Rows | None:
    """All events in compact memory; None for no event at all. Raises `DataRefused`: more than can be held."""
    rows = Rows()
    for now_ns, events in data.batches():
        for event in events:
            rows.append(event, now_ns)
        if len(rows) > MAX_MESSAGES:
            raise DataRefused("DATA_TOO_LARGE", f"more than {MAX_MESSAGES} messages: give fewer files")
    return rows if len(rows) else None


async def _finish(world: World) -> None:
    """The strategy's last word, every order cancelled, and all reports delivered."""
    session, trader = world.session, world.trader
    await trader.stop()
    until_ns = world.port.now_ns() + FLIGHT_NS
    while world.venue.in_flight_count and world.port.now_ns() < until_ns:
        await session.sleep_ns(100_000_000)


async def _facts(world: World, setting: Setting, start_ns: int, end_ns: int) -> Facts:
    trader, recorder = world.trader, world.recorder
    instrument = trader.oms.instruments[setting.symbol]
    lines: list[OrderLine] = []
    rejects: dict[str, int] = {}
    for intent in recorder.intents:
        line = _line(trader, recorder, intent)
        lines.append(line)
        if line.state == "rejected":
            code = line.reason.partition(":")[0] or "unknown"
            rejects[code] = rejects.get(code, 0) + 1
    differences = [str(one) for one in await trader.reconcile()]
    fees = trader.fees.value if isinstance(trader.fees, Known) else world.venue.setup.fees
    return Facts(
        start_ns=start_ns,
        end_ns=end_ns,
        currency=trader.profile.account.currency,
        fees=fees,
        profile_hash=trader.profile.hash,
        decisions=recorder.decisions,
        decided_ns=recorder.decided_ns,
        fills=sorted(recorder.fills, key=lambda fill: fill.sequence),
        orders=lines,
        denials=dict(sorted(recorder.denials.items())),
        rejects=dict(sorted(rejects.items())),
        counters={name: count for name, count in msgspec.to_builtins(trader.oms.stats).items()},
        tick=instrument.tick,
        lot=instrument.lot,
        base=instrument.base,
        cash=setting.cash,
        final_cash=trader.ledger.total(instrument.quote),
        final_position=trader.ledger.total(instrument.base),
        strategy_error=trader.strategy_error,
        strategy_note=_note_of(trader),
        alarms=[alarm.text for alarm in trader.alarms if not alarm.text.startswith(OF_THIS_MACHINE)],
        differences=differences,
        refused_mirror_actions=sum(one.refused_actions for one in world.venue.markets.values()),
        tape_hash=world.port.written.digest().hex(),
    )


def _note_of(trader: TraderService) -> str:
    notes = [str(getattr(host.strategy, "gate_reason", "")) for host in trader.hosts]
    return "; ".join(note for note in notes if note)[:500]


def _line(trader: TraderService, recorder: _Recorder, intent: Intent) -> OrderLine:
    instrument = trader.oms.instruments[intent.symbol]
    managed = trader.oms.get(intent.client_id)
    state, filled, reason = recorder.last.get(intent.client_id, ("unknown", 0, ""))
    price, lots = intent.price_ticks, intent.lots
    if managed is not None:
        state, filled, reason = str(managed.state), managed.filled_lots, managed.reason
        price, lots = managed.price_ticks, managed.lots
    return OrderLine(
        order=intent.client_id,
        at_ns=intent.decision_ns,
        symbol=intent.symbol,
        side=Side(intent.side).name.lower(),
        price=instrument.tick * price,
        quantity=instrument.lot * lots,
        tag=intent.tag,
        post_only=intent.post_only,
        amends=len(recorder.decided_ns[intent.client_id]) - 1,
        state=state,
        filled=instrument.lot * filled,
        reason=reason,
    )


def run(
    data: MarketData,
    make: Callable[[], Strategy],
    setting: Setting,
    *,
    tell: Tell = lambda done, of: None,
) -> Facts:
    """`play` with a strategy made anew, outside of any loop."""
    return asyncio.run(play(data, make(), setting, tell=tell))
