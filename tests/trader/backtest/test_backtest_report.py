"""A whole back-test: the same bytes every time, honest labels, no ratios below 30 trades, all or nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from backtest_world import START_NS

from tradewind.trader.backtest import metrics, report
from tradewind.trader.backtest.document import INSUFFICIENT, Findings, document, labels
from tradewind.trader.backtest.errors import BacktestRefused
from tradewind.trader.backtest.examine import Wish, examine
from tradewind.trader.backtest.metrics import capacity, grid
from tradewind.trader.backtest.plots import draw_all
from tradewind.trader.discovery import StrategyError
from tradewind.trader.parameters import ParameterError
from tradewind.venues.paper.latency import LatencyConfig

QUICK = {
    "cost_gate": "report", "layers": "1", "base_half_bps": "0.4", "min_half_bps": "0.2",
    "sigma_multiplier": "0",
    "layer_step_bps": "0.4", "max_skew_bps": "2", "refresh_bps": "0.4", "min_refresh_ms": "500",
    "max_messages_per_refresh": "8",
}  # fmt: skip
OWN = """
from decimal import Decimal
from typing import Annotated

from tradewind.trader.parameters import ParameterSet, bounded
from tradewind.trader.strategy import Manifest, PlaceIntent, StrategyBase
from tradewind.venues.market_data import Side


class MineParameters(ParameterSet, frozen=True):
    lots: Annotated[int, bounded(1, 100, text="size")] = 1


class Mine(StrategyBase):
    Parameters = MineParameters

    def __init__(self, symbols, parameters=None, *, environment="sim"):
        self.lots = (parameters or MineParameters()).lots
        self.manifest = Manifest(
            name="mine", version="1", symbols=symbols, expected_holding_s=60, expected_edge_bps=Decimal(1),
            cost_model="none", max_loss_pct=Decimal(1), data=("book",),
        )

    def on_book(self, context, book):
        if context.orders:
            return []
        price = book.bids[0][0] - 50
        return [PlaceIntent(symbol=book.symbol, side=Side.BUY, price_ticks=price, lots=self.lots)]
"""
LOW = """name = "low"
venue = "binance"
maker_bps = "1"
taker_bps = "10"
source = "test"
checked_on = "never"
venue_states_zero_fee = false
"""


def wish(tmp_path: Path, seconds: int = 60, **changes: object) -> Wish:
    given = {
        "strategy": "market_maker", "sources": (f"generated:{seconds}:5",), "values": QUICK,
        "latency": LatencyConfig(entry_median_ms=5, entry_p99_ms=20), "trial_log": tmp_path / "trials.jsonl",
        **changes,
    }  # fmt: skip
    return Wish(**given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return examine(wish(tmp_path_factory.mktemp("found"), 900))


def test_every_file_of_the_report_is_the_same_on_a_second_run(tmp_path: Path) -> None:
    contents = []
    for folder in ("one", "two"):
        one = examine(wish(tmp_path))
        report.write(one, tmp_path / folder, draw_all(one))
        contents.append({path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()})
    assert contents[0] == contents[1]
    assert {"report.html", "report.md", "result.json", "trades.csv", "orders.csv", "equity.csv"} < set(
        contents[0]
    )
    assert b"data:image/png;base64," in contents[0]["report.html"]
    assert b"http" not in contents[0]["report.html"].replace(b"http-equiv", b"")


def test_net_is_gross_less_the_parts_and_what_the_ledger_earned(found: Findings) -> None:
    parts = found.results.attribution
    assert parts.gross - parts.costs == parts.net
    facts = found.facts
    assert facts.final_cash + facts.final_position * found.results.open_mark - facts.cash == parts.net
    assert found.results.equity[-1].equity == facts.cash + parts.net
    assert parts.fees == sum((one.fee for one in facts.fills), Decimal(0))
    assert len(found.results.trades) >= 30, "the run must trade to show ratios"


def test_numbers_that_do_not_agree_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = metrics.executions_of

    def wrong(facts: object, quotes: object) -> list[object]:
        first, *rest = true(facts, quotes)  # type: ignore[arg-type]
        return [msgspec.structs.replace(first, fee=first.fee + Decimal("0.000001")), *rest]

    monkeypatch.setattr(metrics, "executions_of", wrong)
    with pytest.raises(BacktestRefused) as refused:
        examine(wish(tmp_path))
    assert refused.value.code == "NOT_RECONCILED"


def test_below_30_trades_no_ratio_is_printed(tmp_path: Path) -> None:
    content = document(examine(wish(tmp_path, 20)))
    assert content["result"]["trades"] < 30
    assert set(content["ratios"]) == {"n", "note"}
    assert content["result"]["win_rate"] is None
    assert any(one.startswith(f"{INSUFFICIENT}:") for one in content["labels"])
    assert not content["admission"]["admitted"]


def test_with_30_trades_every_number_has_n_and_interval(found: Findings) -> None:
    content = document(found)
    mean = content["result"]["mean_per_trade_bps"]
    assert mean["low_95"] <= mean["mean"] <= mean["high_95"]
    assert mean["n"] == content["ratios"]["n"] >= 30
    assert {"psr", "dsr", "trials", "minimum_track_record_trades", "sharpe_365d", "sortino_365d"} <= set(
        content["ratios"]
    )
    assert set(content["result"]["capacity_quote"]) == {"25 bps", "50 bps", "100 bps"}
    for key in ("walk_forward", "folds"):
        assert content["out_of_sample"][key]["segments"]


def test_fees_below_the_account_s_schedule_make_the_result_invalid(tmp_path: Path) -> None:
    schedule = tmp_path / "low.toml"
    schedule.write_text(LOW)
    one = examine(wish(tmp_path, 20, schedule=str(schedule)))
    assert "invalid: fees below the account's schedule" in labels(one)
    condition = next(each for each in one.admission.conditions if each.name == "fees")
    assert condition.passed is False
    same = examine(wish(tmp_path, 20, schedule=str(schedule), account_schedule=str(schedule)))
    assert not same.fees_low


def test_a_second_look_at_the_same_data_is_in_sample_and_deflates(tmp_path: Path) -> None:
    first = examine(wish(tmp_path, 20))
    second = examine(wish(tmp_path, 20, values={**QUICK, "base_half_bps": "0.6"}))
    again = examine(wish(tmp_path, 20))
    assert (first.trials.trials, second.trials.trials, again.trials.trials) == (1, 2, 2)
    assert first.first_look and again.first_look
    assert not second.first_look
    assert any(one.startswith("in-sample") for one in labels(second))
    outside = next(one for one in second.admission.conditions if one.name == "out of sample")
    assert outside.passed is False and outside.found.startswith("0:")


def test_a_strategy_of_one_s_own_is_run_from_its_file(tmp_path: Path) -> None:
    source = tmp_path / "mine.py"
    source.write_text(OWN)
    first = examine(wish(tmp_path, 20, strategy=f"{source}:Mine", values={"lots": "3"}))
    assert first.facts.decisions
    assert first.chosen.values == {"lots": "3"}
    source.write_text(OWN.replace("- 50", "- 60"))
    second = examine(wish(tmp_path, 20, strategy=f"{source}:Mine", values={"lots": "3"}))
    assert second.chosen.code_hash != first.chosen.code_hash
    assert second.trials.trials == 2


def test_a_generated_market_admits_nothing(found: Findings) -> None:
    condition = next(one for one in found.admission.conditions if one.name == "recorded data")
    assert condition.passed is False
    assert not found.admission.admitted


def test_what_was_not_checked_admits_nothing_and_is_named(found: Findings) -> None:
    open_ones = {one.name for one in found.admission.conditions if one.passed is None}
    assert open_ones == {"look-ahead", "perturbed parameters"}


def test_a_report_replaces_a_report_and_nothing_else(tmp_path: Path, found: Findings) -> None:
    folder = tmp_path / "report"
    report.write(found, folder, {})
    (folder / "result.json").write_text("old")
    report.write(found, folder, {})
    assert json.loads((folder / "result.json").read_text())["run"] == found.run_id
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(BacktestRefused) as refused:
        report.write(found, tmp_path / "mine", {})
    assert refused.value.code == "FOLDER_IN_USE"


def test_a_write_that_fails_leaves_the_earlier_report(
    tmp_path: Path, found: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "report"
    report.write(found, folder, {})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_bytes = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name == "equity.csv":
            raise OSError(28, "No space left on device")
        return write_bytes(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="space"):
        report.write(found, folder, {})
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"strategy": "nobody"}, StrategyError, "nobody"),
        ({"preset": "nothing"}, BacktestRefused, "nothing"),
        ({"values": {"layers": "99"}}, ParameterError, "layers"),
        ({"values": {"no_such": "1"}}, ParameterError, "no_such"),
        ({"cash": Decimal(1)}, BacktestRefused, "cash"),
        ({"cash": Decimal("NaN")}, BacktestRefused, "cash"),
        ({"symbol": "ETH/USDT"}, BacktestRefused, "ETH/USDT"),
    ],
)
def test_a_wrong_wish_runs_nothing_and_is_no_trial(
    tmp_path: Path, changes: dict[str, object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        examine(wish(tmp_path, 20, **changes))
    assert not (tmp_path / "trials.jsonl").exists()


def test_capacity_grows_with_the_square_of_the_impact_and_is_unknown_without_a_market() -> None:
    assert capacity(50, 200, 1e6) == pytest.approx(4 * capacity(25, 200, 1e6))  # type: ignore[operator]
    assert capacity(200, 200, 1e6) == pytest.approx(1e6)
    assert capacity(25, None, 1e6) is None
    assert capacity(25, 200, None) is None


def test_the_grid_of_the_equity_includes_the_end() -> None:
    assert grid(START_NS, START_NS + 25, 10) == [START_NS, START_NS + 10, START_NS + 20, START_NS + 25]
