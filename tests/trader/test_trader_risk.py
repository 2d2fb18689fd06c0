"""Trading states latch, loss and drawdown follow marks, and a profile states every limit once (T11.4-T11.6,
T1.6).
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from risk_world import NOW, PROFILE, D, guard

from tradewind.trader.records import DayBase, HighWater, Latch
from tradewind.trader.risk.loss import DAY_NS, next_day_ns, utc_day
from tradewind.trader.risk.profile import PROFILE_DIR, ConfigConflict, ConfigError, load_profile
from tradewind.trader.risk.state import ACCOUNT, LatchError, StateTable, TradingState, symbol_scope

# ---- states --------------------------------------------------------------------------------------


def test_the_most_restrictive_scope_wins_and_a_latch_never_weakens() -> None:
    table = StateTable()
    assert table.effective(symbol_scope("X")) is TradingState.NORMAL
    table.trip(symbol_scope("X"), "a", TradingState.REDUCE_ONLY, reason="r", actor="t", now_ns=1)
    assert table.effective() is TradingState.NORMAL
    assert table.effective(symbol_scope("X")) is TradingState.REDUCE_ONLY
    assert table.trip(ACCOUNT, "b", TradingState.HALTED, reason="r", actor="t", now_ns=2) is not None
    assert table.trip(ACCOUNT, "b", TradingState.REDUCE_ONLY, reason="r", actor="t", now_ns=3) is None
    assert table.effective(symbol_scope("X")) is TradingState.HALTED


def test_a_latch_ends_only_with_a_reason_and_not_before_its_time() -> None:
    table = StateTable()
    table.trip(ACCOUNT, "loss", TradingState.HALTED, reason="r", actor="t", now_ns=1, not_before_ns=10)
    with pytest.raises(LatchError, match="reason"):
        table.clear(ACCOUNT, "loss", reason=" ", actor="op", now_ns=20)
    with pytest.raises(LatchError, match="before"):
        table.clear(ACCOUNT, "loss", reason="ok", actor="op", now_ns=9)
    with pytest.raises(LatchError, match="not restricted"):
        table.clear(ACCOUNT, "other", reason="ok", actor="op", now_ns=20)
    table.clear(ACCOUNT, "loss", reason="ok", actor="op", now_ns=10)
    assert table.effective() is TradingState.NORMAL


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([ACCOUNT, "symbol:X"]),
            st.sampled_from(["a", "b"]),
            st.sampled_from([TradingState.REDUCE_ONLY, TradingState.HALTED]),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_replaying_the_records_gives_the_same_table_and_triggers_only_restrict(
    steps: list[tuple[str, str, TradingState, bool]],
) -> None:
    table, records = StateTable(), []
    for number, (scope, cause, level, clear) in enumerate(steps):
        if clear and table.is_set(scope, cause):
            records.append(table.clear(scope, cause, reason="r", actor="t", now_ns=number))
            continue
        before = table.effective("symbol:X")
        latch = table.trip(scope, cause, level, reason="r", actor="t", now_ns=number)
        assert table.effective("symbol:X") >= before
        if latch is not None:
            records.append(latch)
    again = StateTable()
    for record in records:
        again.apply(msgspec.json.decode(msgspec.json.encode(record), type=Latch))
    assert again.active() == table.active()


# ---- loss and drawdown -----------------------------------------------------------------------------


def test_the_daily_loss_trips_beyond_the_limit_and_a_profit_never_does() -> None:
    loss = guard(PROFILE)
    assert not loss.tripped(D(9_800))
    assert loss.tripped(D("9799.999999"))
    assert not loss.tripped(D(20_000))


def test_the_base_is_fixed_for_the_day_moves_with_flows_and_is_new_on_the_next_utc_day() -> None:
    loss = guard(PROFILE)
    assert loss.mark(D(9_900), {}, NOW + 1) is None
    loss.flow(D(500))
    assert loss.loss(D(10_400)) == 100
    record = loss.mark(D(10_400), {"s": D(-3)}, next_day_ns(NOW))
    assert isinstance(record, DayBase)
    assert (record.equity, record.day) == (D(10_400), utc_day(NOW + DAY_NS))
    assert loss.loss(D(10_400)) == 0


def test_drawdown_steps_latch_upwards_and_come_down_one_by_one() -> None:
    loss = guard(PROFILE)
    steps = [(D(9_501), 0), (D(9_500), 1), (D(9_000), 2), (D(8_800), 3), (D(8_500), 4), (D(9_900), 4)]
    for equity, step in steps:
        record = loss.mark(equity, {}, NOW + 1)
        assert loss.step == step
        assert record is None or isinstance(record, HighWater)
    assert loss.size_multiplier == D("0.5")
    assert [loss.step_down(NOW).step for _ in range(5)] == [3, 2, 1, 0, 0]


# ---- profile -----------------------------------------------------------------------------------------


def test_the_shipped_profile_states_every_limit() -> None:
    content = tomllib.loads((PROFILE_DIR / "paper.toml").read_text())
    assert set(content["limits"]) == set(type(PROFILE.limits).__struct_fields__)
    assert (PROFILE.limits.max_order_notional_quote, PROFILE.limits.equity_cap_quote) == (D(500), None)


@pytest.mark.parametrize("key", sorted(type(PROFILE.limits).__struct_fields__))
def test_a_missing_limit_refuses(tmp_path: Path, key: str) -> None:
    lines = (PROFILE_DIR / "paper.toml").read_text().splitlines()
    if key == "symbols":
        kept = lines[: next(i for i, line in enumerate(lines) if line.startswith("[limits.symbols"))]
    else:
        kept = [line for line in lines if not line.startswith(f"{key} ")]
    path = tmp_path / "p.toml"
    path.write_text("\n".join(kept))
    with pytest.raises(ConfigError, match=key):
        load_profile(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('max_order_notional_quote = "500"', 'max_order_notional_quote = "500"\nmax_ordr_notional = "1"'),
        ('daily_loss_pct = "2.0"', "daily_loss_pct = 2.0"),
        ('daily_loss_pct = "2.0"', 'daily_loss_pct = "NaN"'),
        ('daily_loss_pct = "2.0"', 'daily_loss_pct = "-1"'),
        ('daily_loss_pct = "2.0"', 'daily_loss_pct = "0"'),
        ('daily_loss_pct = "2.0"', 'daily_loss_pct = "two"'),
        ("max_positions_count = 5", "max_positions_count = 0"),
        ('drawdown_warn_pct = "5"', 'drawdown_warn_pct = "50"'),
        ('dead_man = "timer"', 'dead_man = "maybe"'),
        ("[limits]", "[limits"),
    ],
)
def test_an_unknown_key_or_a_value_that_is_no_limit_refuses(tmp_path: Path, old: str, new: str) -> None:
    text = (PROFILE_DIR / "paper.toml").read_text()
    assert old in text
    path = tmp_path / "p.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError):
        load_profile(path)


def test_a_limit_stated_by_two_sources_is_a_conflict(tmp_path: Path) -> None:
    overlay = tmp_path / "o.toml"
    overlay.write_text('[limits]\ndaily_loss_pct = "9"\n')
    with pytest.raises(ConfigConflict, match=r"limits\.daily_loss_pct"):
        load_profile("paper", overlay)
    overlay.write_text('[limits.symbols."XRP/USDT"]\nmax_order_qty_base = "100"\n')
    assert "XRP/USDT" in load_profile("paper", overlay).limits.symbols
    with pytest.raises(ConfigError, match="no risk profile"):
        load_profile("nowhere")
