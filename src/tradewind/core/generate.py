"""Writes `enums.py`, `event_types.py` and the page of errors from the tables of the Rust module.

Record layouts and errors exist once, in `crates/engine/src/wire`. People want static types and a page to look
a number up, so this program writes them out; a test compares the files with what it would write today.

    python -m tradewind.core.generate           write
    python -m tradewind.core.generate --check   exit 1 when a file is stale
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tradewind import _core
from tradewind.core.records import event_header_fields, is_text, visible_fields

FOLDER = Path(__file__).parent
DOCS = FOLDER.parents[2] / "docs"
"""Only in a checkout; an installed package has no pages."""
GENERATED_BY = (
    "Written by `python -m tradewind.core.generate` from the tables of the Rust module; do not edit."
)

ENUMS = {
    "side": ("Side", "IntEnum", "Order sides."),
    "order_type": ("OrderType", "IntEnum", "Order types."),
    "time_in_force": ("TimeInForce", "IntEnum", "How long an order lives."),
    "order_flag": ("OrderFlag", "IntFlag", "Order flags."),
    "trigger_source": ("TriggerSource", "IntEnum", "Prices that a trigger watches."),
    "asset_flag": ("AssetFlag", "IntFlag", "Flags of an asset."),
    "position_cause": ("PositionCause", "IntEnum", "What touched a position."),
    "stp": ("SelfTradePrevention", "IntEnum", "What happens when an account meets itself."),
    "scope": ("Scope", "IntFlag", "What a delegate may do."),
    "trade_kind": ("TradeKind", "IntEnum", "How a trade moved the assets."),
    "cancel_reason": ("CancelReason", "IntEnum", "Why an order left the book."),
    "role": ("Role", "IntEnum", "Roles of principals."),
    "line": ("Line", "IntEnum", "Balance lines; from 0x80 on they belong to the system."),
    "market_status": ("MarketStatus", "IntEnum", "Status byte of a market."),
    "market_kind": ("MarketKind", "IntEnum", "Kinds of markets."),
}


def python_type(record: str, name: str, numpy_type: str) -> str:
    if not numpy_type.startswith("|V"):
        return "int"
    return "str" if is_text(record, name, numpy_type) else "bytes"


def enum_lines() -> Iterator[str]:
    yield f'"""Named numbers of the vocabulary.\n\n{GENERATED_BY}\n"""\n'
    yield "# fmt: off\n"
    yield "from enum import IntEnum, IntFlag\n"
    constants = _core.constants()
    for name, value in {**constants["none"], **constants["all"]}.items():
        yield f"{name} = {value:#x}"
    for group, (class_name, base, doc) in ENUMS.items():
        yield f'\n\nclass {class_name}({base}):\n    """{doc}"""\n'
        by_value = sorted(constants[group].items(), key=lambda item: item[1])
        for name, value in by_value:
            yield f"    {name} = {value:#x}" if group == "line" else f"    {name} = {value}"
    yield '\n\nclass EventKind(IntEnum):\n    """Codes of events."""\n'
    for name, (code, _) in sorted(_core.event_kinds().items(), key=lambda item: item[1][0]):
        yield f"    {constant_name(name)} = {code:#06x}"


def constant_name(name: str) -> str:
    """`OrderAccepted` → `ORDER_ACCEPTED`."""
    return "".join(f"_{c}" if c.isupper() and i else c for i, c in enumerate(name)).upper()


def event_lines() -> Iterator[str]:
    yield f'"""Events as typed objects.\n\n{GENERATED_BY}\n"""\n'
    yield "# fmt: off\n"
    yield "import msgspec\n\nfrom tradewind.core.base import Posting\n"
    yield "\nclass Event(msgspec.Struct, frozen=True, gc=False):"
    yield '    """What every event says about itself."""\n'
    for name, _, _ in event_header_fields():
        yield f"    {'event_index' if name == 'index' else name}: int"
    for name, (_, body) in sorted(_core.event_kinds().items(), key=lambda item: item[1][0]):
        fields = visible_fields(body)
        yield f'\n\nclass {name}(Event, frozen=True, gc=False):\n    """{constant_name(name)}."""\n'
        for field, _, numpy_type in fields:
            yield f"    {field}: {python_type(body, field, numpy_type)}"
        yield "    postings: tuple[Posting, ...]"
    yield "\n\nEVENT_TYPES: dict[int, type[Event]] = {"
    for name, (code, _) in sorted(_core.event_kinds().items(), key=lambda item: item[1][0]):
        yield f"    {code:#06x}: {name},"
    yield "}"


BANDS = {
    10: "Codec, identity",
    12: "Authority",
    13: "Sequence, idempotency",
    20: "Numbers",
    21: "Orders",
    22: "Markets",
    23: "Positions, margin",
    24: "Liquidation",
    25: "Collateral",
    26: "AMM",
    27: "Complete sets",
    30: "Oracle",
    31: "Halts",
    32: "Keepers",
    33: "Funding",
    34: "Token",
    35: "Resolution",
    36: "Governance",
    37: "Vault, stages",
    38: "Verses, chains, credits",
    39: "Dark cross",
    90: "Capacity, integrity",
}
"""Title of each band of the catalogue, by the hundreds of its numbers."""


def error_lines() -> Iterator[str]:
    """The page of the error catalogue.

    Raises:
        KeyError: a code outside every band: name its band in `BANDS`.
    """
    yield f"# Error catalogue\n\n<!-- {GENERATED_BY} -->\n"
    yield (
        "One number, one name, one meaning, for ever; retired numbers are never used again. The exception\n"
        "in `tradewind.core.errors` is the name in CamelCase (`TICK_MISALIGNED` → `errors.TickMisaligned`);\n"
        "the HTTP API answers with the status and with `name` and `code` (the number) in its body. *Retry*\n"
        "says that the same command may succeed later without change. `{given}` is the value that failed,\n"
        "`{bound}` what it violated; behind a colon stands how the message shows it: `micro` is millionths\n"
        "as a decimal, `time` is UTC. What stands in square brackets is there when its values are not 0.\n\n"
        "Numbers of parts that do not exist yet are reserved: this build never answers with them."
    )
    band = None
    for number, name, http_status, retryable, template in _core.error_catalogue():
        if number // 100 != band:
            band = number // 100
            yield f"\n## {BANDS[band]}\n\n| number | name | HTTP | retry | message |\n|---|---|---|---|---|"
        message = template.replace("|", "\\|")
        yield f"| {number} | `{name}` | {http_status} | {'yes' if retryable else ''} | {message} |"


def files() -> dict[Path, str]:
    """Path → text of every generated file."""
    texts = {
        FOLDER / "enums.py": "\n".join(enum_lines()) + "\n",
        FOLDER / "event_types.py": "\n".join(event_lines()) + "\n",
    }
    if DOCS.is_dir():
        texts[DOCS / "errors.md"] = "\n".join(error_lines()) + "\n"
    return texts


def main(arguments: list[str]) -> int:
    stale = [path for path, text in files().items() if not path.exists() or path.read_text() != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path} is stale: run python -m tradewind.core.generate")
        return 1 if stale else 0
    for path in stale:
        path.write_text(files()[path])
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
