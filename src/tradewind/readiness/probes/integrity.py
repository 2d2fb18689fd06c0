"""compliance-immutable-audit-log and trader-state-persistence: nothing in the log changes or gets lost."""

from __future__ import annotations

import http.client
import json
import random
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tradewind.core import journal
from tradewind.core.events import decode_notes
from tradewind.core.measure import StandardStream, write_journal
from tradewind.core.native import JournalFailure, JournalReader, Node
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.child import Platform, platform
from tradewind.readiness.probes.drill import Facts, drill, ratio
from tradewind.readiness.record import MeasuredValue
from tradewind.trader.records import TRADER_STREAM, Intent, decode

# ---- compliance-immutable-audit-log ---------------------------------------------------------------------

LIVE_ORDERS: Final = 50
BATCHES: Final = 3
FLIPS: Final = 24
PROOFS: Final = 40
# The published layout of a segment (O2.1): where blocks begin.
SEGMENT_HEADER_BYTES: Final = 128
ALIGNMENT_BYTES: Final = 64
BLOCK_MAGIC: Final = b"TWJB"
CHOICES: Final = random.Random(20_240_808)  # noqa: S311 - chooses places to damage, guards nothing

Detect = Callable[[Path, bytes], bool]


def _detected(path: Path, kept_root: bytes) -> bool:
    """Whether verification refuses the journal, or its root is no longer the one that was kept outside."""
    try:
        journal.verify(path)
        return journal.root(path)[1] != kept_root
    except JournalFailure:
        return True


def _segment(path: Path) -> Path:
    [segment] = sorted(path.glob("*.twj"))
    return segment


def _blocks(path: Path) -> list[tuple[int, int]]:
    """Offset and length of every block."""
    content = _segment(path).read_bytes()
    end = SEGMENT_HEADER_BYTES + journal.verify(path).bytes
    starts = [
        at for at in range(SEGMENT_HEADER_BYTES, end, ALIGNMENT_BYTES) if content.startswith(BLOCK_MAGIC, at)
    ]
    return [(start, following - start) for start, following in zip(starts, [*starts[1:], end], strict=True)]


def _tampered(path: Path) -> dict[str, Callable[[bytes], bytes]]:
    """Ways to change the bytes of the segment, by name."""
    blocks = _blocks(path)
    used = blocks[-1][0] + blocks[-1][1]
    (a, a_size), (b, b_size) = blocks[1], blocks[2]
    ways: dict[str, Callable[[bytes], bytes]] = {
        "removed": lambda raw: raw[:a] + raw[a + a_size :] + bytes(a_size),
        "inserted": lambda raw: raw[: a + a_size] + raw[a : a + a_size] + raw[a + a_size : -a_size],
        "reordered": lambda raw: raw[:a] + raw[b : b + b_size] + raw[a : a + a_size] + raw[b + b_size :],
        "last cut off": lambda raw: raw[: blocks[-1][0]] + bytes(blocks[-1][1]) + raw[used:],
    }
    for _ in range(FLIPS):
        place, bit = CHOICES.randrange(0, used), CHOICES.randrange(8)
        ways[f"bit {bit} of byte {place}"] = (
            lambda raw, place=place, bit=bit: (  # type: ignore[misc]  # bound now
                raw[:place] + bytes([raw[place] ^ (1 << bit)]) + raw[place + 1 :]
            )
        )
    return ways


def _rebuilt(path: Path, target: Path) -> Path:
    """The same log with one command left out, every checksum and hash computed anew."""
    genesis = journal.genesis(path).encode()
    node = Node.create(target, genesis)
    try:
        for number, batch in enumerate(journal.batches(path)):
            if number == 3 or not batch.count:
                continue
            node.commit(batch.commands, (), batch.time_ns)
    finally:
        node.close()
    return target


def _observe_tampering(context: ProbeContext, detect: Detect = _detected) -> Facts:
    path = context.scratch / "journal"
    write_journal(path, StandardStream(LIVE_ORDERS), BATCHES)
    kept_root = journal.root(path)[1]
    original = _segment(path).read_bytes()
    found = {"untouched": detect(path, kept_root)}
    damaged = context.scratch / "damaged"
    shutil.copytree(path, damaged)
    for name, change in _tampered(path).items():
        content = change(original)
        if content != original:
            _segment(damaged).write_bytes(content)
            found[name] = detect(damaged, kept_root)
    found["rewritten with a new chain"] = detect(_rebuilt(path, context.scratch / "rebuilt"), kept_root)
    last_seq = journal.verify(path).last_seq or 1
    proofs = [_proof_holds(path, CHOICES.randint(1, last_seq), kept_root) for _ in range(PROOFS)]
    return {"false_alarm": found.pop("untouched"), "detected": found, "proofs": proofs}


def _proof_holds(path: Path, seq: int, kept_root: bytes) -> bool:
    """A proof verifies with the root alone, and not with another root."""
    proof = journal.prove(path, seq)
    claim = journal.check_proof(proof, kept_root)
    other = journal.check_proof(proof, bytes(32))
    return bool(claim["valid"]) and claim["seq"] == seq and not other["valid"]


def _without_root(path: Path, kept_root: bytes) -> bool:
    """Trusts a chain that is consistent in itself, as if no root had been kept outside."""
    try:
        journal.verify(path)
    except JournalFailure:
        return True
    return False


def _summarise_tampering(facts: Facts) -> Mapping[str, MeasuredValue]:
    found = [*facts["detected"].values(), not facts["false_alarm"]]
    return {
        "tampering_detected": ratio(sum(found), len(found)),
        "proofs_verified": ratio(sum(facts["proofs"]), len(facts["proofs"])),
    }


immutable = drill(
    "compliance-immutable-audit-log",
    observe=_observe_tampering,
    broken=lambda context: _observe_tampering(context, _without_root),
    summarise=_summarise_tampering,
    not_run=("anchoring of roots in locked object storage",),
)

# ---- trader-state-persistence ---------------------------------------------------------------------------

KILLS: Final = 5
SHORTEST_LIFE_S: Final = 0.4
LONGEST_LIFE_S: Final = 1.6
CANCEL_EVERY: Final = 8


def _orders_until_death(child: Platform, acknowledged: list[str]) -> None:
    """Places and cancels orders as fast as they are acknowledged, until the process is gone."""
    number = 0
    while True:
        # Another price each time: the risk checks refuse the same order again and again.
        order = {
            "market": "BTC/USDT",
            "side": "buy",
            "price": str(59_000 + number % 500),
            "quantity": "0.0002",
        }
        try:
            reply = child.request("POST", "/api/v1/orders", json.dumps(order).encode())
            if reply.status == http.client.OK:
                acknowledged.append(json.loads(reply.body)["effect"].get("client_id", ""))
            if number % CANCEL_EVERY == 0:
                child.request("POST", "/api/v1/orders/cancel-all", b"{}")
        except (OSError, http.client.HTTPException, ValueError):
            return  # also a reply whose body died with the process: nothing was acknowledged by it
        number += 1


def _journaled_intents(path: Path) -> list[str]:
    found = []
    reader = JournalReader(path)
    while (batch := reader.next()) is not None:
        for note in decode_notes(batch.notes):
            if note.stream == TRADER_STREAM and isinstance(record := decode(note.payload), Intent):
                found.append(record.client_id)
    return found


def _observe_kills(context: ProbeContext, prelude: str = "") -> Facts:
    data = context.scratch / "data"
    rounds = []
    for number in range(KILLS):
        acknowledged: list[str] = []
        before = len(_journaled_intents(data / "journal")) if number else 0
        with platform(data, "--strategy", "none", prelude=prelude) as child:
            child.trading()
            sender = threading.Thread(target=_orders_until_death, args=(child, acknowledged))
            sender.start()
            time.sleep(CHOICES.uniform(SHORTEST_LIFE_S, LONGEST_LIFE_S))
            child.kill()
            sender.join()
        intents = _journaled_intents(data / "journal")
        missing = [one for one in acknowledged if one and one not in intents]
        short = max(0, len(acknowledged) - (len(intents) - before))
        rounds.append(
            {
                "acknowledged": len(acknowledged),
                "journaled": len(intents) - before,
                "lost": max(len(missing), short),
            }
        )
    verified = journal.verify(data / "journal")
    return {"rounds": rounds, "blocks_verified": verified.blocks}


ACKNOWLEDGE_FIRST: Final = """
import asyncio
from tradewind.api import desk
honest = desk.Desk.place_order
async def hasty(self, body):
    loop = asyncio.get_running_loop()
    loop.call_later(0.3, lambda: loop.create_task(honest(self, body)))
    return {"command": "PlaceOrder", "value": 0, "effect": {}}
desk.Desk.place_order = hasty
"""


def _summarise_kills(facts: Facts) -> Mapping[str, MeasuredValue]:
    rounds = facts["rounds"]
    acknowledged = sum(one["acknowledged"] for one in rounds)
    return {"acknowledged_intents_lost": count(sum(one["lost"] for one in rounds), acknowledged)}


persistence = drill(
    "trader-state-persistence",
    observe=_observe_kills,
    broken=lambda context: _observe_kills(context, ACKNOWLEDGE_FIRST),
    summarise=_summarise_kills,
    provenance="emulated",
    not_run=("age of the last verified backup: backups are not built yet",),
)
