"""Which strategy, with which parameters: found, built anew for every run, and named by its code's hash."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tradewind.trader.parameters import ParameterSet, as_text, build, perturbations
from tradewind.trader.strategies.breakout import Breakout
from tradewind.trader.strategies.market_making import MarketMaking
from tradewind.trader.strategies.mean_reversion import MeanReversion
from tradewind.trader.strategy import Strategy

from .errors import BacktestRefused

ENVIRONMENT: Final = "sim"
SHIPPED: Final[dict[str, Any]] = {
    "market_maker": MarketMaking,
    "mean_reversion": MeanReversion,
    "breakout": Breakout,
}


class Chosen(msgspec.Struct, frozen=True):
    """A strategy class with its parameters for one symbol."""

    source: str
    symbol: str
    kind: Any
    parameters: ParameterSet

    def make(self) -> Strategy:
        """A fresh strategy: nothing of an earlier run is left in it."""
        made: Strategy = self.kind((self.symbol,), self.parameters, environment=ENVIRONMENT)
        return made

    @property
    def code_hash(self) -> str:
        """Of the whole module in which the class is: helpers beside it decide too."""
        module = inspect.getmodule(self.kind)
        source = inspect.getsource(module if module is not None else self.kind)
        return hashlib.blake2b(source.encode(), digest_size=16).hexdigest()

    @property
    def values(self) -> dict[str, str]:
        """Every parameter as text."""
        return {name: as_text(getattr(self.parameters, name)) for name in self.parameters.__struct_fields__}


def find(source: str) -> Any:
    """The strategy's class. Raises `BacktestRefused`."""
    if source not in SHIPPED:
        raise BacktestRefused("UNKNOWN_STRATEGY", f"no strategy {source!r}; there are {', '.join(SHIPPED)}")
    return SHIPPED[source]


def choose(source: str, symbol: str, given: Mapping[str, str]) -> Chosen:
    """Raises `BacktestRefused` for an unknown strategy, `ParameterError` for a wrong parameter."""
    kind = find(source)
    return Chosen(source, symbol, kind, build(kind.Parameters, given, environment=ENVIRONMENT))


def perturbed(chosen: Chosen) -> list[tuple[str, dict[str, str]]]:
    """Every numeric parameter 20 % up and down: a name and the values that are given then."""
    return [
        (f"{one.name} x {one.factor}", {one.name: as_text(getattr(one.parameters, one.name))})
        for one in perturbations(chosen.parameters, environment=ENVIRONMENT)
    ]
