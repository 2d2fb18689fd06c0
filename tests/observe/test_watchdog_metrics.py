"""Metrics of the watchdog are those of their catalogue; what is not known has no sample."""

from __future__ import annotations

from tradewind.observe.watchdog import WatchdogCollector, render, watchdog_catalogue
from tradewind.trader.watchdog.paths import Rights
from tradewind.trader.watchdog.watch import Mode, Status

UNKNOWN = Status(
    mode=Mode.WATCHING, cause="", core="never", silent_s=1.5, outage_s=None, resting=None, path_age_s=None,
    path_problem="", rights=Rights(trades=None, cancels=True), attempts={}, fired={"core_silent": 2},
    refused_beats={"missing": 3}, pages_pending=0, pages_dropped=0, diary_failures=0,
)  # fmt: skip


def test_every_metric_of_the_catalogue_is_exported_and_no_other() -> None:
    families = {one.name: one for one in WatchdogCollector("kraken", lambda: UNKNOWN).collect()}
    names = {f"{name}_total" if one.type == "counter" else name for name, one in families.items()}
    assert names == set(watchdog_catalogue())


def test_unknown_values_have_no_sample_and_known_ones_have() -> None:
    text = render(WatchdogCollector("kraken", lambda: UNKNOWN)).decode()
    assert "tradewind_watchdog_resting_orders{" not in text
    assert "tradewind_watchdog_path_age_seconds{" not in text
    assert 'tradewind_watchdog_key_right{right="trade"' not in text
    assert 'tradewind_watchdog_key_right{right="cancel",venue="kraken"} 1.0' in text
    assert 'tradewind_watchdog_fired_total{cause="core_silent",venue="kraken"} 2.0' in text
    assert 'tradewind_watchdog_mode{mode="watching",venue="kraken"} 1.0' in text
    assert 'tradewind_watchdog_mode{mode="cancelling",venue="kraken"} 0.0' in text
