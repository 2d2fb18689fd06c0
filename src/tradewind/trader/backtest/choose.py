"""Which strategy, with which parameters: found, built anew for every run, and named by its code's hash."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tradewind.trader.parameters import ParameterError, ParameterSet, as_text, build, perturbations
from tradewind.trader.strategies.market_making import MarketMaking, MarketMakingParameters
from tradewind.trader.strategy import Strategy

from .errors import BacktestRefused

ENVIRONMENT: Final = "sim"


class Chosen(msgspec.Struct, frozen=True):
    """A strategy class with its parameters for one symbol."""

    source: str
    symbol: str
    kind: Any
    parameters: Any

    def make(self) -> Strategy:
        """A fresh strategy: nothing of an earlier run is left in it."""
        made: Strategy = self.kind(self.symbol, self.parameters, environment=ENVIRONMENT)
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


def choose(source: str, symbol: str, given: Mapping[str, str]) -> Chosen:
    """Raises `BacktestRefused` for an unknown strategy, `ParameterError` for a wrong parameter."""
    if source not in {"market_maker", "market_making"}:
        raise BacktestRefused("UNKNOWN_STRATEGY", f"no strategy {source!r}")
    parameters = msgspec.convert(dict(given), MarketMakingParameters, strict=False)
    parameters.validate(ENVIRONMENT)
    return Chosen(source, symbol, MarketMaking, parameters)


def perturbed(chosen: Chosen) -> list[tuple[str, dict[str, str]]]:
    """Every numeric parameter 20 % up and down: a name and the values that are given then."""
    if not isinstance(chosen.parameters, ParameterSet):
        return []
    return [
        (f"{one.name} x {one.factor}", {one.name: as_text(getattr(one.parameters, one.name))})
        for one in perturbations(chosen.parameters, environment=ENVIRONMENT)
    ]


__all__ = ["Chosen", "ParameterError", "build", "choose", "perturbed"]
