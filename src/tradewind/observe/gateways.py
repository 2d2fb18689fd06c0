"""Metrics of a process that serves a local venue: names from `gateways.toml`, values at scrape time."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib import resources
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tradewind.gateways.liquidity import Liquidity
from tradewind.gateways.server import Gateway

CATALOGUE: Final = "gateways.toml"


def catalogue() -> dict[str, dict[str, object]]:
    """The metrics of a local venue: type, labels, help."""
    source = resources.files(__package__).joinpath(CATALOGUE).read_text(encoding="utf-8")
    return tomllib.loads(source)


class GatewayCollector(Collector):
    """Reads a gateway, its exchange and its house."""

    def __init__(self, gateway: Gateway, house: Liquidity | None = None) -> None:
        self._gateway, self._house = gateway, house
        self._catalogue = catalogue()

    def collect(self) -> Iterator[Metric]:
        """Every family of the catalogue."""
        gateway, venue = self._gateway, self._gateway.venue
        exchange, node = gateway.exchange, gateway.exchange.node
        yield self._counter(
            "tradewind_gateway_requests_total",
            {(venue, call, str(status)): count for (call, status), count in gateway.requests.items()},
        )
        yield self._counter(
            "tradewind_gateway_unknown_calls_total", {(venue,): sum(gateway.unknown_calls.values())}
        )
        yield self._gauge("tradewind_gateway_connections", {(venue,): len(gateway.sockets)})
        yield self._counter(
            "tradewind_gateway_connections_refused_total", {(venue,): gateway.sockets_refused}
        )
        yield self._counter(
            "tradewind_gateway_faults_total",
            {(venue, str(fault)): count for fault, count in exchange.faults.counts.items()},
        )
        yield self._counter("tradewind_gateway_commands_total", {(venue,): node.commands_committed})
        yield self._gauge("tradewind_gateway_pending_commands", {(venue,): node.pending_commands})
        yield self._gauge("tradewind_gateway_healthy", {(venue,): int(node.healthy)})
        working: dict[tuple[str, ...], int] = {
            (venue, name): exchange.working_count(name) for name in exchange.configuration.accounts
        }
        yield self._gauge("tradewind_gateway_working_orders", working)
        refused = {} if self._house is None else self._house.refused
        yield self._counter(
            "tradewind_gateway_house_refused_total", {(venue, code): n for code, n in refused.items()}
        )

    def _counter(self, name: str, values: dict[tuple[str, ...], int]) -> CounterMetricFamily:
        entry = self._catalogue[name]
        family = CounterMetricFamily(name, str(entry["help"]), labels=_labels(entry))
        for labels, value in values.items():
            family.add_metric(labels, value)
        return family

    def _gauge(self, name: str, values: dict[tuple[str, ...], int]) -> GaugeMetricFamily:
        entry = self._catalogue[name]
        family = GaugeMetricFamily(name, str(entry["help"]), labels=_labels(entry))
        for labels, value in values.items():
            family.add_metric(labels, value)
        return family


def _labels(entry: dict[str, object]) -> list[str]:
    labels = entry["labels"]
    assert isinstance(labels, list)
    return [str(one) for one in labels]


def render(collector: GatewayCollector) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry)
