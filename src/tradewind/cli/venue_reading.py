"""Reading an outside venue for an operator: status, symbols, balances and open orders. Nothing is ever
changed.

Secrets come from a file that only its owner can read, or from the environment; never from arguments. The
key is one for tools: a key that is registered for trading is refused (T3.7).
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import msgspec
import structlog

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.native_venue import NATIVE, address
from tradewind.venues.ccxt_adapter.library import IncompatibleLibrary, MissingExtra, UnknownExchange
from tradewind.venues.connectors import Connector, Opening, SecretMissing, UnknownVenue, connector
from tradewind.venues.market_data import Instrument, Known, Unknown
from tradewind.venues.polymarket.wallet import BadSignature, SigningUnavailable
from tradewind.venues.protocol import (
    Balance,
    Incomplete,
    MarginVenue,
    OrderState,
    Position,
    Venue,
    VenueState,
    VenueStatus,
)
from tradewind.venues.transport.keys import KeyFolder, KeyPurpose
from tradewind.venues.transport.signatures import BadSecret

T = TypeVar("T")
MAX_FILE_BYTES: Final = 65_536
MAX_LINES: Final = 1_000
EXPOSED: Final = stat.S_IRWXG | stat.S_IRWXO
READ_TIMEOUT_S: Final = 60.0
PAUSES_S: Final = (1.0, 2.0)
LINE: Final = re.compile(r"([A-Z][A-Z0-9_]{0,63})=(.*)")
SECTION: Final = re.compile(r"#\s*account\s+(\S+)\s*")
NO_SECTION: Final = ""
URL, SOCKET_URL = "URL", "SOCKET_URL"
EXIT_OF: Final = {VenueState.ONLINE: ExitCode.OK, VenueState.UNKNOWN: ExitCode.CANNOT}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which venue, and where the secrets are."""

    name: str
    data: Path
    url: str | None = None
    credentials: Path | None = None
    account: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue said. `unknown` is why a list is not known; then `rows` is None, not empty."""

    venue: str
    url: str
    rows: list[dict[str, Any]] | None
    unknown: str = ""


# ---- secrets -----------------------------------------------------------------------------------------------


def variable(name: str, field: str) -> str:
    """The environment variable of a secret, for example TRADEWIND_KRAKEN_API_KEY."""
    return f"TRADEWIND_{re.sub('[^A-Z0-9]', '_', name.upper())}_{field}"


def read_file(path: Path, account: str | None) -> dict[str, str]:
    """Names and values of one account in a file of `NAME=value` lines, as `venue serve` writes it.

    Raises:
        CommandFailure: it cannot be read, others can read it, or it does not say which account is meant.
    """
    sections = _sections(path)
    if account is not None:
        if account not in sections:
            known = ", ".join(sorted(one for one in sections if one)) or "none by name"
            raise _bad(f"{path}: no account {account!r}; there are {known}")
        return sections[account]
    if len(sections) > 1:
        raise _bad(f"{path}: several accounts ({', '.join(sorted(sections))}); choose with --account")
    return next(iter(sections.values()), {})


def _sections(path: Path) -> dict[str, dict[str, str]]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _bad(f"{path}: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise _bad(f"{path} is no regular file")
        if about.st_mode & EXPOSED or about.st_uid not in {os.getuid(), 0}:
            message = f"{path} can be read by others, or belongs to somebody else: chmod 600 {path}"
            raise CommandFailure(ExitCode.CONFIG, "CREDENTIALS_EXPOSED", message)
        body = file.read(MAX_FILE_BYTES + 1)
    if len(body) > MAX_FILE_BYTES:
        raise _bad(f"{path} is longer than {MAX_FILE_BYTES} bytes")
    try:
        lines = body.decode("utf-8").splitlines()[:MAX_LINES]
    except UnicodeDecodeError as error:
        raise _bad(f"{path} is not UTF-8") from error
    return _parse(path, lines)


def _parse(path: Path, lines: list[str]) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, str]] = {}
    section = NO_SECTION
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        named = SECTION.fullmatch(text)
        if named is not None:
            section = named[1]
        elif text and not text.startswith("#"):
            found = LINE.fullmatch(text)
            if found is None:
                raise _bad(f"{path}:{number} is not NAME=value")  # the line itself may hold a secret
            value = found[2].strip().strip("'\"")
            if sections.setdefault(section, {}).setdefault(found[1], value) != value:
                raise _bad(f"{path}:{number} gives {found[1]} another value than before")
    return sections


def _bad(message: str) -> CommandFailure:
    return CommandFailure(ExitCode.CANNOT, "BAD_CREDENTIALS", message)


def secrets_of(wanted: Wanted, one: Connector) -> dict[str, str]:
    """Every secret that the connector knows, from the file or else the environment; those of a node of ours
    from its data directory too. Empty: none is given.
    """
    if wanted.credentials is not None:
        found = read_file(wanted.credentials, wanted.account)
        return {name: found[name] for name in (*one.needs, *one.takes, URL, SOCKET_URL) if name in found}
    found = {}
    for name in (*one.needs, *one.takes):
        value = os.environ.get(variable(wanted.name, name), "")
        if value:
            found[name] = value
    if wanted.name == NATIVE and not found:
        found[URL], found["API_TOKEN"] = address(wanted.data, wanted.url)
    return found


# ---- questions ---------------------------------------------------------------------------------------------


def ask(wanted: Wanted, question: Callable[[Venue], Awaitable[T]], *, with_key: bool) -> tuple[T, str]:
    """What the venue answers, and its address ("" for the venue's own). Without a key public questions work
    where the venue has some.

    Raises:
        CommandFailure: no such venue, no usable key, or no answer in time. KeyBusy, WrongPurpose, NonceError.
    """
    if not structlog.is_configured():
        # what connectors log is no part of the answer
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))
    try:
        one = connector(wanted.name)
        secrets = secrets_of(wanted, one)
        with_key = with_key or not one.public
        if with_key:
            _require(wanted, one, secrets)
        return asyncio.run(_ask(wanted, one, secrets, question, with_key))
    except UnknownVenue as error:
        raise CommandFailure(ExitCode.CANNOT, error.code, str(error)) from error
    except (MissingExtra, IncompatibleLibrary, SigningUnavailable, UnknownExchange) as error:
        raise CommandFailure(ExitCode.CANNOT, error.code, str(error)) from error
    except (BadSecret, BadSignature, SecretMissing) as error:
        raise CommandFailure(ExitCode.CONFIG, error.code, str(error)) from error
    except TimeoutError as error:
        message = f"{wanted.name}: no answer in {READ_TIMEOUT_S:g} s"
        raise CommandFailure(ExitCode.CANNOT, "NO_ANSWER", message) from error


def _require(wanted: Wanted, one: Connector, secrets: Mapping[str, str]) -> None:
    missing = [name for name in one.needs if not secrets.get(name)]
    if not missing:
        return
    if wanted.credentials is not None:
        message = f"{wanted.credentials} does not name {', '.join(missing)}"
    else:
        variables = ", ".join(variable(wanted.name, name) for name in missing)
        message = f"a key for tools is needed: --credentials FILE, or {variables} in the environment"
    raise CommandFailure(ExitCode.CONFIG, "NO_CREDENTIALS", message)


async def _ask(
    wanted: Wanted,
    one: Connector,
    secrets: dict[str, str],
    question: Callable[[Venue], Awaitable[T]],
    with_key: bool,
) -> tuple[T, str]:
    url = wanted.url or secrets.pop(URL, None)
    socket_url = secrets.pop(SOCKET_URL, None)
    with tempfile.TemporaryDirectory(prefix="tradewind-") as scratch:
        # a question without a key leaves nothing behind, and takes no lock of a real one
        opening = Opening(
            secrets=secrets if with_key else dict(one.placeholder),
            keys=KeyFolder(wanted.data if with_key else Path(scratch)),
            account=wanted.account or one.account,
            url=None if url is None else url.rstrip("/"),
            socket_url=socket_url,
            purpose=KeyPurpose.TOOLS,
        )
        async with asyncio.timeout(READ_TIMEOUT_S):
            async with one.connect(opening) as venue:
                if with_key and one.clock:
                    await venue.status()
                return await question(venue), opening.url or ""


async def symbols_of(venue: Venue) -> list[Instrument] | Incomplete:
    """Instruments with their filters. Asked for again a few times: public calls are counted by address, and
    others on this machine may have used them up. Signed calls are never repeated (three refusals lock a key).
    """
    listed = await venue.instruments()
    for pause_s in PAUSES_S:
        if not isinstance(listed, Incomplete):
            break
        await asyncio.sleep(pause_s)
        listed = await venue.instruments()
    return listed


async def status_of(venue: Venue) -> VenueStatus:
    """What the venue accepts now."""
    await symbols_of(venue)
    return await venue.status()


async def orders_of(venue: Venue) -> tuple[list[OrderState], dict[str, Instrument]] | Incomplete:
    """Open orders, with the instruments that they count in."""
    listed = await symbols_of(venue)
    if isinstance(listed, Incomplete):
        return Incomplete(f"symbols: {listed.reason}", 0)
    orders = await venue.open_orders(None)
    return orders if isinstance(orders, Incomplete) else (orders, {one.symbol: one for one in listed})


async def balances_of(venue: Venue) -> list[Balance] | Incomplete:
    """Balances, or why they are not known."""
    listed = await symbols_of(venue)
    if isinstance(listed, Incomplete):
        return Incomplete(f"symbols: {listed.reason}", 0)
    return await venue.balances()


async def positions_of(venue: Venue) -> tuple[list[Position], dict[str, Instrument]] | Incomplete:
    """Positions, with the instruments that they count in. Incomplete at a venue that has none at all."""
    listed = await symbols_of(venue)
    if isinstance(listed, Incomplete):
        return Incomplete(f"symbols: {listed.reason}", 0)
    if not venue.capabilities().reduce_only:
        return Incomplete("the venue has no positions", 0)
    found = await cast(MarginVenue, venue).positions()
    return found if isinstance(found, Incomplete) else (found, {one.symbol: one for one in listed})


# ---- rows --------------------------------------------------------------------------------------------------


def plain(value: Decimal | None) -> str | None:
    """All digits and no exponent; None stays None, which is shown as a dash and is not zero."""
    return None if value is None else format(value, "f")


def balance_row(one: Balance) -> dict[str, Any]:
    """A balance for people and machines."""
    return {
        "asset": one.asset,
        "free": plain(one.free),
        "held": plain(one.held),
        "total": plain(one.total),
        "as_of_ns": one.as_of_ns,
    }


def position_row(one: Position, instrument: Instrument) -> dict[str, Any]:
    """A position in the venue's own units, short ones negative. What is not known is None, not zero."""

    def known(value: Known[Decimal] | Unknown) -> str | None:
        return plain(value.value) if isinstance(value, Known) else None

    return {
        "symbol": one.symbol,
        "quantity": plain(instrument.lot * one.lots),
        "entry": known(one.entry_price),
        "mark": known(one.mark_price),
        "unrealised": known(one.unrealised),
        "margin": known(one.margin),
        "maintenance": known(one.maintenance_margin),
        "liquidation": known(one.liquidation_price),
        "asset": one.margin_asset,
        "as_of_ns": one.as_of_ns,
    }


def order_row(one: OrderState, instrument: Instrument) -> dict[str, Any]:
    """An order in the venue's own units. An order without a limit has no price."""
    lot, tick = instrument.lot, instrument.tick
    return {
        "venue_id": one.venue_id,
        "client_id": one.client_id or None,
        "symbol": one.symbol,
        "side": one.side.name.lower(),
        "price": plain(tick * one.price_ticks) if one.price_ticks else None,
        "quantity": plain(lot * one.lots),
        "filled": plain(lot * one.filled_lots),
        "remaining": plain(lot * (one.lots - one.filled_lots)),
        "status": str(one.phase),
        "updated_ns": one.updated_ns,
    }


def symbol_row(one: Instrument) -> dict[str, Any]:
    """An instrument with its filters; None where the venue has no such rule."""
    return {
        "symbol": one.symbol,
        "venue_symbol": one.venue_symbol,
        "status": one.status,
        "tick": plain(one.tick),
        "lot": plain(one.lot),
        "min_quantity": plain(one.min_quantity),
        "max_quantity": plain(one.max_quantity),
        "min_notional": plain(one.min_notional),
        "source": one.source,
    }
