"""The catalogue of T16 and its execution, one check after the other."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from tradewind.lab.preflight import alerting, durability, machine, market, parity, trading
from tradewind.lab.preflight.model import (
    Check,
    CheckFailed,
    CheckSkipped,
    Context,
    Evidence,
    Executor,
    Result,
    Verdict,
)

log = structlog.get_logger("tradewind.preflight")


def _at_a_venue(name: str) -> Executor:
    """A check of connections. What signs is loaded when it runs, not before: V19 looks for it."""

    async def execute(context: Context) -> Evidence:
        from tradewind.lab.preflight import venue

        check: Executor = getattr(venue, name)
        return await check(context)

    return execute


# Whether paper needs a check is T16.2; `execute` is absent where nothing is built to be checked.
CATALOGUE: Final = (
    Check(
        id="V01",
        title="configuration and risk profile load, typos and doubles are refused",
        paper=True,
        execute=machine.configuration,
    ),
    Check(
        id="V02",
        title="journal: write, sync, verify, reopen; a flipped bit is found",
        paper=True,
        execute=durability.journal_round_trip,
    ),
    Check(id="V03", title="disk: room for two days and the reserve", paper=True, execute=machine.disk),
    Check(id="V04", title="clock within 100 ms of the venue's", paper=True, execute=machine.clock),
    Check(
        id="V05",
        title="a second process on the data directory is refused",
        paper=True,
        execute=durability.exclusive,
    ),
    Check(id="V06", title="nonces of a key rise through kill -9", paper=False, execute=_at_a_venue("nonces")),
    Check(
        id="V07",
        title="key rights: trade, cancel, read, bound to an address; cannot withdraw",
        paper=False,
        execute=_at_a_venue("key_rights"),
    ),
    Check(
        id="V08", title="order round trip at a local gateway", paper=False, execute=_at_a_venue("round_trip")
    ),
    Check(id="V09", title="every order filter refuses with its code", paper=True, execute=market.filters),
    Check(
        id="V10", title="rate model equals the venue's counter", paper=True, execute=_at_a_venue("rate_model")
    ),
    Check(
        id="V11",
        title="book sync with checksum; one corrupt price is found",
        paper=True,
        execute=market.checksums,
    ),
    Check(
        id="V12",
        title="private stream shows an own order within 2 s",
        paper=False,
        execute=_at_a_venue("private_stream"),
    ),
    Check(
        id="V13", title="balances known, equal to the ledger, not zero", paper=True, execute=trading.balances
    ),
    Check(id="V14", title="dead-man's switch fires", paper=False, execute=trading.dead_man),
    Check(id="V15", title="kill switch under 50 orders: verified zero", paper=True, execute=trading.kill),
    Check(
        id="V16",
        title="kill -9 at six moments loses nothing acknowledged",
        paper=True,
        execute=durability.kill_nine,
    ),
    Check(
        id="V17",
        title="five reconnects within their time, fills of the outage told",
        paper=True,
        execute=_at_a_venue("reconnects"),
    ),
    Check(
        id="V18",
        title="every risk limit just over its bound denies; every path is checked",
        paper=True,
        execute=trading.limits,
    ),
    Check(
        id="V19",
        title="paper cannot sign and opens no private socket",
        paper=True,
        execute=machine.capability,
    ),
    Check(
        id="V20",
        title="fee schedule known, charged, and used by the cost gate",
        paper=True,
        execute=market.fees,
    ),
    Check(
        id="V21",
        title="an alert reaches its sink and is acknowledged; the second sink takes over",
        paper=False,
        execute=alerting.delivery,
    ),
    Check(
        id="V22",
        title="snapshot restores and the replay gives the same state",
        paper=False,
        execute=durability.restore,
    ),
    Check(id="V23", title="feed gap and stale data stop new risk", paper=True, execute=market.stale),
    Check(
        id="V24",
        title="full disk: cancels pass, new risk is refused",
        paper=True,
        execute=durability.full_disk,
    ),
    Check(
        id="V25",
        title="dependencies importable; the engine is the one of this package",
        paper=True,
        execute=machine.dependencies,
    ),
    Check(
        id="V26",
        title="no secret in logs or configuration; redaction works",
        paper=True,
        execute=machine.secrets,
    ),
    Check(id="V27", title="memory below 200 MB, import time", paper=True, execute=machine.memory),
    Check(id="V28", title="10,000 events give the same decisions twice", paper=True, execute=parity.parity),
)


async def run(
    context: Context, wanted: Sequence[str] = (), on_result: Callable[[Result], None] | None = None
) -> list[Result]:
    """Executes the wanted checks (default: all). Raises `KeyError` for an unknown id."""
    by_id = {check.id: check for check in CATALOGUE}
    chosen = [by_id[name] for name in wanted] or list(CATALOGUE)
    results = []
    for check in chosen:
        result = await execute(check, context)
        results.append(result)
        if on_result is not None:
            on_result(result)
    return results


async def execute(check: Check, context: Context) -> Result:
    """One check. Whatever it raises is a verdict: an error is never a pass."""
    fields: dict[str, Any] = {
        "id": check.id,
        "title": check.title,
        "required": check.paper or context.env in ("canary", "live"),
    }
    if check.execute is None:
        return Result(
            verdict=Verdict.NOT_BUILT, reason="nothing is built yet that this could check", **fields
        )
    started_ns = time.perf_counter_ns()
    verdict, reason = Verdict.PASS, ""
    evidence: Evidence = {}
    folder = Path(tempfile.mkdtemp(prefix=f"{check.id}-", dir=context.scratch))
    own = Context(**{**vars(context), "scratch": folder})
    try:
        evidence = await check.execute(own)
    except CheckFailed as failed:
        verdict, reason = Verdict.FAIL, str(failed)
    except CheckSkipped as skipped:
        verdict, reason = Verdict.SKIP, str(skipped)
    except Exception as error:  # noqa: BLE001 whatever broke, the check did not show what it must show
        verdict, reason = Verdict.FAIL, f"{type(error).__name__}: {error}"
        log.error("preflight_error", check=check.id, error=reason)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    duration_ms = (time.perf_counter_ns() - started_ns) // 1_000_000
    return Result(verdict=verdict, reason=reason, evidence=evidence, duration_ms=duration_ms, **fields)


def passed(results: Sequence[Result], env: str) -> bool:
    """Whether the environment may start: no failure, nothing required unbuilt; a skip counts only below
    canary.
    """
    if env in ("canary", "live"):
        return all(one.verdict is Verdict.PASS for one in results)
    unneeded = {(Verdict.NOT_BUILT, False)}
    green = (Verdict.PASS, Verdict.SKIP)
    return all(one.verdict in green or (one.verdict, one.required) in unneeded for one in results)
