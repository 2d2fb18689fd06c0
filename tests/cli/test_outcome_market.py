"""An outcome market with the command line alone: made, traded, stopped hard, closed, proposed, disputed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tradewind.cli.output import as_text

from .conftest import Running

Start = Callable[..., Running]
GRID = ("--tick-size", "0.001", "--lot-size", "0.001", "--taker-bps", "28", "--maker-bps", "0")


def create(running: Running, outcomes: int) -> str:
    settle = datetime.now(UTC) + timedelta(hours=2)
    made = running.json(
        "market",
        "create",
        "USDT",
        "--outcomes",
        str(outcomes),
        "--settle",
        f"{settle:%Y-%m-%dT%H:%M:%SZ}",
        *GRID,
    )
    symbol = made["effect"]["symbol"]
    assert running.json("market", "show", symbol)["status"] == "active"
    return str(symbol)


def refusal(running: Running, *arguments: str) -> str:
    ran = running.run(*arguments, "--json")
    assert ran.code == 1, ran
    return str(ran.json["error"]["code"])


def claims(running: Running, account: str) -> dict[int, tuple[str, str]]:
    rows = running.json("set", "list", "--account", account)["claims"]
    return {row["outcome"]: (row["free"], row["held"]) for row in rows}


def test_a_user_runs_an_outcome_market_to_its_disputed_payout(start: Start) -> None:
    running = start("--strategy", "none").trading()
    for name in ("bob", "eve"):
        running.json("account", "open", name)
        running.json(
            "collateral", "deposit", "5000", "USDT", "--external-id", f"first-{name}", "--account", name
        )
    symbol = create(running, 3)
    running.json("set", "mint", "50", symbol, "--account", "bob")
    assert refusal(running, "set", "merge", "51", symbol, "--account", "bob") == "SET_INCOMPLETE"
    order = ("order", "place", "sell", "20", symbol, "--price", "0.4")
    assert refusal(running, *order, "--outcome", "3", "--account", "bob") == "INVALID_OUTCOME"
    assert refusal(running, *order, "--outcome", "0") == "INVALID_MARKET_KIND", (
        "the trader's risk knows no claims"
    )
    assert refusal(running, *order, "--outcome", "0", "--account", "eve") == "INSUFFICIENT_SHARES"
    running.json(*order, "--outcome", "0", "--account", "bob")
    running.json(
        "order", "place", "buy", "5", symbol, "--price", "0.45", "--outcome", "0", "--account", "eve"
    )
    assert claims(running, "eve") == {0: ("5", "0")}
    assert claims(running, "bob") == {0: ("30", "15"), 1: ("50", "0"), 2: ("50", "0")}

    running.process.kill()
    running.process.wait()
    (running.data / "run.json").unlink()
    again = start("--strategy", "none").trading()
    assert claims(again, "bob") == {0: ("30", "15"), 1: ("50", "0"), 2: ("50", "0")}
    assert (
        refusal(again, "resolve", "propose", symbol, "0", "--account", "eve", "--evidence", "a")
        == "TOO_EARLY"
    )
    again.json("market", "close", symbol)
    assert claims(again, "bob")[0] == ("45", "0"), "closing cancels what is open"
    again.json("resolve", "propose", symbol, "0", "--account", "eve", "--evidence", "a result page")
    again.json("dispute", symbol, "1", "--account", "bob", "--evidence", "a photograph")
    shown = again.json("resolve", "show", symbol)
    assert (shown["stage"], shown["bonds"], shown["escrow"]) == ("disputed", "2000", "50")
    assert refusal(again, "redeem", symbol, "--account", "bob") == "NOT_RESOLVED"
    assert refusal(again, "resolve", "finalise", symbol) == "QUORUM_NOT_MET"


def test_moments_are_shown_as_utc_and_durations_as_numbers() -> None:
    assert as_text(1_795_275_045_123_456_789, moment=True) == "2026-11-21T15:30:45.123Z"
    assert as_text(86_400 * 10**9, moment=True) == "86400000000000"
    assert as_text(2**63 - 1, moment=True) == "9223372036854775807", "never"
    assert as_text(1_795_275_045_123_456_789) == "1795275045123456789"
