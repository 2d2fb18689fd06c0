"""Which strategy, with which parameters: found, built anew for every run, and named by its code's hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from tradewind.trader.discovery import find, make, parameters_of, presets
from tradewind.trader.parameters import ParameterSet, as_text, build, perturbations
from tradewind.trader.strategy import Strategy, code_hash

from .errors import BacktestRefused

ENVIRONMENT: Final = "sim"


class Chosen(msgspec.Struct, frozen=True):
    """A strategy with its parameters for one symbol. `code_hash`: of the whole file its class stands in, as
    it was when it was chosen.
    """

    source: str
    symbol: str
    parameters: ParameterSet
    code_hash: str

    def make(self) -> Strategy:
        """A fresh strategy: nothing of an earlier run is left in it."""
        return make(self.source, (self.symbol,), self.values, environment=ENVIRONMENT)

    @property
    def values(self) -> dict[str, str]:
        """Every parameter as text."""
        return {name: as_text(getattr(self.parameters, name)) for name in self.parameters.__struct_fields__}


def choose(source: str, symbol: str, given: Mapping[str, str], preset: str = "default") -> Chosen:
    """`given` over a named parameter set.

    Raises `StrategyError` for a strategy that cannot be loaded, `ParameterError` for a wrong parameter,
    `BacktestRefused` for an unknown parameter set.
    """
    kind = find(source)
    sets = presets(kind)
    if preset not in sets:
        raise BacktestRefused(
            "UNKNOWN_PRESET", f"{source} has no parameter set {preset!r}; {', '.join(sets)}"
        )
    parameters = build(parameters_of(kind), given, base=sets[preset], environment=ENVIRONMENT)
    return Chosen(source, symbol, parameters, code_hash(kind))


def perturbed(chosen: Chosen) -> list[tuple[str, dict[str, str]]]:
    """Every numeric parameter 20 % up and down: a name and the values that are given then."""
    return [
        (f"{one.name} x {one.factor}", {one.name: as_text(getattr(one.parameters, one.name))})
        for one in perturbations(chosen.parameters, environment=ENVIRONMENT)
    ]
