"""Continuity rules: given the last applied id, may this book update be applied?

Each rule is the published procedure of one venue. `bridge` judges the first update after a snapshot, `follow`
every later one. Rules keep no state; the mirror book owns the last applied id.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

from tradewind.venues.market_data import BookDelta


class Verdict(Enum):
    """What to do with an update."""

    APPLY = auto()
    DUPLICATE = auto()
    GAP = auto()


class SequenceRule(Protocol):
    """One venue's continuity rule."""

    name: str
    buffers_before_snapshot: bool
    """True when the stream starts before its snapshot (Binance), False when the stream sends one (Kraken)."""
    verifies_checksum: bool

    def bridge(self, delta: BookDelta, local_id: int) -> Verdict: ...

    def follow(self, delta: BookDelta, local_id: int) -> Verdict: ...

    def expected_id(self, local_id: int) -> int: ...


class BinanceSpotRule:
    """Each event needs U <= local + 1 <= u; older is a duplicate, newer is a gap."""

    name = "binance-spot"
    buffers_before_snapshot = True
    verifies_checksum = False

    def bridge(self, delta: BookDelta, local_id: int) -> Verdict:
        return self.follow(delta, local_id)

    def follow(self, delta: BookDelta, local_id: int) -> Verdict:
        if delta.last_id <= local_id:
            return Verdict.DUPLICATE
        return Verdict.APPLY if delta.first_id <= local_id + 1 else Verdict.GAP

    def expected_id(self, local_id: int) -> int:
        return local_id + 1


class BinanceFuturesRule:
    """Ids skip on futures, so continuity is `pu` = previous `u`; the first event must contain the
    snapshot id.
    """

    name = "binance-usdm"
    buffers_before_snapshot = True
    verifies_checksum = False

    def bridge(self, delta: BookDelta, local_id: int) -> Verdict:
        if delta.last_id < local_id:
            return Verdict.DUPLICATE
        contains = delta.first_id <= local_id <= delta.last_id
        return Verdict.APPLY if contains or delta.previous_id == local_id else Verdict.GAP

    def follow(self, delta: BookDelta, local_id: int) -> Verdict:
        if delta.previous_id == local_id:
            return Verdict.APPLY
        return Verdict.DUPLICATE if delta.last_id <= local_id else Verdict.GAP

    def expected_id(self, local_id: int) -> int:
        return local_id


class GaplessRule:
    """Every update carries exactly the next id (generated market, native engine)."""

    name = "gapless"
    buffers_before_snapshot = False
    verifies_checksum = False

    def bridge(self, delta: BookDelta, local_id: int) -> Verdict:
        return self.follow(delta, local_id)

    def follow(self, delta: BookDelta, local_id: int) -> Verdict:
        if delta.last_id <= local_id:
            return Verdict.DUPLICATE
        return Verdict.APPLY if delta.first_id == local_id + 1 else Verdict.GAP

    def expected_id(self, local_id: int) -> int:
        return local_id + 1


class KrakenChecksumRule:
    """Kraken sends no sequence: every update is applied, then proved by its checksum."""

    name = "kraken-checksum"
    buffers_before_snapshot = False
    verifies_checksum = True

    def bridge(self, delta: BookDelta, local_id: int) -> Verdict:
        return Verdict.APPLY

    def follow(self, delta: BookDelta, local_id: int) -> Verdict:
        return Verdict.APPLY

    def expected_id(self, local_id: int) -> int:
        return local_id + 1
