"""What a call is: its handler, who may make it, what it costs; and what a handler gets to know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tradewind.gateways.keys import ApiKey, Right

from .lists import OrderList, OrderLists
from .notebook import FILE_NAME, MAX_LINES, Listed, Notebook
from .parameters import Parameters
from .replies import Memory, Time
from .symbols import Symbol, Symbols
from .windows import Usage

if TYPE_CHECKING:
    from tradewind.gateways.exchange import Exchange


class Security(StrEnum):
    """What a call needs: nothing, a key, a key that may read (streams of an account), or a signed request of
    a key with a right.
    """

    NONE = "none"
    KEY = "key"
    STREAM = "stream"
    READ = "read"
    TRADE = "trade"
    CANCEL = "cancel"


RIGHTS: Final = {
    Security.STREAM: Right.READ,
    Security.READ: Right.READ,
    Security.TRADE: Right.TRADE,
    Security.CANCEL: Right.CANCEL,
}


class Venue:
    """The state that all surfaces of one gateway share."""

    def __init__(
        self,
        exchange: Exchange,
        usage: Usage | None = None,
        *,
        symbols: Symbols | None = None,
        notes: str = FILE_NAME,
    ) -> None:
        self.exchange = exchange
        self.symbols = symbols if symbols is not None else Symbols(exchange.markets)
        self.usage = usage if usage is not None else Usage()
        self.notebook = Notebook(exchange.keys.path.with_name(notes))
        self.memory = Memory(self.notebook)
        self.lists = OrderLists(self.notebook)
        self._recall()
        self.on_pair: Callable[[OrderList], None] = lambda pair: None
        """Called when a pair was placed."""
        self.lost_orders = 0
        """Orders acknowledged and never executed, by the fault plan alone."""

    def _recall(self) -> None:
        """Reads what was known before a restart of orders that are still kept, and writes that anew."""
        lines = self.notebook.read()
        kept: set[int] = set()
        for records in self.exchange.views.records.accounts.values():
            kept.update(records.orders)
        for line in lines:
            if isinstance(line, Listed):
                if any(number in kept for number, _ in line.legs):
                    self.lists.recall(line)
                    for number, _ in line.legs:
                        self.memory.about(number).list_id = line.list_id
            elif line.order_id in kept:
                self.memory.recall(line)
        if lines:
            self.notebook.rewrite([*self.lists.lines(), *self.memory.lines()])

    def tidy(self) -> None:
        """Writes the notebook anew when it has grown too long."""
        if self.notebook.lines > MAX_LINES:
            self.notebook.rewrite([*self.lists.lines(), *self.memory.lines()])


class Context:
    """One request. Times are nanoseconds since 1970; `time` gives the unit the client asked for."""

    __slots__ = ("account", "address", "key", "lost", "now_ns", "stale", "time", "valid_until_ns", "venue")

    def __init__(
        self,
        venue: Venue,
        *,
        now_ns: int,
        time: Time,
        address: str,
        account: str = "",
        valid_until_ns: int = 0,
    ) -> None:
        self.venue = venue
        self.now_ns = now_ns
        self.time = time
        self.address = address
        self.account = account
        self.valid_until_ns = valid_until_ns
        self.key: ApiKey | None = None
        """The caller's key, once it is proven."""
        self.lost = False
        """The fault plan wants the order acknowledged and forgotten."""
        self.stale = False
        """The fault plan wants orders shown as right behind their acceptance."""

    @property
    def exchange(self) -> Exchange:
        return self.venue.exchange

    def symbol(self, name: str) -> Symbol:
        """Raises -1121."""
        return self.venue.symbols.find(name)


Handler = Callable[[Context, Parameters], Awaitable[Any]]
Weight = Callable[[Parameters], int]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the venue, whichever way it arrives."""

    name: str
    handler: Handler
    security: Security = Security.NONE
    weight: Weight
    orders: int = 0
    """New orders that it counts as."""
    counted: bool = False
    """Whether replies carry order counts."""


def fixed(weight: int) -> Weight:
    """A weight that does not depend on the parameters."""
    return lambda parameters: weight


def milliseconds(time_ns: int) -> int:
    return time_ns // 1_000_000


def microseconds(time_ns: int) -> int:
    return time_ns // 1_000


def call_of(
    name: str,
    handler: Handler,
    weight: int | Weight,
    security: Security = Security.NONE,
    orders: int = 0,
    *,
    counted: bool = False,
) -> Call:
    """One row of a table of calls. A call that places orders is counted, others where `counted` says so."""
    return Call(
        name=name,
        handler=handler,
        security=security,
        weight=fixed(weight) if isinstance(weight, int) else weight,
        orders=orders,
        counted=counted or orders > 0,
    )
