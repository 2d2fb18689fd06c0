"""Suite `ingestion`: a new price of every market that is linked to an outside venue, in batches."""

from __future__ import annotations

import struct
import time
from typing import Final

from tradewind.core import commands
from tradewind.core.engine import Engine, GenesisConfig, Grant
from tradewind.core.enums import MarketKind, Role
from tradewind.core.native import derive_account_id
from tradewind.lab.bench.context import Context, Figures, MeasureFailed, percentile

START_NS: Final = 1_700_000_000_000_000_000
DAY_NS: Final = 86_400 * 10**9
CYCLE_NS: Final = 60 * 10**9
SETTING_UP: Final = 500
BATCH: Final = 1_000
"""Items of one PublishVenueBatch (P6.7.1)."""
WHOLE: Final = 1_000_000
"""A probability of 1 in ppm."""
SPREAD: Final = 2_000
SYSTEM, OPERATOR, VENUE = bytes([1] * 32), bytes([2] * 32), bytes([3] * 32)
USDC: Final = 0


class World:
    """An engine with linked outcome markets."""

    def __init__(self, markets: int) -> None:
        until_ns = START_NS + 360 * DAY_NS
        roles = {SYSTEM: Role.SYSTEM, OPERATOR: Role.OPERATOR, VENUE: Role.ORACLE}
        grants = [Grant(key, role, until_ns) for key, role in roles.items()]
        self.engine = Engine(GenesisConfig(START_NS, grants), audit=False)
        self.markets = markets
        self.now_ns = START_NS
        self._keys = iter(range(1, 1 << 62))
        owner = derive_account_id(OPERATOR)
        self._set_up(
            [
                commands.register_asset(principal=OPERATOR, client_key=self._key(), symbol="USDC"),
                commands.open_account(principal=OPERATOR, client_key=self._key(), owner_key=OPERATOR),
            ]
        )
        self._set_up([self._market(owner, number) for number in range(markets)])
        self._set_up([self._link(market) for market in range(markets)])

    def diff(self, cycle: int) -> list[bytes]:
        """A new price for every market: batches of 1,000."""
        found = []
        for first in range(0, self.markets, BATCH):
            count = min(BATCH, self.markets - first)
            number = self.now_ns + first
            head = commands.build(
                "PublishVenueBatch", principal=VENUE, client_key=self._key(), batch=number, count=count
            )
            found.append(head)
            found += [self._item(market, cycle, number) for market in range(first, first + count)]
        return found

    def apply(self, records: list[bytes]) -> int:
        """ns that the engine took.

        Raises:
            MeasureFailed: a command was refused.
        """
        return self._timed(records)[0]

    def publish(self, cycle: int) -> int:
        """ns that a new price of every market took.

        Raises:
            MeasureFailed: a command was refused, or a quote was skipped.
        """
        records = self.diff(cycle)
        elapsed, values = self._timed(records)
        # An item answers with the code that it was skipped for, 0 when it stands; a batch's head is no item.
        skipped = sum(value != 0 for place, value in enumerate(values) if place % (BATCH + 1))
        if skipped:
            raise MeasureFailed(f"{skipped} of {self.markets} quotes were skipped")
        return elapsed

    def _timed(self, records: list[bytes]) -> tuple[int, list[int]]:
        self.now_ns += CYCLE_NS
        begin = time.perf_counter_ns()
        results = self.engine.submit(records, self.now_ns)
        elapsed = time.perf_counter_ns() - begin
        refused = [result for result in results if not result.accepted]
        if refused:
            raise MeasureFailed(f"{len(refused)} of {len(results)} commands were refused: {refused[0]}")
        return elapsed, [result.value for result in results]

    def _set_up(self, records: list[bytes]) -> None:
        for start in range(0, len(records), SETTING_UP):
            self.apply(records[start : start + SETTING_UP])

    def _market(self, account: bytes, nonce: int) -> bytes:
        return commands.create_market(
            principal=OPERATOR, account=account, client_key=self._key(), nonce=nonce, base=USDC, quote=USDC,
            tick_size=1_000, lot_size=1_000, market_kind=MarketKind.OUTCOME, outcome_count=2,
            settle_time_ns=START_NS + 300 * DAY_NS,
        )  # fmt: skip

    def _link(self, market: int) -> bytes:
        return commands.build(
            "LinkVenue", principal=OPERATOR, client_key=self._key(), market=market,
            condition=(market + 1).to_bytes(32, "big"), source=VENUE,
        )  # fmt: skip

    def _item(self, market: int, cycle: int, number: int) -> bytes:
        bid = 400_000 + (market * 37 + cycle * 11) % 200_000
        asks, bids = (bid + SPREAD, WHOLE - bid), (bid, WHOLE - bid - SPREAD)
        return commands.build(
            "VenueItem", principal=VENUE, client_key=self._key(), market=market, first=0, quotes=2,
            liquidity=50_000 * 10**6, venue_time_ns=self.now_ns, source_seq=number,
            bids=struct.pack("<5I", *bids, 0, 0, 0), asks=struct.pack("<5I", *asks, 0, 0, 0),
        )  # fmt: skip

    def _key(self) -> bytes:
        return next(self._keys).to_bytes(16, "little")


def run(context: Context) -> Figures:
    """Time to apply a new price of every market: median and maximum of several cycles, in ms."""
    wanted = context.effort.idle_markets
    context.tell(f"{wanted:,} linked markets")
    world = World(wanted)
    context.tell("quotes of every market")
    cycles = max(3, context.effort.repeats)
    # The first cycle makes the quotes, later ones change them.
    taken = [world.publish(cycle) for cycle in range(cycles + 1)][1:]
    whole = wanted == 21_000
    return {
        "markets": wanted,
        "diff_21000_p50_ms": round(percentile(taken, 0.5) / 1e6, 2) if whole else None,
        "diff_21000_max_ms": round(max(taken) / 1e6, 2) if whole else None,
        "ns_per_quote": round(percentile(taken, 0.5) / wanted, 1),
    }
