"""A small world for the execution desk: hooks, a journal, and a venue that may lag and tell late."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal

from tradewind.trader.execution.algorithms import Market
from tradewind.trader.execution.book import Parent
from tradewind.trader.execution.desk import ExecutionDesk
from tradewind.trader.execution.model import Algorithm, Completion, ExecuteIntent
from tradewind.trader.execution.records import Mark, Scale
from tradewind.trader.orders import ManagedOrder, State
from tradewind.trader.records import Intent, Record, decode, encode
from tradewind.trader.risk.check import Denied, Path
from tradewind.trader.strategy import CancelIntent, PlaceIntent
from tradewind.venues.market_data import Side, TradePrint
from tradewind.venues.protocol import FillEvent

SYMBOL = "BTC/USDT"
START_NS = 1_723_161_250_000_000_000
SECOND = 1_000_000_000
SCALE = Scale(
    base="BTC",
    quote="USDT",
    tick=Decimal("0.01"),
    lot=Decimal("0.0001"),
    min_quantity=Decimal("0.0001"),
    min_notional=Decimal(5),
)


class VenueOrder:
    """An order as it truly is at the venue."""

    def __init__(self, intent: Intent) -> None:
        self.intent = intent
        self.filled = 0
        self.open = True
        self.end = ""

    @property
    def remaining(self) -> int:
        return self.intent.lots - self.filled


class ExecutionWorld:
    """Host and view of a desk, its journal, the venue. A kill drops all but the last two."""

    prints_own = False

    def __init__(self, bid: int = 5_000_000, ask: int = 5_000_100) -> None:
        self.now = START_NS
        self.bid, self.ask = bid, ask
        self.shown = 1_000_000
        self.book = "live"
        self.state = "normal"
        self.online = True
        self.position = 0
        self.scales = {SYMBOL: SCALE}
        self.deny: list[Denied] = []
        self.whole_denied: list[Denied] = []
        self.journal: list[bytes] = []
        self.venue: dict[str, VenueOrder] = {}
        self.venue_fills: list[FillEvent] = []
        self.alarms: list[str] = []
        self.late: list[tuple[int, FillEvent]] = []
        self.quoting: set[str] = set()
        self.halted: dict[str, str] = {}
        self._sequence = 0
        self.boot()

    def boot(self) -> None:
        """A process begins: recovery from the journal and from what the venue shows."""
        self.on_second: list[Callable[[int], None]] = []
        self.on_fill_hooks: list[Callable[[ManagedOrder, FillEvent], None]] = []
        self.on_order_hooks: list[Callable[[ManagedOrder], None]] = []
        self.on_market_hooks: list[Callable[[object], None]] = []
        self.fold_hooks: list[Callable[[Record], None]] = []
        self.wishes: deque[tuple[str, Path, PlaceIntent | CancelIntent, object]] = deque()
        self.records: list[Record] = []
        self.orders: dict[str, ManagedOrder] = {}
        self.running = True
        self.desk = ExecutionDesk(self, self)  # type: ignore[arg-type]
        self.desk.attach()
        for line in self.journal:
            record = decode(line)
            for hook in self.fold_hooks:
                hook(record)
            if isinstance(record, Intent):
                self.orders[record.client_id] = self._recovered(record)
        self.late = []
        self.desk.start()

    def _recovered(self, intent: Intent) -> ManagedOrder:
        order = ManagedOrder(
            intent=intent, state=State.JOURNALED, price_ticks=intent.price_ticks, lots=intent.lots
        )
        truth = self.venue.get(intent.client_id)
        if truth is None:
            order.state = State.ABANDONED
        else:
            order.filled_lots = truth.filled
            order.state = State(truth.end) if not truth.open else State.WORKING
            order.fees = self._fee(truth.filled, intent.price_ticks)
        order.updated_ns = self.now
        return order

    # ---- host ------------------------------------------------------------------------------------

    def record(self, *records: Record) -> None:
        self.records += records

    def wish(self, strategy: str, path: Path, intent: object, verdict: object = None) -> None:
        self.wishes.append((strategy, path, intent, verdict))  # type: ignore[arg-type]

    def flush(self, *, die: str = "") -> None:
        """Risk, one block, send. `die`: at "before" or "after" the block the process is killed."""
        while self.wishes or self.records:
            sends: list[Callable[[], None]] = []
            while self.wishes:
                strategy, path, intent, verdict = self.wishes.popleft()
                self._decide(strategy, path, intent, verdict, sends)
            if die == "before":
                self.boot()
                return
            self.journal += [encode(record)[2] for record in self.records]
            self.records = []
            if die == "after":
                self.boot()
                return
            for send in sends:
                send()

    def _decide(self, strategy: str, path: Path, intent: object, verdict: object, sends: list) -> None:  # type: ignore[type-arg]
        if isinstance(intent, CancelIntent):
            order = self.orders[intent.client_id]
            if order.state in {State.WORKING, State.PARTIALLY_FILLED}:
                order.state = State.CANCEL_PENDING
            answer = ([], order.client_id)
        elif self.deny:
            answer = (list(self.deny), None)
        else:
            assert isinstance(intent, PlaceIntent)
            self._sequence = len(self.venue) + len(self.orders) + 1
            journaled = Intent(
                intent_seq=self._sequence,
                client_id=f"c{self._sequence}",
                environment="sim",
                account="trader",
                venue="test",
                strategy=strategy,
                path=str(path),
                symbol=intent.symbol,
                side=intent.side,
                order_type="limit",
                time_in_force=str(intent.time_in_force),
                post_only=intent.post_only,
                price_ticks=intent.price_ticks,
                lots=intent.lots,
                tag=intent.tag,
                policy="abandon",
                decision_ns=self.now,
                epoch=1,
                limits_hash="",
                config_hash="",
                reservation_asset="USDT",
                reservation=Decimal(0),
            )
            order = ManagedOrder(
                intent=journaled, state=State.SENT, price_ticks=intent.price_ticks, lots=intent.lots
            )
            self.orders[order.client_id] = order
            self.records.append(journaled)
            sends.append(lambda: self._accept(order))
            answer = ([], order.client_id)
        if verdict is not None:
            verdict(*answer)  # type: ignore[operator]

    def _accept(self, order: ManagedOrder) -> None:
        self.venue[order.client_id] = VenueOrder(order.intent)
        order.state = State.WORKING
        self.tell(order)

    # ---- view ------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        return self.now

    def scale(self, symbol: str) -> Scale | None:
        return self.scales.get(symbol)

    def mark(self, symbol: str) -> Mark | None:
        return Mark(self.bid, self.ask, self.now) if self.book == "live" else None

    def market(self, symbol: str, strategy: str) -> Market:
        return Market(
            now_ns=self.now,
            book=self.book,
            mark=self.mark(symbol),
            bid_lots=self.shown,
            ask_lots=self.shown,
            online=self.online,
            state=self.state,
        )

    def position_lots(self, symbol: str) -> int:
        return self.position

    def order(self, client_id: str) -> ManagedOrder | None:
        return self.orders.get(client_id)

    def recent_fills(self) -> Iterable[FillEvent]:
        return self.venue_fills[-500:]

    def fee_bps(self, symbol: str) -> tuple[Decimal, Decimal]:
        return Decimal(10), Decimal(10)

    def denials(self, strategy: str, intent: PlaceIntent) -> list[Denied]:
        return self.whole_denied

    def quotes(self, strategy: str) -> bool:
        return strategy in self.quoting

    def halt(self, strategy: str, reason: str) -> None:
        self.halted[strategy] = reason

    def alarm(self, text: str) -> None:
        self.alarms.append(text)

    # ---- the venue -------------------------------------------------------------------------------

    def tell(self, order: ManagedOrder) -> None:
        for hook in self.on_order_hooks:
            hook(order)

    @staticmethod
    def _fee(lots: int, price_ticks: int) -> Decimal:
        return SCALE.tick * price_ticks * SCALE.lot * lots / 1_000

    def execute(
        self, client_id: str, lots: int, *, told: bool = True, price_ticks: int | None = None
    ) -> None:
        """The venue executes; told at once, or (late) by `late`."""
        truth = self.venue[client_id]
        lots = min(lots, truth.remaining)
        if lots <= 0:
            return
        truth.filled += lots
        price = truth.intent.price_ticks if price_ticks is None else price_ticks
        event = FillEvent(
            venue="test",
            account="trader",
            symbol=SYMBOL,
            trade_id=str(len(self.venue_fills) + 1),
            client_id=client_id,
            venue_id="v",
            side=truth.intent.side,
            price_ticks=price,
            lots=lots,
            remaining_lots=truth.remaining,
            fee=self._fee(lots, price),
            fee_asset="USDT",
            maker=truth.intent.post_only,
            sequence=len(self.venue_fills) + 1,
            venue_ts_ns=self.now,
        )
        self.venue_fills.append(event)
        if not truth.remaining:
            truth.open, truth.end = False, "filled"
        if told:
            self.hear_fill(event)
        else:
            self.late.append((self.now, event))

    def hear_fill(self, event: FillEvent) -> None:
        order = self.orders[event.client_id]
        order.filled_lots += event.lots
        order.fees += event.fee
        if order.filled_lots == order.lots:
            order.state = State.FILLED
        elif not order.is_terminal and order.state is not State.CANCEL_PENDING:
            order.state = State.PARTIALLY_FILLED
        order.updated_ns = self.now
        for hook in self.on_fill_hooks:
            hook(order, event)
        self.tell(order)

    def hear_late(self) -> None:
        for _, event in self.late:
            self.hear_fill(event)
        self.late = []

    def end(self, client_id: str, state: State) -> None:
        """The venue ends an order."""
        truth, order = self.venue[client_id], self.orders[client_id]
        if truth.open:
            truth.open, truth.end = False, str(state)
        if not order.is_terminal:
            order.state = State(truth.end) if order.filled_lots == truth.filled else state
            order.updated_ns = self.now
            self.tell(order)

    def answer(self, *, fills: bool = True) -> None:
        """The venue answers what is pending: cancels, and immediate orders (filled, or expired)."""
        for client_id, truth in list(self.venue.items()):
            order = self.orders[client_id]
            if not truth.open:
                continue
            if order.state is State.CANCEL_PENDING:
                self.end(client_id, State.CANCELLED)
            elif truth.intent.time_in_force == "ioc":
                if fills:
                    self.execute(client_id, truth.remaining)
                if truth.open:
                    self.end(client_id, State.EXPIRED)

    # ---- time and market -------------------------------------------------------------------------

    def trade(self, lots: int, price_ticks: int | None = None, trade_id: int | None = None) -> None:
        event = TradePrint(
            symbol=SYMBOL,
            trade_id=trade_id,
            price_ticks=price_ticks or self.ask,
            quantity_lots=lots,
            aggressor_side=Side.BUY,
            venue_ts_ns=self.now,
            recv_ts_ns=self.now,
            recv_mono_ns=self.now,
            epoch=0,
        )
        for hook in self.on_market_hooks:
            hook(event)

    def pass_s(self, seconds: float = 1.0, *, trades: int = 0, answer: bool = True) -> None:
        """Seconds pass: each with trades of so many lots, a tick, a flush and the venue's answers."""
        whole = max(1, round(seconds))
        for _ in range(whole):
            self.now += int(seconds / whole * SECOND)
            if trades:
                self.trade(trades)
            for hook in self.on_second:
                hook(self.now)
            self.flush()
            if answer:
                self.answer()
                self.flush()

    # ---- shortcuts -------------------------------------------------------------------------------

    def open(self, lots: int = 600, algorithm: Algorithm = Algorithm.TWAP, **changes: object) -> Parent:
        values: dict[str, object] = {
            "symbol": SYMBOL,
            "side": Side.BUY,
            "lots": lots,
            "algorithm": algorithm,
            "completion": Completion.CANCEL_REST,
            "seed": 7,
            **changes,
        }
        curve = values.pop("curve", None)
        key = str(values.pop("client_key", ""))
        parent = self.desk.open(
            ExecuteIntent(**values),  # type: ignore[arg-type]
            strategy="manual",
            actor="operator",
            reason="test",
            client_key=key,
            curve=curve,  # type: ignore[arg-type]
        )
        self.flush()
        return parent

    def parent(self, number: int = 1) -> Parent:
        found = self.desk.book.get(number)
        assert found is not None
        return found

    @property
    def true_filled(self) -> int:
        return sum(truth.filled for truth in self.venue.values())

    @property
    def true_exposed(self) -> int:
        """Filled, and still fillable at the venue."""
        return self.true_filled + sum(truth.remaining for truth in self.venue.values() if truth.open)

    def open_orders(self) -> list[str]:
        return [client_id for client_id, truth in self.venue.items() if truth.open]
