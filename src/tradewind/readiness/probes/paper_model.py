"""A healthy campaign as raw files, for the mutations: broken in one way, its check must be red.

It stands for nothing that ran; it is never evidence. Nobody can wait five days for a mutation.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.trader.campaign.clocks import SECOND_NS, Moment
from tradewind.trader.campaign.drills import plan
from tradewind.trader.campaign.evidence import (
    ALERTS_FILE,
    DRILLS_FILE,
    FILLS_FILE,
    ORDERS_FILE,
    SAMPLES_FILE,
)
from tradewind.trader.campaign.samples import (
    AlertLine,
    ApiFigures,
    DrillLine,
    FeedFigures,
    FillLine,
    LogFigures,
    OrderLine,
    ProcessFigures,
    Sample,
    TradingFigures,
)
from tradewind.trader.campaign.series import encode_line
from tradewind.trader.campaign.state import STATE_FILE, CampaignState, Identity, Life, Provenance
from tradewind.trader.campaign.statistics import Histogram

BEGAN_NS: Final = 1_790_000_000 * SECOND_NS
ORDERS_PER_SAMPLE: Final = 2
DRILL_FIGURES: Final[dict[str, dict[str, float]]] = {
    "kill": {"first_cancel_s": 0.01, "verified_zero_s": 0.2},
    "reconnect": {"recovered_s": 1.2},
    "nonce": {"per_second": 200_000.0},
    "alerts": {"rules": 1.0, "delivered": 1.0},
}
PROFIT_PER_TRADE: Final = Decimal("0.5")

Change = Callable[["Model"], None]


class Model:
    """All lines of a campaign, open to be changed before they are written."""

    def __init__(self, hours: float, *, provenance: Provenance = "real", every_s: float = 60.0) -> None:
        self.random = random.Random(7)  # noqa: S311 a model, not a secret
        self.every_s = every_s
        self.count = int(hours * 3_600 / every_s) + 1
        self.identity = Identity(
            name="20261122-000000-0000",
            hours=hours,
            provenance=provenance,
            environment="paper",
            feed="live:binance",
            symbol="BTC/USDT",
            strategy="market_maker (honest)",
            profile="paper",
            currency="USDT",
            config_hash="0" * 64,
            build="0" * 64,
            host_hash="0" * 64,
            command="tradewind paper start",
        )
        self.samples: list[Sample] = []
        self.orders: list[OrderLine] = []
        self.fills: list[FillLine] = []
        self.drills = [
            DrillLine(
                drill=one.drill, day=one.day, campaign_s=one.due_s, at_ns=BEGAN_NS + int(one.due_s * 1e9),
                ran=True, passed=True, figures=DRILL_FIGURES.get(one.drill, {}),
            )
            for one in plan(hours, provenance)
        ]  # fmt: skip
        equity = Decimal(10_000)
        for index in range(self.count):
            equity += self._trade(index)
            self.samples.append(self._sample(index, equity))

    @property
    def trades(self) -> int:
        """Round trips so far."""
        return len(self.fills) // 2

    def _moment(self, index: int) -> Moment:
        passed_ns = int(index * self.every_s * SECOND_NS)
        return Moment(
            wall_ns=BEGAN_NS + passed_ns,
            monotonic_ns=10**12 + passed_ns,
            boottime_ns=10**12 + passed_ns,
            boot_id="boot",
        )

    def _trade(self, index: int) -> Decimal:
        """A buy and a sell that close each other; one round trip in three samples."""
        at_ns, at_s = self._moment(index).wall_ns, index * self.every_s
        traded = index % 3 == 0 and index > 0
        profit = PROFIT_PER_TRADE + Decimal(self.random.randrange(-20, 21)) / 100 if traded else Decimal(0)
        for number, side in enumerate(("buy", "sell")):
            client_id = f"o{index}-{number}"
            price = Decimal(60_000) + (profit / Decimal("0.001") if side == "sell" else 0)
            self.orders.append(
                OrderLine(
                    what="submit", at_ns=at_ns, campaign_s=at_s, client_id=client_id, symbol="BTC/USDT",
                    side=side, price=f"{price:f}", quantity="0.001",
                )
            )  # fmt: skip
            self.orders.append(
                OrderLine(what="ack", at_ns=at_ns + 10**8, client_id=client_id, latency_ms=100.0)
            )
            if traded:
                self.fills.append(
                    FillLine(
                        at_ns=at_ns + SECOND_NS, campaign_s=at_s, trade_id=f"t{index}-{number}",
                        client_id=client_id, symbol="BTC/USDT", side=side, price=f"{price:f}",
                        quantity="0.001", fee="0", fee_asset="USDT", maker=True, realised="0",
                    )
                )  # fmt: skip
            self.orders.append(
                OrderLine(
                    what="end", at_ns=at_ns + 2 * SECOND_NS, client_id=client_id,
                    state="filled" if traded else "cancelled", symbol="BTC/USDT",
                )
            )  # fmt: skip
        return profit

    def _sample(self, index: int, equity: Decimal) -> Sample:
        moment, at_s = self._moment(index), index * self.every_s
        latency = Histogram()
        for _ in range(8):
            latency.observe(60 + self.random.random() * 40)
        sent = ORDERS_PER_SAMPLE * (index + 1)
        return Sample(
            number=index + 1,
            life=1,
            campaign_s=at_s,
            wall_ns=moment.wall_ns,
            monotonic_ns=moment.monotonic_ns,
            boottime_ns=moment.boottime_ns,
            boot_id=moment.boot_id,
            process_age_s=5.0 + at_s,
            process=ProcessFigures(
                rss_bytes=120_000_000 + self.random.randrange(-400_000, 400_000),
                heap_bytes=20_000_000 + self.random.randrange(-90_000, 90_000),
                python_blocks=500_000 + self.random.randrange(-900, 900),
                cpu_s=0.1 * at_s,
                descriptors=24 + self.random.randrange(2),
                tasks=14 + self.random.randrange(2),
                threads=4,
                descriptor_limit=20_000,
                cpu_limit=2.0,
                disk_free_bytes=80 * 10**9,
                disk_total_bytes=250 * 10**9,
            ),
            logs=LogFigures(
                log_bytes=1_000 * index,
                log_file_max_bytes=min(9_000_000, 1_000 * index),
                log_rotations=int(at_s // 43_200),
                log_dropped=0,
                log_failed=0,
                journal_bytes=67_108_864 + 200_000 * index,
                journal_blocks=10 * index,
                journal_seq=100 * index,
                heartbeat_gap_s=2.0,
            ),
            feed=FeedFigures(
                label="live:binance",
                watched_s=self.every_s if index else 0.0,
                live_s=self.every_s if index else 0.0,
                private_live_s=self.every_s if index else 0.0,
                frames=100 * index,
                events=100 * index,
                gaps=0,
                reconnects=int(at_s // 21_600),
                planned_reconnects=int(at_s // 21_600),
                resynced=int(at_s // 21_600),
            ),
            trading=TradingFigures(
                submits=sent,
                acks=sent,
                preventable_rejects=0,
                venue_rejects=0,
                nonce_rejects=0,
                uncertain=0,
                denied=0,
                unknown_open=0,
                unknown_max_s=0.3,
                fills=len(self.fills),
                ledger_fills=len(self.fills),
                trade_through=0,
                suspense=0,
                orders_open=0,
                signals=sent,
                ledger_differences=0,
                reconciliation_breaks=0,
                violations=0,
                breaches=0,
                equity=f"{equity:f}",
                net_pnl="0",
                fees="0",
                turnover="0",
                mirror_updates=600 * index,
                mirror_forced=0,
                mirror_refused=0,
                state="normal",
            ),
            api=ApiFigures(requests=30, errors={}, latency=latency, wire_floor_ms=70.0),
        )

    def state(self) -> CampaignState:
        """As the last life left it."""
        first, last = self._moment(0), self._moment(self.count - 1)
        life = Life(number=1, pid=1, started_ticks=1, first=first, last=last, ended="finished")
        return CampaignState(identity=self.identity, created_ns=BEGAN_NS, lives=[life], finished=True)

    def change(self, index: int, part: str, **values: Any) -> None:
        """Other figures in one part (`process`, `trading`, …, or "" for the sample itself) of one sample."""
        sample = self.samples[index]
        if part:
            values = {part: msgspec.structs.replace(getattr(sample, part), **values)}
        self.samples[index] = msgspec.structs.replace(sample, **values)

    def files(self) -> dict[str, bytes]:
        """The raw files."""
        return {
            STATE_FILE: msgspec.json.encode(self.state()),
            SAMPLES_FILE: b"".join(encode_line(one) for one in self.samples),
            ORDERS_FILE: b"".join(encode_line(one) for one in self.orders),
            FILLS_FILE: b"".join(encode_line(one) for one in self.fills),
            DRILLS_FILE: b"".join(encode_line(one) for one in self.drills),
            ALERTS_FILE: encode_line(AlertLine(at_ns=BEGAN_NS, campaign_s=1.0, text="TRADING_HALTED")),
        }


def broken(hours: float, change: Change, **options: Any) -> dict[str, bytes]:
    """The raw files of a healthy campaign after one change."""
    model = Model(hours, **options)
    change(model)
    return model.files()
