"""What `tradewind venue status|symbols|balances|orders|positions NAME` prints of an outside venue."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from tradewind.cli.answers import show_rows
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.output import note, print_fields, print_json
from tradewind.cli.venue_reading import (
    EXIT_OF,
    Wanted,
    ask,
    balance_row,
    balances_of,
    order_row,
    orders_of,
    position_row,
    positions_of,
    status_of,
    symbol_row,
    symbols_of,
)
from tradewind.venues.protocol import Incomplete, VenueState

SYMBOL_COLUMNS: Final = [
    "symbol", "venue symbol", "status", "tick", "lot", "min quantity", "max quantity", "min notional",
]  # fmt: skip
BALANCE_COLUMNS: Final = ["asset", "free", "held", "total"]
ORDER_COLUMNS: Final = [
    "venue id", "client id", "symbol", "side", "price", "quantity", "filled", "remaining", "status",
]  # fmt: skip
POSITION_COLUMNS: Final = [
    "symbol", "quantity", "entry", "mark", "unrealised", "margin", "maintenance", "liquidation", "asset",
]  # fmt: skip
MAX_NAMED: Final = 20
"""Symbols that are not online and are named in the table; JSON has all of them."""


def status(wanted: Wanted, *, json: bool) -> int:
    """Exit 0 online, 1 something else, 2 not known."""
    found, url = ask(wanted, status_of, with_key=False)
    document: dict[str, Any] = {
        "venue": wanted.name,
        "url": url or None,
        "state": str(found.state),
        "reason": found.reason or None,
        "as_of_ns": found.as_of_ns,
    }
    if json:
        print_json({**document, "symbols": {name: str(one) for name, one in found.symbols.items()}})
    else:
        counts = Counter(str(one) for one in found.symbols.values())
        document["symbols"] = (
            ", ".join(f"{number} {word}" for word, number in counts.most_common()) or "unknown"
        )
        closed = [name for name, one in found.symbols.items() if one is not VenueState.ONLINE]
        if closed:
            more = "" if len(closed) <= MAX_NAMED else f" and {len(closed) - MAX_NAMED} more"
            document["not online"] = ", ".join(closed[:MAX_NAMED]) + more
        print_fields(document, title=f"Venue {wanted.name}")
    return EXIT_OF.get(found.state, ExitCode.RED)


def symbols(wanted: Wanted, *, json: bool) -> int:
    """Instruments with their filters. Needs no key."""
    found, url = ask(wanted, symbols_of, with_key=False)
    if isinstance(found, Incomplete):
        return _unknown(wanted, url, "symbols", found, json)
    rows = [symbol_row(one) for one in found]
    return show_rows(
        rows, SYMBOL_COLUMNS, json=json, title=f"Symbols of {wanted.name}", empty="none", name="symbols"
    )


def balances(wanted: Wanted, *, json: bool) -> int:
    """Balances of the account; a table leaves out what is zero."""
    found, url = ask(wanted, balances_of, with_key=True)
    if isinstance(found, Incomplete):
        return _unknown(wanted, url, "balances", found, json)
    rows = [balance_row(one) for one in found if json or one.total]
    return _rows(wanted, url, "balances", rows, BALANCE_COLUMNS, json=json)


def orders(wanted: Wanted, *, json: bool) -> int:
    """Open orders of the account."""
    found, url = ask(wanted, orders_of, with_key=True)
    if isinstance(found, Incomplete):
        return _unknown(wanted, url, "orders", found, json)
    listed, instruments = found
    rows = [order_row(one, instruments[one.symbol]) for one in listed]
    return _rows(wanted, url, "orders", rows, ORDER_COLUMNS, json=json)


def positions(wanted: Wanted, *, json: bool) -> int:
    """Positions of the account."""
    found, url = ask(wanted, positions_of, with_key=True)
    if isinstance(found, Incomplete):
        return _unknown(wanted, url, "positions", found, json)
    held, instruments = found
    rows = [position_row(one, instruments[one.symbol]) for one in held]
    return _rows(wanted, url, "positions", rows, POSITION_COLUMNS, json=json)


def _rows(
    wanted: Wanted, url: str, name: str, rows: list[dict[str, Any]], columns: list[str], *, json: bool
) -> int:
    if json:
        print_json({"venue": wanted.name, "url": url or None, name: rows, "unknown": None})
        return ExitCode.OK
    title = f"{'Open orders' if name == 'orders' else name.capitalize()} at {wanted.name}"
    return show_rows(rows, columns, json=False, title=title, empty="none", name=name)


def _unknown(wanted: Wanted, url: str, name: str, found: Incomplete, json: bool) -> int:
    """A list that may lack rows is not shown as one: it is unknown, with the reason. Exit 2."""
    if json:
        print_json(
            {"venue": wanted.name, "url": url or None, name: None, "unknown": found.reason, "got": found.got}
        )
    else:
        got = f" ({found.got} rows came)" if found.got else ""
        note(f"{name} of {wanted.name}: unknown: {found.reason}{got}")
    return ExitCode.CANNOT
