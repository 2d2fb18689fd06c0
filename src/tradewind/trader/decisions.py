"""From a wish to an order: risk, one block in the journal, and only then the venue (T1.10, T7.2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from tradewind.venues.paper.port import PortStopped

from . import risk_view
from .oms import OrderRequest
from .ramp.cap import StageCapExceeded
from .records import Denial, Record, encode
from .risk.check import Code, Denied, Order, Snapshot
from .risk.records import Reason
from .risk.state import ACCOUNT, TradingState
from .strategy import AmendIntent, CancelIntent, PlaceIntent
from .wish import Wish

if TYPE_CHECKING:
    from .service import TraderService

MAX_WISHES = 10_000


class Decisions:
    """The wishes that wait, the records and requests that came of them."""

    def __init__(self, trader: TraderService) -> None:
        self.trader = trader
        self.wishes: deque[Wish] = deque()
        self.records: list[Record] = []
        self.sends: list[Callable[[], None]] = []

    @property
    def pending(self) -> bool:
        """Whether a wish, a record or a request waits."""
        return bool(self.wishes or self.records or self.sends)

    def wish(self, wish: Wish) -> None:
        """Queue a wish. Raises `OverflowError` beyond `MAX_WISHES`."""
        if len(self.wishes) >= MAX_WISHES:
            raise OverflowError(f"more than {MAX_WISHES} intents are waiting")
        self.wishes.append(wish)

    async def flush(self) -> None:
        """Decide all wishes, journal what came of them as one block, then send."""
        while self.wishes or self.records or self.sends:
            created: list[str] = []
            while self.wishes:
                self._decide(self.wishes.popleft(), created)
            records, self.records = self.records, []
            sends, self.sends = self.sends, []
            try:
                if records:
                    await self.trader.port.submit([], [encode(record) for record in records])
            except PortStopped as stop:
                for client_id in created:
                    self.trader.oms.discard(client_id)
                self.trader.journal_stopped(str(stop))
                return
            for send in sends:
                send()

    # ---- one wish ----------------------------------------------------------------------------------

    def _decide(self, wish: Wish, created: list[str]) -> None:
        now_ns = self.trader.port.now_ns()
        match wish.intent:
            case PlaceIntent() as intent:
                denied, client_id = self._place(wish, intent, now_ns, created)
            case AmendIntent() as intent:
                denied, client_id = self._amend(wish, intent, now_ns)
            case CancelIntent() as intent:
                denied, client_id = self._cancel(intent, now_ns)
            case _:
                raise TypeError(f"{type(wish.intent).__name__} is for the execution desk, not an order")
        if wish.verdict is not None:
            wish.verdict(denied, client_id)

    def _place(
        self, wish: Wish, intent: PlaceIntent, now_ns: int, created: list[str]
    ) -> tuple[list[Denied], str | None]:
        trader = self.trader
        order = risk_view.risk_order(trader, wish.strategy, wish.path, intent, wish.decision_ns)
        snapshot = trader.snapshot_for_risk(strategy=wish.strategy, symbol=intent.symbol)
        denied = trader.risk.check(order, snapshot)
        if denied:
            self._deny(wish, intent, denied, now_ns)
            return denied, None
        request = OrderRequest(
            strategy=wish.strategy,
            path=str(wish.path),
            symbol=intent.symbol,
            side=intent.side,
            price_ticks=intent.price_ticks,
            lots=intent.lots,
            time_in_force=intent.time_in_force,
            post_only=intent.post_only,
            tag=intent.tag,
            reducing=self._reduces(order, snapshot),
            decision_ns=wish.decision_ns,
        )
        try:
            managed, record = trader.oms.create(request, trader.taker_rate())
        except StageCapExceeded as error:
            return self._above_stage(wish, intent, error, now_ns), None
        created.append(managed.client_id)
        self.records.append(record)
        self.sends.append(lambda: trader.oms.send(managed, trader.venue, now_ns))
        return [], managed.client_id

    def _reduces(self, order: Order, snapshot: Snapshot) -> bool:
        latest = self.trader.risk.latest
        if latest is not None and latest.order is order:
            return latest.reduces
        return self.trader.risk.reduces(order, snapshot)

    def _amend(self, wish: Wish, intent: AmendIntent, now_ns: int) -> tuple[list[Denied], str | None]:
        trader = self.trader
        managed = trader.oms.get(intent.client_id)
        if managed is None or managed.is_terminal or intent.lots <= managed.filled_lots:
            trader.counts["amend of nothing"] += 1
            return [], None
        order = risk_view.risk_amend(trader, managed, wish.path, intent, wish.decision_ns)
        snapshot = trader.snapshot_for_risk(
            strategy=managed.intent.strategy, symbol=managed.intent.symbol, replaces=managed.client_id
        )
        denied = trader.risk.check(order, snapshot)
        shape = PlaceIntent(
            symbol=managed.intent.symbol,
            side=managed.intent.side,
            price_ticks=intent.price_ticks,
            lots=intent.lots,
        )
        if denied:
            self._deny(wish, shape, denied, now_ns)
            return denied, None
        try:
            record = trader.oms.request_amend(
                managed, intent.price_ticks, intent.lots, trader.taker_rate(), now_ns
            )
        except StageCapExceeded as error:
            return self._above_stage(wish, shape, error, now_ns), None
        if record is None:
            trader.counts["amend of a busy order"] += 1
            return [], None
        self.records.append(record)
        self.sends.append(lambda: trader.oms.send_amend(managed, trader.venue, now_ns))
        return [], managed.client_id

    def _cancel(self, intent: CancelIntent, now_ns: int) -> tuple[list[Denied], str | None]:
        """Cancels skip risk (T11.1)."""
        trader = self.trader
        managed = trader.oms.get(intent.client_id)
        record = trader.oms.request_cancel(managed, intent.reason, now_ns) if managed is not None else None
        if managed is None or record is None:
            return [], None
        self.records.append(record)
        self.sends.append(lambda: trader.oms.send_cancel(managed, trader.venue, now_ns))
        return [], managed.client_id

    def _above_stage(
        self, wish: Wish, intent: PlaceIntent, error: StageCapExceeded, now_ns: int
    ) -> list[Denied]:
        """The ramp's bound stands behind risk, where records are made (T17.4)."""
        denied = [Denied(code=error.code, limit="stage", detail=str(error))]
        self._deny(wish, intent, denied, now_ns)
        return denied

    def _deny(self, wish: Wish, intent: PlaceIntent, denied: list[Denied], now_ns: int) -> None:
        for denial in denied:
            self.trader.counts[f"denied {denial.code}"] += 1
        self.records.append(
            Denial(
                strategy=wish.strategy,
                path=str(wish.path),
                symbol=intent.symbol,
                side=intent.side,
                price_ticks=intent.price_ticks,
                lots=intent.lots,
                codes=[denial.code for denial in denied],
                detail="; ".join(f"{d.limit} {d.given} against {d.bound} {d.detail}".strip() for d in denied),
                at_ns=now_ns,
                reasons=[
                    Reason(code=str(d.code), limit=d.limit, bound=d.bound, given=d.given, detail=d.detail)
                    for d in denied
                ],
            )
        )
        broken = next((d for d in denied if d.code == Code.RISK_INTERNAL), None)
        if broken is not None:
            self.trader.trip(ACCOUNT, "risk", TradingState.HALTED, f"risk failed: {broken.detail}")
        self.trader.denied(wish, now_ns)
