"""The account as Binance's events tell it.

The venue changes the price of an order only by cancelling it and placing another one. Both have our one
client id, so for everybody outside they are one order: a `Leg` knows how much the earlier ones had filled,
the end of a leg that is being replaced is held back, and an earlier leg is never told again.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from tradewind.venues.binance.directory import Directory
from tradewind.venues.binance.private_messages import (
    AccountPosition,
    BalanceUpdate,
    ExecutionReport,
    ExternalLock,
    ListStatus,
)
from tradewind.venues.binance.rows import MS, carried_lots, report_fact, report_state
from tradewind.venues.protocol import FINAL_PHASES, FundsEvent, OrderPhase, OrderState, PrivateEvent
from tradewind.venues.transport.account_mirror import AccountMirror, TradeFact

MAX_LEGS = 20_000
MAX_MOVES = 10_000
MAX_LISTS = 1_000
MAX_REPLACING = 1_000


class Leg:
    """One order of the venue: what was filled before it, how much of its own is told, and how much of its own
    it is known to have filled. It outlives its order: what was not told of a replaced one is still owed.
    """

    __slots__ = ("carried", "filled", "symbol", "told")

    def __init__(self, carried: int, told: int) -> None:
        self.carried, self.told = carried, told
        self.filled, self.symbol = 0, ""


class Replacement(msgspec.Struct, kw_only=True):
    """A cancel-replace under way: the leg that goes, since when, and its end if that was heard already."""

    venue_id: str
    sent_ns: int
    end: OrderState | None = None


class Mirror(AccountMirror):
    """See the module. `on_gap()` is called when an order filled more than its told executions say."""

    def __init__(
        self,
        venue: str,
        account: str,
        emit: Callable[[PrivateEvent], None],
        directory: Directory | None = None,
    ) -> None:
        super().__init__(venue, account, emit)
        self.directory = directory or Directory()
        self.gaps: dict[str, float] = {}
        """Venue ids of orders with an execution that was not told, and since when (steady seconds)."""
        self.replacing: dict[str, Replacement] = {}
        self.lists: OrderedDict[int, str] = OrderedDict()
        self.on_gap: Callable[[], None] = lambda: None
        self.on_doubtful_balance: Callable[[], None] = lambda: None
        self._legs: OrderedDict[str, Leg] = OrderedDict()
        self._moves: OrderedDict[tuple[str, str, int, int], None] = OrderedDict()

    # ---- orders ------------------------------------------------------------------------------------------

    def acknowledged(self, state: OrderState, carried: int = 0) -> None:
        """The venue answered a submit of ours. Executions are left to the events that tell them."""
        self.leg(state.venue_id, carried)
        if self.get(state.venue_id) is not None:
            return
        if state.filled_lots > carried:
            state = msgspec.structs.replace(
                state,
                phase=OrderPhase.PARTIALLY_FILLED if carried else OrderPhase.WORKING,
                filled_lots=carried,
            )
        self.apply(state)

    def apply(self, state: OrderState) -> None:
        """An order is now so."""
        current = self._by_client.get(state.client_id) if state.client_id else None
        if current is not None and current != state.venue_id:
            if int(current) > int(state.venue_id):
                # an earlier leg: what it was is part of what its successor tells, its executions are not
                if self.owed_symbol(state.venue_id):  # and it is not from before our time
                    self._owed(state.venue_id, state.symbol, state.filled_lots)
                return
            self._owed(current, state.symbol, self.carried(state.venue_id))
            self.working.pop(current, None)
            self.finished.pop(current, None)
            self.replacing.pop(state.client_id, None)  # this is what came in its place
        swap = self.replacing.get(state.client_id)
        if swap is not None and swap.venue_id == state.venue_id and state.phase is OrderPhase.CANCELLED:
            swap.end = state
            self._owed(state.venue_id, state.symbol, state.filled_lots)
            return
        super().apply(state)

    def put(self, state: OrderState) -> None:
        leg = self.leg(state.venue_id, 0)
        super().put(state)
        if self.quiet:
            leg.told = state.filled_lots - leg.carried
        self._look(state.venue_id)

    def fill(self, fact: TradeFact, client_id: str, remaining_lots: int) -> bool:
        if not super().fill(fact, client_id, remaining_lots):
            return False
        self.leg(fact.order_id, 0).told += fact.lots
        self._look(fact.order_id)
        return True

    def begin_replace(self, client_id: str, venue_id: str, sent_ns: int) -> bool:
        """From now on the end of this leg is not the order's. False: too many are under way."""
        if len(self.replacing) >= MAX_REPLACING or client_id in self.replacing:
            return False
        self.replacing[client_id] = Replacement(venue_id=venue_id, sent_ns=sent_ns)
        return True

    def end_replace(self, client_id: str) -> None:
        """The replacement is decided: if there is no new leg, the end of the old one was the order's."""
        swap = self.replacing.pop(client_id, None)
        if swap is not None and swap.end is not None and self._by_client.get(client_id) == swap.venue_id:
            super().apply(swap.end)

    def carried(self, venue_id: str) -> int:
        """Lots that were filled before this leg."""
        leg = self._legs.get(venue_id)
        return 0 if leg is None else leg.carried

    # ---- events ------------------------------------------------------------------------------------------

    def execution(self, report: ExecutionReport) -> None:
        """An `executionReport`. Raises `Unmapped`."""
        state = report_state(report, self.directory)
        fact = report_fact(report, self.directory)
        self.leg(state.venue_id, carried_lots(report.j, report.J))
        if fact is not None:
            self.fill(fact, state.client_id, state.lots - state.filled_lots)
        self.apply(state)

    def position(self, event: AccountPosition) -> None:
        """An `outboundAccountPosition`."""
        for row in event.B:
            if self.directory.tradable(row.a):
                self.set_balance(row.a, row.f, row.l, event.u * MS)

    def moved(self, event: BalanceUpdate) -> None:
        """A `balanceUpdate`: funds came or went. The balance itself is told by its own event."""
        key = (event.a, str(event.d), event.T, event.E)
        if key in self._moves or not self.directory.tradable(event.a):
            return
        self._moves[key] = None
        if len(self._moves) > MAX_MOVES:
            self._moves.popitem(last=False)
        at_ns = event.T * MS
        self.tell(
            FundsEvent(
                asset=event.a, amount=event.d, reference=f"{event.a}-{event.T}-{event.E}",
                sequence=self.next(at_ns), venue_ts_ns=at_ns,
            )
        )  # fmt: skip

    def locked(self, event: ExternalLock) -> None:
        """An `externalLockUpdate`: it names a difference, so the balance has to be read."""
        self.balances.pop(event.a, None)
        self.on_doubtful_balance()

    def list_changed(self, event: ListStatus) -> None:
        """A `listStatus`. This connector places no lists; its legs are told by reports of their own."""
        self.lists[event.g] = event.L
        if len(self.lists) > MAX_LISTS:
            self.lists.popitem(last=False)

    # ---- parts -------------------------------------------------------------------------------------------

    def leg(self, venue_id: str, carried: int) -> Leg:
        """What is known of one order of the venue; made when it is first named."""
        leg = self._legs.get(venue_id)
        if leg is None:
            leg = self._legs[venue_id] = Leg(carried, 0)
            if len(self._legs) > MAX_LEGS:
                self._legs.popitem(last=False)
        leg.carried = max(leg.carried, carried)
        return leg

    def owed_symbol(self, venue_id: str) -> str:
        """The symbol of an order with executions that were not told; "" when it is not known any more."""
        leg = self._legs.get(venue_id)
        return "" if leg is None else leg.symbol

    def _owed(self, venue_id: str, symbol: str, filled_lots: int) -> None:
        """A leg filled so far, what was carried into it included: its executions up to there are owed."""
        leg = self.leg(venue_id, 0)
        leg.symbol, leg.filled = symbol, max(leg.filled, filled_lots - leg.carried)
        if self.quiet:
            leg.told = max(leg.told, leg.filled)
        self._look(venue_id)

    def _look(self, venue_id: str) -> None:
        """Whether all executions of an order were told."""
        state, leg = self.get(venue_id), self._legs.get(venue_id)
        if leg is None:
            return
        if state is not None:
            leg.symbol, leg.filled = state.symbol, max(leg.filled, state.filled_lots - leg.carried)
        if leg.filled <= leg.told:
            self.gaps.pop(venue_id, None)
        elif venue_id not in self.gaps and leg.symbol:
            self.gaps[venue_id] = time.monotonic()
            self.on_gap()

    def is_final(self, client_id: str) -> bool:
        """Whether the order of a client id is known to have ended."""
        state = self.find(client_id)
        return state is not None and state.phase in FINAL_PHASES
