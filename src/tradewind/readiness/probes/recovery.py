"""logging-audit-trail and dr-position-recovery: the journal when the disk or the process fails."""

from __future__ import annotations

import json
import resource
import shutil
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tradewind.core import journal
from tradewind.core.native import Engine, JournalCorrupt, TradewindError, journal_genesis
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.child import Platform, platform
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue

# ---- logging-audit-trail --------------------------------------------------------------------------------

# A file of the platform may not grow beyond this: every write of the journal fails from then on.
WRITE_LIMIT_BYTES: Final = 4_096
NEW_RISK: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("/orders", {"market": "BTC/USDT", "side": "buy", "price": "59000", "quantity": "0.001"}),
    ("/orders", {"market": "BTC/USDT", "side": "sell", "price": "61000", "quantity": "0.001"}),
    ("/deposits", {"asset": "USDT", "amount": "1"}),
    ("/accounts", {"name": "late"}),
    ("/assets", {"symbol": "LATE"}),
    ("/subaccounts", {"index": 3}),
)
ROUNDS: Final = 5


def _send(child: Platform, path: str, body: dict[str, Any]) -> int:
    return child.request("POST", f"/api/v1{path}", json.dumps(body).encode()).status


def _chain_breaks(path: Path) -> int:
    try:
        journal.verify(path)
    except JournalCorrupt:
        return 1
    return 0


def _observe_unwritable(context: ProbeContext, prelude: str = "") -> Facts:
    with platform(context.scratch / "data", "--strategy", "none", prelude=prelude) as child:
        child.trading()
        before = _send(child, *NEW_RISK[0])
        if before >= 300:
            raise CannotMeasureError(f"an order is answered {before} even while the journal can be written")
        limit = (WRITE_LIMIT_BYTES, WRITE_LIMIT_BYTES)
        resource.prlimit(child.process.pid, resource.RLIMIT_FSIZE, limit)
        statuses = [_send(child, path, body) for _ in range(ROUNDS) for path, body in NEW_RISK]
        child.kill()
        path = child.data / "journal"
        return {
            "before": before,
            "while_unwritable": statuses,
            "chain_breaks": _chain_breaks(path),
            "blocks": journal.verify(path).blocks if _chain_breaks(path) == 0 else 0,
        }


DROP_WHAT_CANNOT_BE_WRITTEN: Final = """
from tradewind.core.events import Result
from tradewind.node import service
honest = service.NodeService.submit
async def careless(self, command, *more):
    try:
        return await honest(self, command, *more)
    except Exception:
        number = 1 if isinstance(command, (bytes, bytearray)) else len(command)
        lost = dict(seq=0, code=0, accepted=True, duplicate=False, value=0, bound=0, given=0)
        return [Result(**lost)] * number
service.NodeService.submit = careless
"""


def _summarise_unwritable(facts: Facts) -> Mapping[str, MeasuredValue]:
    accepted = sum(status < 300 for status in facts["while_unwritable"])
    return {
        "chain_breaks": count(facts["chain_breaks"], facts["blocks"]),
        "risk_accepted_while_unwritable": count(accepted, len(facts["while_unwritable"])),
    }


audit_trail = drill(
    "logging-audit-trail",
    observe=_observe_unwritable,
    broken=lambda context: _observe_unwritable(context, DROP_WHAT_CANNOT_BE_WRITTEN),
    summarise=_summarise_unwritable,
    provenance="emulated",
)

# ---- dr-position-recovery -------------------------------------------------------------------------------

SIDES: Final = ("buy", "buy", "sell", "buy")
FILLS_DEADLINE_S: Final = 20.0


def _trade(child: Platform) -> dict[str, Any]:
    """Takes a position, leaves an order in the book, and gives the end of the log with its state hash."""
    for side in SIDES:
        # Through the other side of the book, so that it fills at once.
        body = {"market": "BTC/USDT", "side": side, "quantity": "0.001", "time_in_force": "ioc"}
        _send(child, "/orders", {**body, "price": _crossing_price(child, side)})
    if _send(child, *NEW_RISK[0]) >= 300:
        raise CannotMeasureError("the platform takes no orders")
    deadline_s = time.monotonic() + FILLS_DEADLINE_S
    while True:
        view = json.loads(child.request("GET", "/api/v1/positions").body)
        if view["profit"]["fill_count"] >= len(SIDES):
            break
        if time.monotonic() > deadline_s:
            raise CannotMeasureError(f"fewer than {len(SIDES)} fills within {FILLS_DEADLINE_S:.0f} s")
        time.sleep(0.2)
    head: dict[str, Any] = json.loads(child.request("GET", "/api/v1/head").body)
    return {
        "next_seq": head["next_seq"],
        "state_hash": head["state_hash"],
        "fills": view["profit"]["fill_count"],
        "quantity": view["position"]["quantity"]["value"],
    }


def _crossing_price(child: Platform, side: str) -> str:
    """A whole price half a percent behind the best of the other side."""
    best, factor = ("best_ask", Decimal("1.005")) if side == "buy" else ("best_bid", Decimal("0.995"))

    def quoted() -> str | None:
        [market] = json.loads(child.request("GET", "/api/v1/markets").body)["markets"]
        price: str | None = market[best]
        return price

    child.wait("quoting", quoted)
    return str(int(Decimal(quoted() or 0) * factor))


def _clean_machine(source: Path, target: Path) -> None:
    """The segments of the journal and the identities; no snapshot, no view, no cache."""
    (target / "journal").mkdir(parents=True, mode=0o700)
    for path in (source / "journal").iterdir():
        if path.suffix == ".twj" or path.name == "genesis":
            shutil.copyfile(path, target / "journal" / path.name)
    shutil.copytree(source / "keys", target / "keys")


def _rebuilt_hash(path: Path, next_seq: int) -> str:
    """State hash of an engine that applied every command of the log before ``next_seq``."""
    engine = Engine(journal_genesis(path))
    for batch in journal.batches(path):
        if batch.first_seq >= next_seq:
            break
        engine.apply_stamped(batch.commands)
    return bytes(engine.state_hash()).hex()


# A clean result that follows a clean one is not journaled again, so it is listened to where it is made.
LISTEN: Final = """
import json
from tradewind.trader import service
compare = service.TraderService.check_ledger
async def heard(self):
    differences = await compare(self)
    with open({path!r}, "a") as handle:
        handle.write(json.dumps([str(one) for one in differences]) + "\\n")
    return differences
service.TraderService.check_ledger = heard
"""


def _observe_recovery(context: ProbeContext, prelude: str = "") -> Facts:
    failed, clean = context.scratch / "failed", context.scratch / "clean"
    with platform(failed, "--strategy", "none") as child:
        child.trading()
        before = _trade(child)
        child.kill()
    _clean_machine(failed, clean)
    try:
        rebuilt = _rebuilt_hash(clean / "journal", before["next_seq"])
    except TradewindError as error:
        rebuilt = error.name
    heard = context.scratch / "reconciled.jsonl"
    listening = LISTEN.format(path=str(heard))
    with platform(clean, "--strategy", "none", prelude=listening + prelude) as child:
        child.trading()
        after = json.loads(child.request("GET", "/api/v1/positions").body)
        child.stop()
    if not heard.exists():
        raise CannotMeasureError("the trader did not reconcile after the recovery")
    results = [json.loads(line) for line in heard.read_text().splitlines()]
    same = {
        "fills": after["profit"]["fill_count"] == before["fills"],
        "quantity": after["position"]["quantity"]["value"] == before["quantity"],
    }
    return {
        "before": before,
        "rebuilt_state_hash": rebuilt,
        "position_is_the_same": same,
        "reconciliations": results,
    }


FORGET_ONE_FILL: Final = """
from tradewind.trader import ledger
honest = ledger.Ledger.fill
seen = []
def forgetful(self, event, **more):
    seen.append(event)
    return True if len(seen) == 2 else honest(self, event, **more)
ledger.Ledger.fill = forgetful
"""


def _summarise_recovery(facts: Facts) -> Mapping[str, MeasuredValue]:
    same = facts["rebuilt_state_hash"] == facts["before"]["state_hash"]
    results = facts["reconciliations"]
    unexplained = sum(map(len, results)) + list(facts["position_is_the_same"].values()).count(False)
    return {
        "state_hash_matches": MeasuredValue(int(same), "bool", 1),
        "unexplained_differences": count(unexplained, len(results)),
    }


position_recovery = drill(
    "dr-position-recovery",
    observe=_observe_recovery,
    broken=lambda context: _observe_recovery(context, FORGET_ONE_FILL),
    summarise=_summarise_recovery,
    provenance="emulated",
)
