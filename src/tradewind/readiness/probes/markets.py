"""markets-create: what an operator asks for is what the market then is, wherever it is read.

A running platform is asked over HTTP; each market is read back over HTTP, from the command and the events of
the journal, and from the view that folds them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from tradewind.core.enums import MarketKind
from tradewind.core.events import decode_events
from tradewind.core.native import JournalReader, command_kinds
from tradewind.core.records import codec
from tradewind.node.projections.directory import MarketsView
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.child import Platform, platform
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue

OK: Final = 200
MICRO: Final = 1_000_000
BASE, SETTLEMENT, FEED = "PRB", "PRQ", "PRB-PRQ"
SETTLES: Final = "2099-01-31T12:00:00Z"
SETTLES_NS: Final = 4_073_544_000_000_000_000
# Values which nothing takes when a field is left out.
COMMON: Final[Mapping[str, Any]] = {
    "quote": SETTLEMENT,
    "taker_fee_bps": "7.5",
    "maker_fee_bps": "1.25",
    "min_notional": "5",
    "max_notional": "750000",
    "band_bp": 1_500,
    "slippage_bp": 50,
}
REQUESTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "SPOT": {"base": BASE, "tick_size": "0.02", "lot_size": "0.003", "nonce": 9_001},
    "PERPETUAL": {"base": BASE, "tick_size": "0.05", "lot_size": "0.002", "nonce": 9_002, "feed": FEED},
    "OUTCOME": {
        "tick_size": "0.001",
        "lot_size": "0.01",
        "nonce": 9_003,
        "outcomes": 3,
        "settle": SETTLES,
        "elastic_fee": True,
        "maker_fee_bps": "0",
    },
    "DISTRIBUTION": {
        "tick_size": "0.002",
        "lot_size": "0.02",
        "nonce": 9_004,
        "settle": SETTLES,
        "elastic_fee": True,
        "maker_fee_bps": "0",
    },
}
ELASTIC_FLAG: Final = 0x100


def _post(child: Platform, path: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    reply = child.request("POST", f"/api/v1{path}", json.dumps(body).encode())
    document: dict[str, Any] = json.loads(reply.body)
    return reply.status, document


def _must(child: Platform, path: str, body: Mapping[str, Any]) -> int:
    status, document = _post(child, path, body)
    if status != OK:
        raise CannotMeasureError(f"the set-up was refused with {document.get('name')}")
    return int(document["value"])


def _wanted(kind: str, request: Mapping[str, Any], numbers: Mapping[str, int]) -> dict[str, Any]:
    """The fields of the command that the request stands for."""
    outcome = kind in ("OUTCOME", "DISTRIBUTION")

    def micros(name: str) -> int:
        return int(Decimal(request[name]) * MICRO)

    return {
        "nonce": request["nonce"],
        "market_kind": int(MarketKind[kind]),
        # A distribution market has the two sides of its number.
        "outcome_count": request.get("outcomes", 2) if outcome else 1,
        "base": numbers[SETTLEMENT if outcome else BASE],
        "quote": numbers[SETTLEMENT],
        "market_flags": ELASTIC_FLAG if request.get("elastic_fee") else 0,
        "tick_size": micros("tick_size"),
        "lot_size": micros("lot_size"),
        "settle_time_ns": SETTLES_NS if outcome else 0,
        "feed": numbers[FEED] if kind == "PERPETUAL" else 0,
        "band_bp": request["band_bp"],
        "slippage_bp": request["slippage_bp"],
        "taker_fee_e6bp": micros("taker_fee_bps"),
        "maker_fee_e6bp": micros("maker_fee_bps"),
        "min_notional": micros("min_notional"),
        "max_notional": micros("max_notional"),
    }


def _from_api(row: Mapping[str, Any], numbers: Mapping[str, int]) -> dict[str, Any]:
    """What the API shows of a market, in the units of the command."""

    def micros(name: str) -> int | None:
        return int(Decimal(row[name]) * MICRO) if name in row else None

    feed = row.get("feed")
    return {
        "nonce": int(row["nonce"]) if "nonce" in row else None,
        "market_kind": int(MarketKind[row["kind"].upper()]) if "kind" in row else None,
        "outcome_count": len(row["outcomes"]) if "outcomes" in row else 1,
        "base": numbers.get(row.get("base", "")),
        "quote": numbers.get(row.get("quote", "")),
        "market_flags": ELASTIC_FLAG if row.get("elastic_fee") else 0,
        "tick_size": micros("tick"),
        "lot_size": micros("lot"),
        "settle_time_ns": row.get("settle_time_ns", 0),
        "feed": 0 if feed is None else numbers.get(feed),
        "band_bp": row.get("band_bp"),
        "slippage_bp": row.get("slippage_bp"),
        "taker_fee_e6bp": micros("taker_bps"),
        "maker_fee_e6bp": micros("maker_bps"),
        "min_notional": micros("min_notional"),
        "max_notional": micros("max_notional"),
    }


def _create_all(child: Platform) -> dict[str, Any]:
    """Assets, a feed and a market of each kind over HTTP, and each market as the API then shows it."""
    # Another feed first, so that the market's own is not number 0, which a dropped field would be as well.
    _must(child, "/feeds", {"symbol": "PRB-OTHER"})
    numbers = {
        BASE: _must(child, "/assets", {"symbol": BASE}),
        SETTLEMENT: _must(child, "/assets", {"symbol": SETTLEMENT, "settlement": True}),
        FEED: _must(child, "/feeds", {"symbol": FEED}),
    }
    created: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for kind, fields in REQUESTS.items():
        request = {**COMMON, **fields, "kind": kind.lower()}
        status, document = _post(child, "/markets", request)
        if status != OK:
            refused[kind] = document["name"]
            continue
        handle = document["value"]
        reply = child.request("GET", f"/api/v1/markets/{handle}")
        row = json.loads(reply.body) if reply.status == OK else {}
        created[kind] = {
            "market": handle,
            "wanted": _wanted(kind, request, numbers),
            "api": _from_api(row, numbers),
        }
    return {"refused": refused, "created": created}


def _from_journal(reader: JournalReader) -> tuple[dict[int, Any], dict[int, Any], MarketsView]:
    """By market: the command's fields, the events' fields; and the view."""
    kind, operation, _ = command_kinds()["CreateMarket"]
    asked: dict[int, Any] = {}
    recorded: dict[int, Any] = {}
    view = MarketsView()
    while (batch := reader.next()) is not None:
        commands = codec("Command").iter(batch.commands)
        results = codec("CommandResult").iter(batch.results)
        names = [name for name, _, _ in codec("Command").fields]
        answers = [name for name, _, _ in codec("CommandResult").fields]
        for command, result in zip(commands, results, strict=True):
            fields, answer = dict(zip(names, command, strict=True)), dict(zip(answers, result, strict=True))
            if (fields["kind"], fields["op"]) == (kind, operation) and answer["accepted"]:
                payload = bytes(fields["payload"])[: codec("CreateMarket").size]
                asked[answer["value"]] = dict(codec("CreateMarket").unpack(payload))
        for event in decode_events(batch):
            view.on_event(event)
            if type(event).__name__ in ("MarketCreated", "MarketIdentified"):
                known = recorded.setdefault(event.market, {})
                known |= {name: getattr(event, name) for name in event.__struct_fields__}
    return asked, recorded, view


def _observe(context: ProbeContext, prelude: str = "") -> Facts:
    with platform(context.scratch / "data", "--strategy", "none", prelude=prelude) as child:
        child.trading()
        facts = _create_all(child)
        child.kill()
    asked, recorded, view = _from_journal(JournalReader(context.scratch / "data" / "journal"))
    for one in facts["created"].values():
        handle, names = one["market"], list(one["wanted"])
        listed = view.by_handle[handle]
        one["command"] = {name: asked.get(handle, {}).get(name) for name in names}
        one["journal"] = {name: recorded.get(handle, {}).get(name) for name in names}
        # The view calls the kind by its short name.
        view_names = {name: "kind" if name == "market_kind" else name for name in names}
        one["view"] = {name: getattr(listed, short, None) for name, short in view_names.items()}
    return facts


DROPS_A_FIELD: Final = """
import tradewind.core.commands as commands
honest = commands.create_market
def forgetful(**fields):
    fields["min_notional"] = 1
    return honest(**fields)
commands.create_market = forgetful
"""


def _different(one: Mapping[str, Any]) -> list[str]:
    """Places and fields where a market is not what was asked for."""
    return [
        f"{place} {name}"
        for place in ("command", "journal", "view", "api")
        for name, value in one["wanted"].items()
        if one[place][name] != value
    ]


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    created = facts["created"].values()
    tried = len(created) + len(facts["refused"])
    return {
        "kinds_verified": count(sum(not _different(one) for one in created), tried),
        "mismatched_fields": count(sum(len(_different(one)) for one in created), tried),
    }


create = drill(
    "markets-create",
    observe=_observe,
    broken=lambda context: _observe(context, DROPS_A_FIELD),
    summarise=_summarise,
    provenance="emulated",
)
