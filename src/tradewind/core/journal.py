"""Reading, checking and proving a journal without owning it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from tradewind import _core
from tradewind.core.engine import GenesisConfig

Hash = bytes
"""BLAKE3-256."""

Progress = Callable[[int, int], object]
"""Called with (done, total); what it raises stops the work and is passed on."""


class VerifyReport(msgspec.Struct, frozen=True):
    """A journal without damage. `torn_tail` describes bytes behind the last whole block: no damage."""

    blocks: int
    first_seq: int | None
    last_seq: int | None
    bytes: int
    segments: int
    head_hash: Hash
    root: Hash
    torn_tail: dict[str, Any] | None


class ReplayReport(msgspec.Struct, frozen=True):
    """A log that gives the same results and events again. `hashes_compared` counts recorded state hashes."""

    replayed_blocks: int
    replayed_commands: int
    hashes_compared: int
    elapsed_ns: int
    next_seq: int
    state_hash: Hash
    cursor_hash: Hash
    snapshot_seq: int | None
    rejected_snapshots: list[str]


class SnapshotFile(msgspec.Struct, frozen=True):
    seq: int
    path: Path
    bytes: int


def exists(path: Path) -> bool:
    """Whether the directory holds a journal."""
    return _core.journal_exists(path)


def genesis(path: Path) -> GenesisConfig:
    """
    Raises:
        JournalFailure: the directory holds no journal.
    """
    return GenesisConfig.decode(_core.journal_genesis(path))


def batches(path: Path, from_seq: int = 0) -> Iterator[_core.Batch]:
    """Every block from the one that holds `from_seq` to the present end.

    Raises:
        JournalCorrupt: damage, with its place.
    """
    reader = _core.JournalReader(path, from_seq)
    while (batch := reader.next()) is not None:
        yield batch


def verify(path: Path, progress: Progress | None = None) -> VerifyReport:
    """Checks every byte: checksums, hashes, chain, footers.

    Raises:
        JournalCorrupt: names the first damaged block with segment, offset and sequence.
    """
    return VerifyReport(**_core.journal_verify(path, progress))


def replay(path: Path, progress: Progress | None = None, *, audit: bool = True) -> ReplayReport:
    """Replays from genesis and compares every result, event and recorded hash.

    Raises:
        ReplayMismatch: with the first differing sequence in `given`; InvariantBroken, JournalCorrupt.
    """
    return ReplayReport(**_core.journal_replay(path, progress, audit=audit))


def snapshots(path: Path) -> list[SnapshotFile]:
    """Snapshot files, newest first."""
    return [SnapshotFile(seq, Path(file), size) for seq, file, size in _core.snapshot_list(path)]


def reader(path: Path, from_seq: int = 0) -> _core.JournalReader:
    """A reader that can wait for more: `next()` gives None at the present end.

    Raises:
        JournalFailure: the directory holds no journal.
    """
    return _core.JournalReader(path, from_seq)


def root(path: Path) -> tuple[int, bytes]:
    """Number of blocks and the Merkle root over them.

    Raises:
        JournalFailure: the directory holds no journal.
    """
    return _core.journal_root(path)


def prove(path: Path, seq: int) -> bytes:
    """A proof, checkable without the journal, that the command with this sequence number is in the log.

    Raises:
        JournalFailure: the log does not hold this sequence number.
    """
    return _core.journal_prove(path, seq)


def check_proof(proof: bytes, published_root: bytes) -> dict[str, Any]:
    """`valid`, `seq`, `block`, `tree_size`, `root`, `block_hash` and the proven `command` record.

    Raises:
        JournalFailure: the bytes are no proof.
    """
    return _core.proof_verify(proof, published_root)


def snapshot_offline(path: Path) -> dict[str, Any]:
    """Opens the journal as its only writer, records a snapshot, closes it; returns what was written.

    Raises:
        JournalLocked: a platform is running on it; JournalFailure, ReplayMismatch.
    """
    node, _ = _core.Node.open(path, shard=genesis(path).shard)
    try:
        _, image = node.snapshot()
        return image.write()
    finally:
        node.close()
