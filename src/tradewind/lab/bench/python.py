"""Suite `python`: the engine through its Python front, without a journal."""

from __future__ import annotations

import time
from typing import Final

from tradewind.core import commands, measure
from tradewind.core.engine import Engine
from tradewind.core.enums import Side
from tradewind.core.measure import BATCH_COMMANDS, StandardStream
from tradewind.core.records import codec
from tradewind.lab.bench.context import (
    Context,
    Figures,
    MeasureFailed,
    median,
    microseconds,
    per_second,
    percentile,
    refuse_many_refusals,
)

FAR_PRICE_TICKS: Final = 60_000
"""Far below the stream's mid price: such a bid rests and never trades."""
SINGLE_STEP_NS: Final = 1_000_000
"""Time that passes per command, so that the client keys of earlier ones expire."""


def run(context: Context) -> Figures:
    """Commands per second in batches of 4,096, and microseconds of a single one built, applied, decoded."""
    effort = context.effort
    context.tell("batches")
    rates = [_batches(context, audit=False) for _ in range(effort.repeats)]
    context.tell("batches, audited")
    audited = _batches(context, audit=True)
    context.tell("single commands")
    samples = _singles(context)
    return {
        "batch_commands_per_second": median(rates),
        "batch_audited_commands_per_second": audited,
        "single_us": microseconds(percentile(samples, 0.5)),
        "single_p99_us": microseconds(percentile(samples, 0.99)),
        "single_means": "typed builder, apply, decoded result; median over places and cancels",
    }


def prepared_engine(stream: StandardStream, *, audit: bool) -> Engine:
    """An engine with the stream's accounts and resting orders."""
    engine = Engine(stream.genesis, audit=audit)
    for part in stream.setup:
        engine.core.apply(part, stream.setup_ns)
    for part, now_ns in stream.fill():
        engine.core.apply(part, now_ns)
    return engine


def _batches(context: Context, *, audit: bool) -> float | None:
    stream = StandardStream(context.effort.live_orders)
    engine = prepared_engine(stream, audit=audit)
    elapsed_ns = refused = total = 0
    for _ in range(context.effort.python_batches):
        part, now_ns = stream.next("mixed", BATCH_COMMANDS)
        begin_ns = time.perf_counter_ns()
        batch = engine.core.apply(part, now_ns)
        results, events, postings = batch.input_results(), batch.events, batch.postings
        elapsed_ns += time.perf_counter_ns() - begin_ns
        if not events or not postings:
            raise MeasureFailed("a batch without events")
        total += BATCH_COMMANDS
        refused += BATCH_COMMANDS - measure.accepted(results)
    refuse_many_refusals("mixed", refused, total)
    return per_second(total, elapsed_ns)


def _singles(context: Context) -> list[int]:
    stream = StandardStream(context.effort.live_orders)
    engine = prepared_engine(stream, audit=False)
    owner, account = _a_trader(stream)
    now_ns = engine.core.time_ns
    samples, order = [], None
    for index in range(context.effort.python_singles):
        now_ns += SINGLE_STEP_NS
        begin_ns = time.perf_counter_ns()
        if order is None:
            key = (1 << 100 | index).to_bytes(16, "little")
            frame = commands.place_order(
                principal=owner, account=account, client_key=key, market=0, side=Side.BUY,
                price=FAR_PRICE_TICKS, lots=10, valid_until_ns=now_ns + 1_000_000_000,
            )  # fmt: skip
        else:
            frame = commands.cancel_order(principal=owner, account=account, order=order)
        [result] = engine.submit((frame,), now_ns)
        samples.append(time.perf_counter_ns() - begin_ns)
        if not result.accepted:
            raise MeasureFailed(f"a single command was refused: {result.name}: {result.message}")
        order = result.value if order is None else None
    return samples


def _a_trader(stream: StandardStream) -> tuple[bytes, bytes]:
    """Key and account of the last account that the set-up funds; it has orders like every other."""
    envelope = codec("Command")
    names = envelope.field_names
    last_deposit = dict(zip(names, envelope.struct.unpack(stream.setup[-1][-envelope.size :]), strict=True))
    account = last_deposit["account"]
    for part in stream.setup:
        for row in envelope.iter(part):
            fields = dict(zip(names, row, strict=True))
            if fields["account"] == account and fields["principal"] != last_deposit["principal"]:
                return fields["principal"], account
    raise MeasureFailed("the set-up opens no account")
