"""A checkpoint of venue and trader, so that a restart reads only the tail of the log.

It is a projection with its place in the log, never a source of truth: a missing, damaged, foreign or
older-format checkpoint is ignored and the whole log is read instead.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from pathlib import Path

import msgspec
import structlog

from tradewind.venues.paper.driver import VenueState
from tradewind.venues.paper.port import NodePort, Place
from tradewind.venues.protocol import FillEvent

from .ledger import LedgerState
from .oms import OmsState
from .records import DayBase, Latch, Reconciliation
from .service import MAX_RECENT_FILLS, TraderService

log = structlog.get_logger("tradewind.trader")
FORMAT = 3
MAX_CHECKPOINT_BYTES = 64 << 20
DIGEST_BYTES = 32


class CheckpointDamaged(ValueError):
    """The file is not a checkpoint of this format with a matching digest."""

    code = "CheckpointDamaged"


class TraderState(msgspec.Struct, kw_only=True):
    """The trader as plain data."""

    ledger: LedgerState
    oms: OmsState
    latches: list[Latch]
    day_base: DayBase | None
    high_water: str | None
    drawdown_step: int
    recent_fills: list[FillEvent]
    reconciled: Reconciliation | None
    others: dict[str, msgspec.Raw]
    """What `TraderService.checkpointed` had to say, by name."""


class Checkpoint(msgspec.Struct, kw_only=True):
    """Venue and trader after the block at `place`."""

    format: int
    place: Place
    venue: VenueState
    trader: TraderState


def checkpoint_path(port: NodePort) -> Path:
    """Where the checkpoint of a node's data directory lies."""
    return port.node.journal_path.parent / "trader" / "checkpoint"


def take(trader: TraderService, place: Place) -> bytes:
    """The state as bytes. Call it only while nothing is in flight, or venue and trader differ."""
    if trader.venue.in_flight_count or trader.has_pending:
        raise RuntimeError("a checkpoint needs a moment in which nothing is in flight")
    high = trader.loss.high_water
    state = TraderState(
        ledger=trader.ledger.state(),
        oms=trader.oms.state(),
        latches=trader.states.active(),
        day_base=trader.loss.base,
        high_water=None if high is None else str(high),
        drawdown_step=trader.loss.step,
        recent_fills=list(trader.recent_fills),
        reconciled=trader.reconciled,
        others={
            name: msgspec.Raw(msgspec.json.encode(part.take())) for name, part in trader.checkpointed.items()
        },
    )
    body = msgspec.json.encode(
        Checkpoint(format=FORMAT, place=place, venue=trader.venue.state(), trader=state)
    )
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest() + body


def parse(data: bytes) -> Checkpoint:
    """The checkpoint in `data`. Raises `CheckpointDamaged`."""
    digest, body = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    if hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest() != digest:
        raise CheckpointDamaged("the digest does not match")
    try:
        checkpoint = msgspec.json.decode(body, type=Checkpoint)
    except msgspec.DecodeError as error:
        raise CheckpointDamaged(str(error)) from error
    if checkpoint.format != FORMAT:
        raise CheckpointDamaged(f"format {checkpoint.format}, this build reads {FORMAT}")
    return checkpoint


def load(trader: TraderService, checkpoint: Checkpoint) -> None:
    """Make a fresh venue and trader what the checkpoint says."""
    trader.venue.load(checkpoint.venue)
    state = checkpoint.trader
    trader.ledger.load(state.ledger)
    trader.oms.load(state.oms)
    for latch in state.latches:
        trader.states.apply(latch)
    trader.loss.restore(state.day_base, state.high_water, state.drawdown_step)
    trader.recent_fills = deque(state.recent_fills, maxlen=MAX_RECENT_FILLS)
    trader.reconciled = state.reconciled
    for name, part in trader.checkpointed.items():
        part.load(bytes(state.others[name]))


def write(path: Path, data: bytes) -> None:
    """Replace the file atomically and durably. Raises `OSError`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path) -> Checkpoint | None:
    """The checkpoint in the file; None, with a warning, when there is none that can be trusted."""
    try:
        if path.stat().st_size > MAX_CHECKPOINT_BYTES:
            raise CheckpointDamaged(f"more than {MAX_CHECKPOINT_BYTES} bytes")
        return parse(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, CheckpointDamaged) as error:
        log.warning("trader_checkpoint_ignored", path=str(path), reason=str(error))
        return None
