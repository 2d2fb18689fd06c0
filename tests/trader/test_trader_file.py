"""The trader file: read as a whole, refused with every cause."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hosting_world import BTC, ETH

from tradewind.cli.starting import configure
from tradewind.config import ConfigurationRefused
from tradewind.trader.risk.profile import load_profile
from tradewind.trader.trader_file import TraderFileRefused, check_trader_file, read_trader_file

GOOD = """
[[strategy]]
name = "maker-btc"
source = "market_maker"
symbols = ["BTC/USDT"]
budget_pct = "40"
preset = "demonstration"
parameters = { layers = 2, base_half_bps = "1.5" }

[[strategy]]
name = "quiet"
source = "none"
symbols = ["BTC/USDT", "ETH/USDT"]
budget_pct = 60
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "trader.toml"
    path.write_text(text)
    return path


def test_a_good_file_gives_named_strategies_with_budgets_and_parameters(tmp_path: Path) -> None:
    read = read_trader_file(write(tmp_path, GOOD))
    assert (read.symbols, read.outside) == ((BTC, ETH), ())
    maker, quiet = read.hosted("paper", load_profile("paper"))
    assert (maker.name, maker.budget_pct, quiet.budget_pct) == ("maker-btc", Decimal(40), Decimal(60))
    assert maker.strategy.parameters.layers == 2  # type: ignore[attr-defined]
    assert maker.fresh is not None
    assert maker.fresh().manifest == maker.strategy.manifest
    assert quiet.strategy.manifest.symbols == (BTC, ETH)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(TraderFileRefused) as caught:
        check_trader_file(write(folder, text), "paper", load_profile("paper"))
    return "\n".join(caught.value.causes)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("budget_pct = 60", "budget_pct = 61", "sum to 101 %"),
        ('name = "quiet"', 'name = "maker-btc"', "two strategies"),
        ('name = "quiet"', "", "name is missing"),
        ('source = "none"', 'source = "nothing_like_it"', "none of this name"),
        ('"ETH/USDT"]', '"XRP/USDT"]', "no limits of XRP/USDT"),
        ('"ETH/USDT"]', '"BTC/USDT"]', "twice"),
        ("layers = 2", "layers = 99", "layers"),
        ("layers = 2", "layer = 2", "no parameter 'layer'"),
        ("budget_pct = 60", "budget_pct = 60.5", "quoted decimal"),
        ("budget_pct = 60", 'budget_pct = "NaN"', "above 0"),
        ("budget_pct = 60", "", "budget_pct is missing"),
        ("budget_pct = 60", "budget_pct = 60\ncolour = 1", "unknown key 'colour'"),
        ("budget_pct = 60", 'budget_pct = 60\noutside = ["BTC/USDT"]', "traded and outside"),
        ('[[strategy]]\nname = "maker', '[settings]\n[[strategy]]\nname = "maker', "unknown key 'settings'"),
        ('[[strategy]]\nname = "maker', '[[strategy\nname = "maker', "Expected"),
        ('preset = "demonstration"', 'preset = "bold"', "no parameter set 'bold'"),
    ],
)
def test_what_is_wrong_is_refused_by_name(tmp_path: Path, before: str, after: str, words: str) -> None:
    assert before in GOOD
    assert words in refused(tmp_path, GOOD.replace(before, after, 1))


def test_all_causes_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("budget_pct = 60", "budget_pct = 0").replace("layers = 2", "layers = 99")
    text = text.replace('name = "quiet"', 'name = "maker-btc"\ncolour = 1').replace(
        '"ETH/USDT"', '"DOGE/USDT"'
    )
    causes = refused(tmp_path, text)
    for words in ("colour", "budget_pct", "two strategies", "DOGE/USDT", "layers"):
        assert words in causes


def test_up_takes_the_file_instead_of_a_strategy_and_refuses_both(tmp_path: Path) -> None:
    fields = dict(
        duration=None, cash=None, default_cash=("10000 USDT",), speed=1.0, data=tmp_path / "data", env="paper"
    )
    good = configure(trader=write(tmp_path, GOOD.replace('BTC/USDT"]', 'ETH/USDT"]')), **fields)  # type: ignore[arg-type]
    assert good.symbol == ETH
    assert "trader.toml" in good.as_dict()["trader"]
    with pytest.raises(ConfigurationRefused, match="contradict"):
        configure(trader=tmp_path / "trader.toml", strategy="none", **fields)  # type: ignore[arg-type]
    bad = write(tmp_path, GOOD.replace("budget_pct = 60", "budget_pct = 90"))
    with pytest.raises(ConfigurationRefused, match="sum to 130") as caught:
        configure(trader=bad, **fields)  # type: ignore[arg-type]
    assert caught.value.code == "BAD_TRADER_FILE"
