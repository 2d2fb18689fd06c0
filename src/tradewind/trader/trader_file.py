"""The trader's configuration file: which strategies run on what, and with which part of the equity.

    [[strategy]]
    name = "maker-btc"
    source = "market_maker"
    symbols = ["BTC/USDT"]
    budget_pct = "40"
    preset = "demonstration"
    parameters = { layers = 2 }

A file that is wrong in any way is refused with every cause at once, before anything is opened.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import msgspec

from .hosting.host import Hosted
from .parameters import ParameterError
from .risk.profile import Profile
from .strategy import Strategy

MAX_FILE_BYTES: Final = 65_536
MAX_STRATEGIES: Final = 32
WHOLE: Final = Decimal(100)
KEYS: Final = ("name", "source", "symbols", "outside", "budget_pct", "preset", "parameters")


class TraderFileRefused(ValueError):
    """A trader file that contradicts itself, the profile or the market; `causes` names everything."""

    code = "TraderFileRefused"

    def __init__(self, place: str, causes: list[str]) -> None:
        self.causes = tuple(causes)
        super().__init__(f"{place}: {'; '.join(causes)}")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One `[[strategy]]`. `budget_pct` is a percentage of the account's equity."""

    name: str
    source: str
    symbols: tuple[str, ...]
    budget_pct: Decimal
    outside: tuple[str, ...] = ()
    preset: str = "default"
    parameters: dict[str, Any] = {}

    def build(self, environment: str) -> Strategy:
        """The strategy. Raises `StrategyError`, `ParameterError`."""
        from . import discovery

        return discovery.make(
            self.source,
            self.symbols,
            self.parameters,
            preset=self.preset,
            environment=environment,
            outside=self.outside,
        )


class TraderFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is consistent in itself."""

    place: str
    hash: str
    entries: tuple[Entry, ...]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every traded symbol, in the order of the file."""
        return tuple(dict.fromkeys(symbol for one in self.entries for symbol in one.symbols))

    @property
    def outside(self) -> tuple[str, ...]:
        """Symbols that are only looked at."""
        named = dict.fromkeys(symbol for one in self.entries for symbol in one.outside)
        return tuple(symbol for symbol in named if symbol not in self.symbols)

    def hosted(self, environment: str, profile: Profile) -> list[Hosted]:
        """Every strategy, built and checked against the profile. Raises `TraderFileRefused`."""
        from .discovery import StrategyError

        causes = list(self._against(profile))
        hosted = []
        for one in self.entries:
            try:
                strategy = one.build(environment)
            except (StrategyError, ParameterError) as error:
                causes.append(f"{one.name}: {error}")
                continue
            fresh = _builder(one, environment)
            hosted.append(Hosted(strategy=strategy, name=one.name, budget_pct=one.budget_pct, fresh=fresh))
        if causes:
            raise TraderFileRefused(self.place, causes)
        return hosted

    def _against(self, profile: Profile) -> Iterator[str]:
        known = profile.limits.symbols
        for one in self.entries:
            for symbol in one.symbols:
                quote = symbol.partition("/")[2]
                if symbol not in known:
                    yield f"{one.name}: profile {profile.name} states no limits of {symbol}"
                elif quote != profile.account.currency:
                    yield f"{one.name}: {symbol} is not quoted in {profile.account.currency}"
        if len(self.symbols) > profile.limits.max_positions_count:
            yield (
                f"{len(self.symbols)} symbols are traded, the profile allows "
                f"{profile.limits.max_positions_count} positions"
            )


def _builder(one: Entry, environment: str) -> Any:
    return lambda: one.build(environment)


def read_trader_file(path: Path) -> TraderFile:
    """The file, consistent in itself. Raises `TraderFileRefused` with every cause."""
    read, causes = _read(path)
    if causes:
        raise TraderFileRefused(str(path), causes)
    return read


def check_trader_file(path: Path, environment: str, profile: Profile) -> TraderFile:
    """The file, checked in itself, against the profile and by building every strategy. Raises
    `TraderFileRefused` with every cause that can be seen at once.
    """
    read, causes = _read(path)
    try:
        read.hosted(environment, profile)
    except TraderFileRefused as error:
        causes += error.causes
    if causes:
        raise TraderFileRefused(str(path), causes)
    return read


def _read(path: Path) -> tuple[TraderFile, list[str]]:
    place = str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TraderFileRefused(place, [f"cannot be read: {error.strerror}"]) from None
    if len(raw) > MAX_FILE_BYTES:
        raise TraderFileRefused(place, [f"has {len(raw)} bytes, at most {MAX_FILE_BYTES} are read"])
    try:
        content = tomllib.loads(raw.decode(), parse_float=_Float)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TraderFileRefused(place, [str(error)]) from None
    causes = [f"unknown key {key!r}" for key in content if key != "strategy"]
    tables = content.get("strategy", [])
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise TraderFileRefused(place, [*causes, "strategies are written as [[strategy]]"])
    if not 1 <= len(tables) <= MAX_STRATEGIES:
        causes.append(f"1 to {MAX_STRATEGIES} strategies are needed, not {len(tables)}")
    entries = [_entry(number + 1, table, causes) for number, table in enumerate(tables)]
    whole = [one for one in entries if one is not None]
    names = Counter(one.name for one in whole)
    causes += [f"two strategies are named {name!r}" for name, count in names.items() if count > 1]
    total = sum((one.budget_pct for one in whole), Decimal(0))
    if total > WHOLE:
        causes.append(f"the budgets sum to {total} % of the equity")
    digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
    return TraderFile(place=path.name, hash=digest, entries=tuple(whole)), causes


class _Float(str):
    """A number with a point as it was written; where money is meant, that is refused."""

    __slots__ = ()


def _entry(number: int, table: dict[str, Any], causes: list[str]) -> Entry | None:
    """One strategy's table, as far as it can be read; what is wrong with it is added to `causes`."""
    name = _text(table, "name", f"strategy {number}", causes)
    where = name or f"strategy {number}"
    causes += [f"{where}: unknown key {key!r}" for key in table if key not in KEYS]
    source = _text(table, "source", where, causes)
    symbols, outside = _texts(table, "symbols", where, causes), _texts(table, "outside", where, causes)
    if not symbols:
        causes.append(f"{where}: symbols are missing")
    causes += [f"{where}: {one} is traded and outside" for one in symbols if one in outside]
    budget = _budget(table.get("budget_pct"), where, causes)
    parameters = table.get("parameters", {})
    if not isinstance(parameters, dict):
        causes.append(f"{where}: parameters is no table")
        parameters = {}
    preset = table.get("preset", "default")
    if not isinstance(preset, str):
        causes.append(f"{where}: preset is no text")
        preset = "default"
    if not (name and source and symbols):
        return None
    return Entry(
        name=name,
        source=source,
        symbols=symbols,
        outside=outside,
        budget_pct=budget,
        preset=preset,
        parameters={
            key: str(value) if isinstance(value, _Float) else value for key, value in parameters.items()
        },
    )


def _text(table: dict[str, Any], key: str, where: str, causes: list[str]) -> str:
    value = table.get(key)
    if isinstance(value, str) and value and not isinstance(value, _Float):
        return value
    causes.append(f"{where}: {key} is missing" if value is None else f"{where}: {key} is no text")
    return ""


def _texts(table: dict[str, Any], key: str, where: str, causes: list[str]) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        causes.append(f"{where}: {key} is no list of texts")
        return ()
    causes += [f"{where}: {one} stands twice in {key}" for one, n in Counter(value).items() if n > 1]
    return tuple(value)


def _budget(value: Any, where: str, causes: list[str]) -> Decimal:
    if value is None:
        causes.append(f"{where}: budget_pct is missing")
        return Decimal(0)
    if isinstance(value, _Float) or not isinstance(value, str | int) or isinstance(value, bool):
        causes.append(f"{where}: write budget_pct as a quoted decimal")
        return Decimal(0)
    try:
        budget = Decimal(value)
    except InvalidOperation:
        budget = Decimal("NaN")
    if not budget.is_finite() or not 0 < budget <= WHOLE:
        causes.append(f"{where}: budget_pct {value!r} must be above 0 and at most 100")
        return Decimal(0)
    return budget
