"""Metrics of the watchdog's process: names from `watchdog.toml`, values at scrape time."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tradewind.trader.watchdog.watch import Mode, Status

CATALOGUE: Final = "watchdog.toml"
Rows = Mapping[tuple[str, ...], float | None]


def watchdog_catalogue() -> dict[str, dict[str, object]]:
    """The metrics of the watchdog: type, labels, help."""
    source = resources.files(__package__).joinpath(CATALOGUE).read_text(encoding="utf-8")
    return tomllib.loads(source)


class WatchdogCollector(Collector):
    """Reads one watchdog."""

    def __init__(self, venue: str, status: Callable[[], Status]) -> None:
        self._venue, self._status = venue, status

    def collect(self) -> Iterator[Metric]:
        """Every family of the catalogue; a value that is not known has no sample."""
        rows = self._rows(self._status())
        for name, entry in watchdog_catalogue().items():
            labels = entry["labels"]
            assert isinstance(labels, list)
            counter = entry["type"] == "counter"
            kind = CounterMetricFamily if counter else GaugeMetricFamily
            family = kind(name.removesuffix("_total") if counter else name, str(entry["help"]), labels=labels)
            for values, number in rows[name].items():
                if number is not None:
                    family.add_metric([self._venue, *values], number)
            yield family

    @staticmethod
    def _rows(status: Status) -> dict[str, Rows]:
        rights: Rows = {("trade",): status.rights.trades, ("cancel",): status.rights.cancels}
        return {
            "tradewind_watchdog_mode": {(str(mode),): int(mode is status.mode) for mode in Mode},
            "tradewind_watchdog_core_silent_seconds": {(): status.silent_s},
            "tradewind_watchdog_control_outage_seconds": {(): status.outage_s},
            "tradewind_watchdog_resting_orders": {(): status.resting},
            "tradewind_watchdog_path_age_seconds": {(): status.path_age_s},
            "tradewind_watchdog_key_right": rights,
            "tradewind_watchdog_fired_total": _counted(status.fired),
            "tradewind_watchdog_attempts_total": _counted(status.attempts),
            "tradewind_watchdog_heartbeats_refused_total": _counted(status.refused_beats),
            "tradewind_watchdog_pages_pending": {(): status.pages_pending},
            "tradewind_watchdog_pages_dropped_total": {(): status.pages_dropped},
            "tradewind_watchdog_journal_failures_total": {(): status.diary_failures},
        }


def _counted(counts: Mapping[str, int]) -> Rows:
    return {(name,): number for name, number in counts.items()}


def render(collector: WatchdogCollector) -> bytes:
    """The text of one scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry)
