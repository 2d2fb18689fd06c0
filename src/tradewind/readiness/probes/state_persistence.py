"""trader-state-persistence: a trading platform dies by kill -9 again and again; what it acknowledged stays.

Beside it the age of the last checkpoint that reads back is watched for more than two intervals. A copy on
other storage does not exist in this build, and that is told.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.core import journal
from tradewind.core.errors import TradewindError
from tradewind.core.events import decode_notes
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.child import Platform, platform
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue
from tradewind.trader import checkpoint
from tradewind.trader.records import TRADER_STREAM, Intent, decode
from tradewind.trader.session import CHECKPOINT_EVERY_S

LIVES: Final = 5
ORDERS: Final = 12
WATCHED_S: Final = 2.2 * CHECKPOINT_EVERY_S
LOOK_EVERY_S: Final = 0.5
NEVER: Final = 1_000.0
INTENT: Final = b'{"type":"Intent"'
EARLY: Final = """
import asyncio
from tradewind.venues.paper import port
honest = port.NodePort.submit
async def early(self, commands, notes=()):
    if notes and not commands:
        asyncio.get_running_loop().call_later(
            30.0, lambda: asyncio.ensure_future(honest(self, commands, notes)))
        return []
    return await honest(self, commands, notes)
port.NodePort.submit = early
"""
"""The mutation: an intent is acknowledged, and synced later."""


def _place(child: Platform, number: int) -> str | None:
    """The client id of an acknowledged order; None when it was refused."""
    body = {
        "account": "trader", "market": "BTC/USDT", "side": "buy", "quantity": "0.001",
        "price": str(20_000 + number),
    }  # fmt: skip
    market = json.loads(child.request("GET", "/api/v1/markets/BTC/USDT", None).body)
    body["price"] = f"{float(market['best_bid']) * 0.99 - number:.0f}"
    reply = child.request("POST", "/api/v1/orders", json.dumps(body).encode())
    if reply.status >= 300:
        return None
    return str(json.loads(reply.body)["effect"]["client_id"])


def _life(data: Path, life: int, prelude: str) -> list[str]:
    """One life: orders until it is killed. What was acknowledged."""
    acknowledged = []
    with platform(data, "--strategy", "none", prelude=prelude) as child:
        child.trading()
        for number in range(ORDERS // 2 + life):
            name = _place(child, 50 * life + number)
            if name is not None:
                acknowledged.append(name)
        child.kill()
    return acknowledged


def _intents(data: Path) -> set[str]:
    found = set()
    try:
        for batch in journal.batches(data / "journal"):
            for note in decode_notes(batch.notes):
                if note.stream == TRADER_STREAM and bytes(note.payload[:20]).startswith(INTENT):
                    record = decode(note.payload)
                    if isinstance(record, Intent):
                        found.add(record.client_id)
    except TradewindError as error:
        raise CannotMeasureError(f"the log cannot be read: {error}") from error
    return found


def _ages(data: Path) -> list[float]:
    """Ages of the last checkpoint that reads back, while a platform trades, in intervals."""
    path = data / "trader" / "checkpoint"
    ages = []
    with platform(data) as child:
        child.trading()
        began_s = time.monotonic()
        while time.monotonic() - began_s < WATCHED_S:
            time.sleep(LOOK_EVERY_S)
            if path.exists() and checkpoint.read(path) is not None:
                ages.append((time.time() - path.stat().st_mtime) / CHECKPOINT_EVERY_S)
            elif time.monotonic() - began_s > 2 * CHECKPOINT_EVERY_S:
                ages.append(NEVER)
    return ages


def _lives(folder: Path, lives: int, prelude: str = "") -> dict[str, Any]:
    acknowledged: list[str] = []
    for life in range(lives):
        acknowledged += _life(folder, life, prelude)
    lost = sorted(set(acknowledged) - _intents(folder))
    return {"acknowledged": len(acknowledged), "lost": lost}


def _observe(context: ProbeContext) -> Facts:
    folder = context.scratch / "persistence"
    return {**_lives(folder, LIVES), "ages": _ages(folder)}


def _broken(context: ProbeContext) -> Facts:
    return {**_lives(context.scratch / "persistence-broken", 1, EARLY), "ages": [1.0]}


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    if not facts["acknowledged"]:
        raise CannotMeasureError("no order was acknowledged, so none could be lost")
    ages = facts["ages"]
    return {
        "acknowledged_intents_lost": count(len(facts["lost"]), facts["acknowledged"]),
        "backup_age_over_interval": MeasuredValue(max(ages, default=NEVER), "ratio", len(ages)),
    }


state_persistence = drill(
    "trader-state-persistence",
    observe=_observe,
    broken=_broken,
    summarise=_summarise,
    not_run=("a backup on other storage: recovery is not built; the checkpoint is on the same disk",),
)
