"""Order lists (one cancels the other): which two orders belong together, and how a list stands.

The exchange itself ends one leg when the other fires or fills; this table only gives the pair its number and
its names, and keeps them in the notebook.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from .notebook import Listed, Notebook
from .replies import Time

MAX_LISTS: Final = 10_000


class OrderList(msgspec.Struct, kw_only=True):
    """One pair."""

    list_id: int
    account: str
    symbol: str
    client_id: str
    time_ns: int
    legs: tuple[tuple[int, str], ...]
    """(order id, client id) of each, in the order in which they were placed."""
    done: bool = False

    def rename(self, order_id: int, client_id: str) -> None:
        """An amendment gave a leg a new name."""
        self.legs = tuple((number, client_id if number == order_id else name) for number, name in self.legs)

    def body(self, time: Time) -> dict[str, Any]:
        """As `orderList` writes it."""
        return {
            "orderListId": self.list_id,
            "contingencyType": "OCO",
            "listStatusType": "ALL_DONE" if self.done else "EXEC_STARTED",
            "listOrderStatus": "ALL_DONE" if self.done else "EXECUTING",
            "listClientOrderId": self.client_id,
            "transactionTime": time(self.time_ns),
            "symbol": self.symbol,
            "orders": [
                {"symbol": self.symbol, "orderId": order_id, "clientOrderId": client_id}
                for order_id, client_id in self.legs
            ],
        }


def line_of(one: OrderList) -> Listed:
    return Listed(one.list_id, one.account, one.symbol, one.client_id, one.time_ns, one.legs)


class OrderLists:
    """Bounded: the oldest finished list is forgotten first."""

    def __init__(self, notebook: Notebook, bound: int = MAX_LISTS) -> None:
        self._notebook = notebook
        self._bound = bound
        self._lists: OrderedDict[int, OrderList] = OrderedDict()
        self._next = 1

    def reserve(self) -> int:
        """The number of a pair that is about to be placed."""
        self._next += 1
        return self._next - 1

    def add(
        self,
        list_id: int,
        account: str,
        *,
        symbol: str,
        client_id: str,
        time_ns: int,
        legs: tuple[tuple[int, str], ...],
    ) -> OrderList:
        """A pair that was placed."""
        if len(self._lists) >= self._bound:
            done = next((number for number, one in self._lists.items() if one.done), None)
            self._lists.pop(done if done is not None else next(iter(self._lists)))
        one = OrderList(
            list_id=list_id,
            account=account,
            symbol=symbol,
            client_id=client_id,
            time_ns=time_ns,
            legs=legs,
        )
        self._lists[one.list_id] = one
        self._notebook.write(line_of(one), durable=True)
        return one

    def recall(self, line: Listed) -> None:
        """What was written before a restart."""
        self._next = max(self._next, line.list_id + 1)
        self._lists[line.list_id] = OrderList(
            list_id=line.list_id,
            account=line.account,
            symbol=line.symbol,
            client_id=line.client_id,
            time_ns=line.time_ns,
            legs=line.legs,
        )

    def lines(self) -> Iterator[Listed]:
        """What a restart has to know."""
        return (line_of(one) for one in self._lists.values())

    def find(self, account: str, list_id: int | None, client_id: str | None) -> OrderList | None:
        """By number, else by name (the newest of it)."""
        if list_id is not None:
            one = self._lists.get(list_id)
            return one if one is not None and one.account == account else None
        for one in reversed(self._lists.values()):
            if one.account == account and one.client_id == client_id:
                return one
        return None

    def of_account(self, account: str) -> list[OrderList]:
        """Newest first."""
        return [one for one in reversed(self._lists.values()) if one.account == account]
