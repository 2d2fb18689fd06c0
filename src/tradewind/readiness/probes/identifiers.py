"""security-derived-identifiers: accounts, vault tickets, orders and markets that are only claimed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import ALL_MARKETS, Role, Side
from tradewind.core.hashing import account_id
from tradewind.core.native import Batch
from tradewind.core.records import codec
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.authority import OWNED, raw_command
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.probes.exchange import QUOTE, STAFF, Exchange, Send, honest, key_of
from tradewind.readiness.record import MeasuredValue

ALICE, BOB = key_of("alice"), key_of("bob")
STRANGE: Final = key_of("an account that nobody's key gives")
FORGED: Final = {"of another": account_id(BOB), "random": STRANGE, "zero": bytes(32)}
PRICE: Final = 100
LOTS: Final = 20_000
DOLLARS: Final = 1_000 * 10**6
HUGE: Final = 2**63 - 1
# A refusal that is about what the command names, and not about anything else in it.
ABOUT_IDENTITY: Final = frozenset(
    {
        "DERIVED_ID_MISMATCH",
        "WRONG_OWNER",
        "UNAUTHORIZED_SIGNER",
        "ACCOUNT_NOT_FOUND",
        "SUB_ACCOUNT_NOT_FOUND",
        "ORDER_NOT_FOUND",
        "MARKET_NOT_FOUND",
        "ASSET_NOT_FOUND",
        "WITHDRAWAL_NOT_FOUND",
        # Without an account a CancelAll is the emergency's own, for which a trader has no permission.
        "PERMISSION_DENIED",
        # Of a ticket that does not exist nobody has shares.
        "INSUFFICIENT_SHARES",
    }
)


@dataclass(frozen=True, slots=True)
class _World:
    """Two owners, each with an order and with a part of the vault that is on its way out."""

    exchange: Exchange
    order: int
    other_order: int
    ticket: int
    other_ticket: int


def _prepared() -> _World:
    exchange = Exchange()
    exchange.open_market()
    orders, tickets = [], []
    for owner in (ALICE, BOB):
        exchange.fund(owner)
        orders.append(exchange.must(exchange.order(owner, Side.BUY, PRICE, LOTS)).value)
        exchange.must(commands.build("DepositVault", **_of(exchange, owner), amount=2 * DOLLARS))
        tickets.append(
            exchange.must(commands.build("RequestVaultExit", **_of(exchange, owner), shares=DOLLARS)).value
        )
    return _World(exchange, orders[0], orders[1], tickets[0], tickets[1])


def _of(exchange: Exchange, owner: bytes, account: bytes | None = None) -> dict[str, Any]:
    return {
        "principal": owner,
        "account": account_id(owner) if account is None else account,
        "client_key": exchange.key(),
    }


def _accounts(world: _World) -> Iterator[tuple[str, bytes]]:
    """Every command of an owner on an account that is not the sender's, and accounts of no key."""
    exchange = world.exchange
    for name, account in FORGED.items():
        key = exchange.key()
        yield (
            f"OpenAccount, {name}",
            raw_command("OpenAccount", key_of("carol"), account, key, key_of("carol")),
        )
        for command in OWNED:
            yield f"{command}, account {name}", raw_command(command, ALICE, account, exchange.key())
        owner = _of(exchange, ALICE, account)
        order: dict[str, Any] = {"market": 0, "side": Side.BUY, "price": PRICE, "lots": LOTS}
        yield f"a whole order, account {name}", commands.place_order(**owner, **order)
        owner = _of(exchange, ALICE, account)
        yield f"a whole cancel, account {name}", commands.cancel_order(**owner, order=world.order)
        owner = _of(exchange, ALICE, account)
        yield f"a whole deposit, account {name}", commands.build("DepositVault", **owner, amount=DOLLARS)


def _orders(world: _World) -> Iterator[tuple[str, bytes]]:
    """Orders of somebody else, or of nobody, by their number."""
    exchange = world.exchange
    numbers = {
        "of another": world.other_order,
        "next": world.other_order + (1 << 21),
        "zero": 0,
        "huge": HUGE,
    }
    for name, number in numbers.items():
        yield f"cancel, order {name}", commands.cancel_order(**_of(exchange, ALICE), order=number)
        replace = commands.replace_order(**_of(exchange, ALICE), order=number, total_lots=LOTS // 2)
        yield f"replace, order {name}", replace


def _vault(world: _World) -> Iterator[tuple[str, bytes]]:
    """Shares of the vault on their way out: of another, or of nobody; or more than the account has."""
    exchange = world.exchange
    numbers = {"of another": world.other_ticket, "next": world.other_ticket + 1, "zero": 0, "huge": HUGE}
    for name, number in numbers.items():
        yield (
            f"claim, ticket {name}",
            commands.build("ClaimVaultExit", **_of(exchange, ALICE), ticket=number),
        )
    # Alice holds half of what both have; the rest is no part of hers.
    beyond = commands.build("RequestVaultExit", **_of(exchange, ALICE), shares=2 * DOLLARS + 1)
    yield "shares of another", beyond


def _places(world: _World) -> Iterator[tuple[str, bytes]]:
    """Markets, sub-accounts and assets that do not exist."""
    exchange = world.exchange
    for name, market in (("unknown", 7), ("all", ALL_MARKETS)):
        yield f"market {name}", exchange.order(ALICE, Side.BUY, PRICE, LOTS, market=market)
    yield "sub-account unknown", exchange.order(ALICE, Side.BUY, PRICE, LOTS, sub=5)
    reference = hashlib.sha256(b"reference").digest()
    yield "asset unknown", exchange.deposit(account_id(ALICE), 99, 1, reference)
    yield "deposit to an unknown account", exchange.deposit(STRANGE, QUOTE, 1, reference)
    suitability = raw_command("SetSuitability", STAFF[Role.RISK], STRANGE, exchange.key())
    yield "suitability of an unknown account", suitability


def _observe(context: ProbeContext, send: Send = honest) -> Facts:
    """Claims identifiers which do not derive from their parts; nothing of it may be done."""
    world = _prepared()
    exchange = world.exchange
    exchange.send = send
    rows = []
    for forge in (_accounts, _orders, _vault, _places):
        for name, frame in forge(world):
            before = exchange.hash()
            code = exchange.ask(frame).code
            rows.append({"case": name, "code": code, "unchanged": exchange.hash() == before})
    return {"rows": rows, "own": _own(world)}


def _own(world: _World) -> dict[str, str]:
    """The same with one's own: not refused for its identifier, so that the refusals above mean just that."""
    exchange = world.exchange
    exchange.send = honest
    return {
        "claim": exchange.ask(
            commands.build("ClaimVaultExit", **_of(exchange, ALICE), ticket=world.ticket)
        ).code,
        "cancel": exchange.ask(commands.cancel_order(**_of(exchange, ALICE), order=world.order)).code,
    }


def _trusting(engine: Any, frames: bytes, now_ns: int) -> Batch:
    """Takes the account id as it is claimed: what does not derive is put right on the way."""
    fields = codec("Command").unpack(frames)
    offset = next(place for name, place, _ in codec("Command").fields if name == "account")
    if fields["account"] != account_id(fields["principal"]):
        frames = frames[:offset] + account_id(fields["principal"]) + frames[offset + 32 :]
    return honest(engine, frames, now_ns)


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    rows, own = facts["rows"], facts["own"]
    accepted = [row for row in rows if row["code"] not in ABOUT_IDENTITY or not row["unchanged"]]
    # Refusing everything would be no check of identifiers either.
    deaf = sum(code in ABOUT_IDENTITY for code in own.values())
    return {"forged_ids_accepted": count(len(accepted) + deaf, len(rows))}


identifiers = drill(
    "security-derived-identifiers",
    observe=_observe,
    broken=lambda context: _observe(context, _trusting),
    summarise=_summarise,
    provenance="virtual",
)
