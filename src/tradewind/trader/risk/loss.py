"""Daily loss (T11.5), total loss of the stage and drawdown (T11.6), evaluated on realised marks; pure but for
the numbers it remembers.
"""

from __future__ import annotations

import datetime
from decimal import Decimal

import msgspec

from ..records import DayBase, HighWater
from .profile import Limits
from .records import StageStart

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
WARNINGS_PCT = (50, 80)
STEP_NAMES = ("none", "warn", "half size", "reduce only", "halt")


def utc_day(now_ns: int) -> str:
    """The UTC date of a moment."""
    return datetime.datetime.fromtimestamp(now_ns // SECOND_NS, datetime.UTC).date().isoformat()


def next_day_ns(now_ns: int) -> int:
    """The first nanosecond of the following UTC day."""
    return (now_ns // DAY_NS + 1) * DAY_NS


class LossGuard:
    """Base of the day, high-water equity and drawdown step. Deposits and withdrawals move base and high
    water.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.base: DayBase | None = None
        self.high_water: Decimal | None = None
        self.step = 0
        self.stage: StageStart | None = None
        self.warned_pct = 0

    def apply(self, record: DayBase | HighWater | StageStart) -> None:
        """Fold a record into the guard (recovery)."""
        if isinstance(record, DayBase):
            self.base = record
            self.warned_pct = 0
            self._raise_high_water(record.equity)
        elif isinstance(record, StageStart):
            self.stage = record
        else:
            self.high_water = record.equity
            self.step = record.step

    def restore(self, base: DayBase | None, high_water: str | None, step: int) -> None:
        """Become what a checkpoint says."""
        self.base = base
        self.high_water = None if high_water is None else Decimal(high_water)
        self.step = step

    def mark(
        self, equity: Decimal, strategy_pnl: dict[str, Decimal], now_ns: int
    ) -> DayBase | HighWater | None:
        """A Known mark. Returns the record to journal when a day began or a drawdown step was reached."""
        day = utc_day(now_ns)
        if self.base is None or self.base.day < day:
            base = DayBase(day=day, equity=equity, strategy_pnl=strategy_pnl, at_ns=now_ns)
            self.apply(base)
            return base
        self._raise_high_water(equity)
        step = self._step(equity)
        if step > self.step:
            assert self.high_water is not None
            self.step = step
            return HighWater(equity=self.high_water, step=step, at_ns=now_ns)
        return None

    def begin_stage(
        self, stage: str, equity: Decimal, now_ns: int, *, actor: str = "", second: str = ""
    ) -> StageStart | None:
        """The total loss counts from here. Returns the record to journal; None when this stage counts already
        (a restart or midnight begins nothing anew).
        """
        if self.stage is not None and self.stage.stage == stage:
            return None
        record = StageStart(stage=stage, equity=equity, at_ns=now_ns, actor=actor, second=second)
        self.apply(record)
        return record

    def flow(self, amount: Decimal) -> None:
        """Funds in (positive) or out: neither a profit nor a loss."""
        if self.stage is not None:
            self.stage = msgspec.structs.replace(self.stage, equity=self.stage.equity + amount)
        if self.base is not None:
            base = self.base
            self.base = DayBase(
                day=base.day, equity=base.equity + amount, strategy_pnl=base.strategy_pnl, at_ns=base.at_ns
            )
        if self.high_water is not None:
            self.high_water += amount

    def step_down(self, now_ns: int) -> HighWater:
        """One operator action lowers the drawdown step by one."""
        self.step = max(0, self.step - 1)
        return HighWater(equity=self.high_water or Decimal(0), step=self.step, at_ns=now_ns)

    @property
    def limit(self) -> Decimal | None:
        """Largest loss of the day in quote units, the tighter of amount and part of equity; None without a
        base.
        """
        if self.base is None:
            return None
        part = self.base.equity * self.limits.daily_loss_pct / 100
        amount = self.limits.daily_loss_quote
        return part if amount is None else min(part, amount)

    def is_based(self, now_ns: int) -> bool:
        """Whether the day has its mark. Behind midnight yesterday's does not count any more; a clock that
        went back keeps the newer one.
        """
        return self.base is not None and self.base.at_ns // DAY_NS >= now_ns // DAY_NS

    def loss(self, equity: Decimal) -> Decimal | None:
        """Loss since the day's base; negative is a profit; None without a base."""
        return None if self.base is None else self.base.equity - equity

    def tripped(self, equity: Decimal) -> bool:
        """Whether the realised mark is beyond the limit (equal is not)."""
        loss, limit = self.loss(equity), self.limit
        return loss is not None and limit is not None and loss > limit

    def total_loss(self, equity: Decimal) -> Decimal | None:
        """Loss since the stage began; negative is a profit; None before it began."""
        return None if self.stage is None else self.stage.equity - equity

    def total_tripped(self, equity: Decimal) -> bool:
        """Whether the cumulative loss has reached its limit: equal is reached, so that no more than the limit
        is ever lost before the halt.
        """
        loss, limit = self.total_loss(equity), self.limits.total_loss_quote
        return loss is not None and limit is not None and loss >= limit

    def warning(self, equity: Decimal) -> int | None:
        """The part of the day's limit, 50 or 80 %, that was reached since the last call; once a day each."""
        loss, limit = self.loss(equity), self.limit
        if loss is None or not limit:
            return None
        reached = max((part for part in WARNINGS_PCT if loss * 100 >= limit * part), default=0)
        if reached <= self.warned_pct:
            return None
        self.warned_pct = reached
        return reached

    def strategy_loss(self, strategy: str, pnl: Decimal) -> Decimal:
        """The strategy's loss since the day's base."""
        start = self.base.strategy_pnl.get(strategy, Decimal(0)) if self.base else Decimal(0)
        return start - pnl

    @property
    def strategy_limit(self) -> Decimal | None:
        """Largest daily loss of one strategy in quote units."""
        return None if self.base is None else self.base.equity * self.limits.max_strategy_loss_pct / 100

    @property
    def size_multiplier(self) -> Decimal:
        """What sizes are multiplied with on the present drawdown step."""
        return Decimal("0.5") if self.step >= 2 else Decimal(1)

    def _raise_high_water(self, equity: Decimal) -> None:
        if self.high_water is None or equity > self.high_water:
            self.high_water = equity

    def _step(self, equity: Decimal) -> int:
        if not self.high_water or self.high_water <= 0:
            return 0
        drawdown_pct = (self.high_water - equity) * 100 / self.high_water
        limits = self.limits
        ladder = (
            limits.drawdown_warn_pct,
            limits.drawdown_half_size_pct,
            limits.drawdown_reduce_only_pct,
            limits.drawdown_halt_pct,
        )
        return sum(1 for bound in ladder if drawdown_pct >= bound)
