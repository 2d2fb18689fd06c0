"""orders-execute and orders-idempotency-key on the engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import Side
from tradewind.core.hashing import account_id
from tradewind.core.measure import StandardStream
from tradewind.core.native import Batch, Engine, Node
from tradewind.core.records import codec
from tradewind.readiness.probe import Measurement, ProbeContext, count, probe
from tradewind.readiness.probes.drill import RAW_FILE, Facts, drill, ratio
from tradewind.readiness.probes.exchange import (
    QUOTE,
    Answer,
    Exchange,
    genesis,
    key_of,
)
from tradewind.readiness.probes.modelled import WITHOUT_SOURCE, play, unreached
from tradewind.readiness.record import MeasuredValue

ALICE, BOB = key_of("alice"), key_of("bob")

# ---- orders-execute -------------------------------------------------------------------------------------

COMPARED: Final = 1_000_000
LIVE_ORDERS: Final = 300
BATCH: Final = 4_096
MUTANT_BATCHES: Final = 8
Reply = tuple[bytes, bytes, bytes]


def _reply(batch: Batch) -> Reply:
    return bytes(batch.results), bytes(batch.events), bytes(batch.postings)


def _observe_execution(
    context: ProbeContext, wanted: int = COMPARED, alter: Callable[[bytes], bytes] = bytes
) -> Facts:
    """Both books get the same commands; results, events and postings are compared byte for byte.

    Orders that wait, hide, hang together or come in slices are played beside the model of the source tree.
    """
    stream = StandardStream(LIVE_ORDERS)
    config = stream.genesis.encode()
    fast, naive = Engine(config, audit=False), Engine(config, reference_book=True, audit=False)
    compared = divergent = 0
    parts = [(part, stream.setup_ns) for part in stream.setup]
    parts += list(stream.fill())
    while compared < wanted:
        part, now_ns = parts.pop(0) if parts else stream.next("mixed", BATCH)
        one, other = _reply(fast.apply(part, now_ns)), _reply(naive.apply(alter(part), now_ns))
        divergent += one != other
        compared += len(part) // commands.COMMAND_SIZE
    same_state = fast.state_hash() == naive.state_hash()
    modelled = play(context) if wanted >= COMPARED else {}
    return {
        "compared": compared,
        "divergent_batches": divergent,
        "same_state": same_state,
        "modelled": modelled,
    }


def _swapped(part: bytes) -> bytes:
    """The second of two commands goes first: at an equal price the later order then has priority."""
    size = commands.COMMAND_SIZE
    return part[size : 2 * size] + part[:size] + part[2 * size :]


def _summarise_execution(facts: Facts) -> Mapping[str, MeasuredValue]:
    compared, modelled = facts["compared"], facts["modelled"]
    divergent = facts["divergent_batches"] + int(not facts["same_state"])
    if modelled:
        compared += modelled["sent"]
        # What a stream never reached was not compared: it counts as if it had diverged.
        divergent += len(modelled["divergent"]) + len(unreached(modelled))
    return {
        "commands_compared": count(compared, compared),
        "divergent_replies": count(divergent, compared),
    }


def _execution(context: ProbeContext, look: Callable[[ProbeContext], Facts]) -> Measurement:
    raw = json.dumps(look(context), indent=1, sort_keys=True).encode()
    facts = json.loads(raw)
    not_run = () if facts["modelled"] else (WITHOUT_SOURCE,)
    values = _summarise_execution(facts)
    return Measurement(values, {RAW_FILE: raw}, provenance="virtual", not_run=not_run)


execution = probe("orders-execute")(lambda context: _execution(context, _observe_execution))
execution.mutation(
    lambda context: _execution(
        context, lambda where: _observe_execution(where, MUTANT_BATCHES * BATCH, _swapped)
    )
)
execution.recompute(lambda files: _summarise_execution(json.loads(files[RAW_FILE])))

PRICE: Final = 100
LOTS: Final = 20_000

# ---- orders-idempotency-key -----------------------------------------------------------------------------


class _Durable:
    """A node that the exchange talks to, and that can be closed and opened again."""

    def __init__(self, context: ProbeContext) -> None:
        self.path = context.scratch / "journal"
        self.node = Node.create(self.path, genesis().encode())

    def apply(self, frames: bytes, now_ns: int) -> Batch:
        return self.node.commit(frames, (), now_ns)

    def state_hash(self) -> bytes:
        return self.node.state_hash()

    def restart(self) -> None:
        self.node.close()
        self.node, _ = Node.open(self.path)


def _same(first: Answer, second: Answer) -> bool:
    return (second.code, second.value, second.duplicate) == (first.code, first.value, True)


def _observe_keys(context: ProbeContext, *, forget: bool = False) -> Facts:
    """Sends each command again, at once and after a restart, with the same body and with another one."""
    exchange = Exchange()
    durable = _Durable(context)
    exchange.engine = durable
    rows = []
    try:
        exchange.open_market()
        exchange.fund(ALICE)
        sent = list(_keyed(exchange))
        first = [exchange.ask(frame) for _, frame, _ in sent]
        for moment in ("at once", "after a restart"):
            if moment == "after a restart":
                durable.restart()
            for (name, frame, other), original in zip(sent, first, strict=True):
                again = _with_fresh_key(exchange, frame) if forget and moment != "at once" else frame
                before = exchange.hash()
                repeated, unchanged = exchange.ask(again), exchange.hash() == before
                conflict = exchange.ask(other)
                effects = not (_same(original, repeated) and unchanged)
                found = conflict.code == "IDEMPOTENCY_CONFLICT"
                rows.append(
                    {"command": name, "moment": moment, "effect": effects, "conflict_detected": found}
                )
    finally:
        durable.node.close()
    return {"rows": rows}


def _with_fresh_key(exchange: Exchange, frame: bytes) -> bytes:
    offset = next(place for name, place, _ in codec("Command").fields if name == "client_key")
    return frame[:offset] + exchange.key() + frame[offset + 16 :]


def _keyed(exchange: Exchange) -> Iterator[tuple[str, bytes, bytes]]:
    """Name, a command, and one with the same key and another body."""
    owner: dict[str, Any] = {"principal": ALICE, "account": account_id(ALICE)}
    key = exchange.key()
    yield (
        "PlaceOrder",
        exchange.order(ALICE, Side.BUY, PRICE, LOTS, client_key=key),
        exchange.order(ALICE, Side.BUY, PRICE, LOTS + 1, client_key=key),
    )
    key = exchange.key()
    sub = commands.open_sub_account
    yield "OpenSubAccount", sub(**owner, client_key=key, index=1), sub(**owner, client_key=key, index=2)
    key = exchange.key()
    move: dict[str, Any] = {**owner, "client_key": key, "to_sub": 1, "asset": QUOTE}
    yield "Transfer", commands.transfer(**move, amount=10), commands.transfer(**move, amount=11)
    key = exchange.key()
    switch = commands.set_cancel_all_after
    yield (
        "SetCancelAllAfter",
        switch(**owner, client_key=key, window_s=60),
        switch(**owner, client_key=key, window_s=61),
    )


def _summarise_keys(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows = facts["rows"]
    return {
        "duplicate_effects": count(sum(row["effect"] for row in rows), len(rows)),
        "conflicts_detected": ratio(sum(row["conflict_detected"] for row in rows), len(rows)),
    }


idempotency = drill(
    "orders-idempotency-key",
    observe=_observe_keys,
    broken=lambda context: _observe_keys(context, forget=True),
    summarise=_summarise_keys,
    provenance="virtual",
    not_run=("failover: there is no standby yet",),
)
