"""What `tradewind up` was asked to run, validated as a whole before anything is opened.

This module is free of every part of the platform, so that a refusal costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

ENVIRONMENTS: Final = ("sim", "paper", "testnet", "canary", "live")
OPEN_ENVIRONMENTS: Final = ("sim", "paper")
FEEDS: Final = ("auto", "live", "replay", "generated")
STRATEGIES: Final = ("market_maker", "mean_reversion", "breakout", "none")
VENUES: Final = ("binance", "kraken")
PARAMETERS: Final = ("demonstration", "honest")
EFFECTIVE_CONFIG: Final = "effective-config.json"
LOOPBACK: Final = "127.0.0.1"
MAX_CASH_LINES: Final = 16
MAX_REPLAY_FILES: Final = 64
MAX_SPEED: Final = 10_000.0
MAX_DURATION_S: Final = 366 * 86_400
MAX_ASSET_DIGITS: Final = 6
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_UNIT_S: Final = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3_600),
    "d": Decimal(86_400),
}
_ASSET: Final = re.compile(r"[A-Z0-9]{1,16}")
_SYMBOL: Final = re.compile(r"[A-Z0-9]{1,16}/[A-Z0-9]{1,16}")
_ADDRESS: Final = re.compile(r"https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?")
_PLAIN_DECIMAL: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")


class ConfigurationRefused(ValueError):
    """The configuration contradicts itself or asks for what it may not have. `code` is stable."""

    def __init__(self, code: str, message: str, causes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.causes = tuple(causes)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpConfiguration:
    """The effective configuration of one start. `speed` None is as fast as possible; `for_s` None is until
    stopped.
    """

    env: str = "paper"
    data: Path = Path("data")
    port: int = 8000
    feed: str = "auto"
    replay: tuple[Path, ...] = ()
    loop: bool = False
    venue: str = "binance"
    speed: float | None = 1.0
    for_s: float | None = None
    candidate: bool = False
    cash: dict[str, Decimal] = field(default_factory=dict)
    symbol: str = "BTC/USDT"
    strategy: str = "market_maker"
    parameters: str = "demonstration"
    profile: str = "paper"
    trader: Path | None = None
    """File that names several strategies; None runs `strategy` on `symbol`."""
    seed: int = 20_240_808
    keepers: bool = True
    leave_orders: bool = False
    """An orderly stop leaves working orders where they are."""
    alert_url: str = ""
    """Where alerts go (Events v2 by POST); empty = the file of the data directory alone."""
    exchange_demo: bool = False
    catalogue: str = ""
    """Address of a venue catalogue whose prices the local sources publish; empty = none."""

    def as_dict(self) -> dict[str, Any]:
        """Canonical form: what `config_hash` is computed over. Holds no secret and no machine path but
        `data`.
        """
        return {
            "env": self.env,
            "data": str(self.data),
            "port": self.port,
            "host": LOOPBACK,
            "feed": {
                "mode": self.feed,
                "venue": self.venue,
                "replay": [one.name for one in self.replay],
                "loop": self.loop,
                "seed": self.seed,
            },
            "speed": "fastest" if self.speed is None else str(Decimal(str(self.speed))),
            "duration": None if self.for_s is None else str(Decimal(str(self.for_s))),
            "candidate": self.candidate,
            "cash": {asset: str(amount) for asset, amount in sorted(self.cash.items())},
            "symbol": self.symbol,
            "strategy": {"name": self.strategy, "parameters": self.parameters},
            "trader": None if self.trader is None else file_hash(self.trader),
            "profile": self.profile,
            "keepers": self.keepers,
            "leave_orders": self.leave_orders,
            "alert_url": self.alert_url,
            "exchange_demo": self.exchange_demo,
            "catalogue": self.catalogue,
        }


def file_hash(path: Path) -> str:
    """Name and digest of a file that belongs to the configuration. Raises `ConfigurationRefused`."""
    try:
        digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError as error:
        raise ConfigurationRefused("BAD_TRADER_FILE", f"{path}: {error.strerror}") from error
    return f"{path.name} {digest}"


def parse_duration_s(text: str) -> float:
    """`90s`, `5m`, `1h30m`, `500ms` in seconds. Raises `ConfigurationRefused`."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ConfigurationRefused("BAD_DURATION", f"{text!r} is not a duration such as 90s, 5m or 1h30m")
    seconds = sum((Decimal(number) * _UNIT_S[unit] for number, unit in parts), Decimal(0))
    if not 0 < seconds <= MAX_DURATION_S:
        raise ConfigurationRefused(
            "BAD_DURATION", f"{text!r} must be more than 0 and at most {MAX_DURATION_S} s"
        )
    return float(seconds)


def parse_cash(lines: Sequence[str]) -> dict[str, Decimal]:
    """Starting funds, one line per asset: `10000 USDT`. Raises `ConfigurationRefused`."""
    if not lines or len(lines) > MAX_CASH_LINES:
        raise ConfigurationRefused("BAD_CASH", f"state 1 to {MAX_CASH_LINES} amounts, such as '10000 USDT'")
    cash: dict[str, Decimal] = {}
    for line in lines:
        amount_text, _, asset = line.strip().partition(" ")
        asset = asset.strip()
        if not _PLAIN_DECIMAL.fullmatch(amount_text) or not _ASSET.fullmatch(asset):
            raise ConfigurationRefused(
                "BAD_CASH", f"{line!r} is not an amount and an asset, such as '10000 USDT'"
            )
        amount = _decimal(amount_text)
        if amount <= 0 or amount != round(amount, MAX_ASSET_DIGITS):
            raise ConfigurationRefused(
                "BAD_CASH", f"{line!r}: the amount must be a positive multiple of 0.000001"
            )
        if asset in cash:
            raise ConfigurationRefused("CONFIG_CONFLICT", f"starting funds of {asset} are stated twice")
        cash[asset] = amount
    return cash


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ConfigurationRefused("BAD_NUMBER", f"{text!r} is not a decimal number") from None


def parse_speed(speed: float) -> float | None:
    """0 means as fast as possible. Raises `ConfigurationRefused` for NaN, infinity, negative or absurd
    values.
    """
    if not 0 <= speed <= MAX_SPEED:
        raise ConfigurationRefused(
            "BAD_SPEED", f"speed {speed} must be from 0 (as fast as possible) to {MAX_SPEED:.0f}"
        )
    return speed or None


def check(configuration: UpConfiguration) -> UpConfiguration:
    """The same configuration, once it is known to be consistent. Raises `ConfigurationRefused` naming each
    cause.
    """
    one = configuration
    _check_choice("env", one.env, ENVIRONMENTS)
    _check_choice("feed", one.feed, FEEDS)
    _check_choice("strategy", one.strategy, STRATEGIES)
    _check_choice("venue", one.venue, VENUES)
    _check_choice("parameters", one.parameters, PARAMETERS)
    if one.speed != 1.0 and one.env != "sim":
        raise ConfigurationRefused(
            "SPEED_NEEDS_SIM", f"{one.env} runs at the speed of its clock; use --env sim"
        )
    if not _SYMBOL.fullmatch(one.symbol):
        raise ConfigurationRefused("BAD_SYMBOL", f"{one.symbol!r} is not a symbol such as BTC/USDT")
    if not 0 <= one.port <= 65_535:
        raise ConfigurationRefused("BAD_PORT", f"port {one.port} is not from 0 (any free port) to 65535")
    if one.catalogue and not _ADDRESS.fullmatch(one.catalogue):
        raise ConfigurationRefused("BAD_ADDRESS", f"{one.catalogue!r} is no http or https address")
    if one.feed == "replay" and not one.replay:
        raise ConfigurationRefused("NO_RECORDING", "--feed replay needs at least one --replay FILE")
    if one.replay and one.feed in ("live", "generated"):
        raise ConfigurationRefused("CONFIG_CONFLICT", f"--replay contradicts --feed {one.feed}")
    if len(one.replay) > MAX_REPLAY_FILES:
        raise ConfigurationRefused(
            "TOO_MANY_FILES", f"{len(one.replay)} files to replay, at most {MAX_REPLAY_FILES}"
        )
    missing = [str(path) for path in one.replay if not path.exists()]
    if missing:
        raise ConfigurationRefused("NO_RECORDING", f"no such file: {', '.join(missing)}")
    _check_quote_funds(one)
    _check_trader(one)
    return one


def _check_trader(one: UpConfiguration) -> None:
    """The trader file is the only place that names strategies, when there is one."""
    given = [
        name
        for name, value, default in (
            ("--strategy", one.strategy, "market_maker"),
            ("--parameters", one.parameters, "demonstration"),
            ("--symbol", one.symbol, "BTC/USDT"),
        )
        if value != default
    ]
    if one.trader is not None and given:
        raise ConfigurationRefused(
            "CONFIG_CONFLICT", f"--trader names the strategies; {' and '.join(given)} contradict it"
        )


def _check_quote_funds(one: UpConfiguration) -> None:
    base, _, quote = one.symbol.partition("/")
    if base in one.cash:
        raise ConfigurationRefused(
            "BAD_CASH",
            f"starting funds in {base} would be a position in {one.symbol} without a cost",
        )
    if quote not in one.cash:
        raise ConfigurationRefused(
            "BAD_CASH", f"the starting funds name no {quote}, the quote asset of {one.symbol}"
        )


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigurationRefused("UNKNOWN_VALUE", f"{name} {value!r} is none of {', '.join(known)}")


def check_environment(one: UpConfiguration) -> None:
    """Whether this environment may start here at all (operations O1.2, O1.3). Raises
    `ConfigurationRefused`.
    """
    if one.candidate:
        raise ConfigurationRefused(
            "CANDIDATE_NOT_BUILT",
            f"a candidate start of {one.env} needs the refusing signer, which is not built yet",
            ("refusing signer: not built",),
        )
    if one.env not in OPEN_ENVIRONMENTS:
        certificate = one.data / "certificates" / f"{one.env}.json"
        present = (
            "cannot be verified: certificate verification is not built"
            if certificate.exists()
            else "is missing"
        )
        causes = [f"certificate {certificate} {present}", f"environment {one.env}: no signer is built"]
        if one.env in ("canary", "live"):
            causes += ["replicated log: not built", "arming token: missing"]
        raise ConfigurationRefused(
            "NO_CERTIFICATE", f"{one.env} does not start without a certificate", causes
        )


def write_effective(data: Path, one: UpConfiguration) -> dict[str, Any]:
    """Leaves the effective configuration in the data directory, where evidence is bound to it. Atomic."""
    content = one.as_dict()
    target = data / EFFECTIVE_CONFIG
    fresh = target.with_suffix(".tmp")
    fresh.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(fresh, target)
    return content
