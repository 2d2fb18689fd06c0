"""`tradewind position`: what trading holds."""

from __future__ import annotations

from typing import Any

from cyclopts import App

from tradewind.cli.client import Client
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_fields, print_json, print_rows

position = App(name="position", help="What trading holds, with cost and profit.")


@position.command(name="list")
def list_positions(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Quantity, cost, profit and fees. Unknown values are shown as unknown."""
    document = Client(data).get("/positions")
    if json:
        print_json(document)
        return 0
    parts = {"position": document["position"], "profit": document["profit"]}
    fields: dict[str, Any] = {"symbol": document["symbol"], "trading": document["trading"]["state"]}
    for part, values in parts.items():
        fields |= {f"{part}.{name}": _reading(value) for name, value in values.items()}
    print_fields(fields, title="Position")
    return 0


@position.command
def limits(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Risk limits, and how full they are."""
    rows = Client(data).get("/limits")["limits"]
    if json:
        print_json({"limits": rows})
        return 0
    shown = [{**row, "used": _reading(row["used"])} for row in rows]
    print_rows(
        shown, ["code", "name", "used", "limit", "unit", "state"], title="Limits", empty="no trader runs"
    )
    return 0


def _reading(value: Any) -> Any:
    """A value with its quality: `known` is bare, `stale` carries its age, `unknown` says so."""
    if not isinstance(value, dict) or "quality" not in value:
        return value
    if value["quality"] == "known":
        return value["value"]
    if value["quality"] == "stale":
        return f"{value['value']} (stale, {value['age_ms']} ms)"
    return "unknown"
