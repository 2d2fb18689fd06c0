"""Every bound of the node, each in exactly one place."""

from __future__ import annotations

import msgspec

from tradewind.core import native

MICROSECOND_NS = 1_000
SECOND_NS = 1_000_000_000


class NodeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and intervals of a node."""

    pending_commands: int = 65_536
    """Commands that may wait for the writer."""
    pending_bytes: int = 32 << 20
    """Bytes of commands and notes that may wait for the writer."""
    batch_commands: int = native.MAX_BATCH_COMMANDS
    """Commands of one block (operations O2.2)."""
    batch_bytes: int = 1 << 20
    """Bytes of commands and notes of one block; a single larger submission goes alone."""
    note_bytes: int = 1 << 20
    """Bytes of one note."""
    subscribers: int = 64
    """Subscriptions and attached callbacks."""
    subscriber_batches: int = 64
    """Batches that may wait for one subscriber."""
    tick_interval_s: float = 0.1
    """How often the node looks whether a timer is due (protocol P2.1.5)."""
    heartbeat_s: float = 1.0
    """Longest time without a command: an idle log still shows the clock."""
    snapshot_commands: int = 100_000
    """Commands between snapshots (operations O2.6)."""
    snapshot_spacing_s: float = 5.0
    """Least time between snapshots: at a million commands per second the count alone would ask for ten a
    second, and what they save, the replay of a few million commands, takes two seconds.
    """
    snapshot_interval_s: float = 900.0
    """Time between snapshots, if there were commands at all."""
    checkpoint_blocks: int = 4_096
    """Blocks between recorded state hashes (protocol P1.1.4)."""
    space_interval_s: float = 1.0
    """How often free space is measured."""
    space_reserved_bytes: int = 256 << 20
    """Below this only cancels and reductions are taken (operations O2.3)."""
    space_warn_fraction: float = 0.30
    space_page_fraction: float = 0.15
    latency_samples: int = 1_024
    """Commit latencies that are kept for the metrics."""
