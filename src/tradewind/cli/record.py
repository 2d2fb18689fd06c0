"""`tradewind record show`: what an archive of 520-byte market records says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import Json, print_json, print_rows

record = App(name="record", help="The 520-byte records of outcome markets.")
COLUMNS = ["market", "outcomes", "status", "winner", "number", "prices", "liquidity", "settles"]
WINNERS = {0xFE: "invalid", 0xFF: "unresolved"}
SHOWN_PRICES = 8
NUMBER_UNIT = 1_000_000


@record.command
def show(
    file: Annotated[Path, Parameter(help="file of base records with their overflow records")],
    *,
    json: Json = False,
) -> int:
    """Every market of an archive file; a damaged record ends with exit 1 and its code.

    Prices, volumes and liquidity are in micro-USDC, times in ns since the epoch. A market of a number
    shows what it was and its bounds; with --json in the question's unit times 10^6.
    """
    from tradewind.core.market_record import MAX_FILE_BYTES, read_records

    try:
        size = file.stat().st_size
        if size > MAX_FILE_BYTES:
            raise CommandFailure(
                ExitCode.CANNOT, "TOO_LARGE", f"{file}: {size} bytes, an archive has at most {MAX_FILE_BYTES}"
            )
        data = file.read_bytes()
    except OSError as error:
        raise CommandFailure(ExitCode.CANNOT, "UNREADABLE", f"{file}: {error.strerror}") from error
    markets = list(read_records(data))
    if json:
        print_json({"markets": [_plain(market) for market in markets]})
    else:
        print_rows([_row(market) for market in markets], COLUMNS, title=str(file), empty="no records")
    return 0


def _plain(market: dict[str, Any]) -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in market.items()}


def _row(market: dict[str, Any]) -> dict[str, Any]:
    prices = [f"{price / 1_000_000:.6f}" for price in market["prices"][:SHOWN_PRICES]]
    more = ["…"] if len(market["prices"]) > SHOWN_PRICES else []
    return {
        "market": market["market_id"].hex()[:16],
        "outcomes": len(market["prices"]),
        "status": market["status"],
        "winner": WINNERS.get(market["winner"], market["winner"]),
        "number": _number(market.get("number")),
        "prices": " ".join(prices + more),
        "liquidity": market["liquidity"],
        "settles": market["settle_time_ns"],
    }


def _number(number: dict[str, Any] | None) -> str:
    """What a number was and the range that was asked about; nothing for a market of outcomes."""
    if number is None:
        return ""
    value, lower, upper = (
        "none" if scaled is None else f"{scaled / NUMBER_UNIT:.6f}"
        for scaled in (number["value"], number["lower"], number["upper"])
    )
    return f"{value} in [{lower}, {upper}]"
