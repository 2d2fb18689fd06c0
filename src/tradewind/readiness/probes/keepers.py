"""keepers-security: who has no standing is refused and earns nothing, and a stake is taken by rule only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import AssetFlag, Line, MarketKind, Role, Side
from tradewind.core.hashing import account_id
from tradewind.core.native import Batch
from tradewind.core.records import codec
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext
from tradewind.readiness.probes.drill import Facts, case, drill, held, ratio
from tradewind.readiness.probes.exchange import (
    BASE,
    MARKET,
    SECOND_NS,
    STAFF,
    Answer,
    Send,
    honest,
    key_of,
)
from tradewind.readiness.probes.frames_of import is_command, replaced
from tradewind.readiness.probes.large_actions import large_actions
from tradewind.readiness.probes.leveraged import (
    FEED,
    KEEPERS,
    OPENING,
    SECOND_PERSON,
    THIRD_OPERATOR,
    Image,
    Leveraged,
)
from tradewind.readiness.probes.positions import RICH
from tradewind.readiness.record import MeasuredValue

STAKE: Final = 1_000 * 10**6
CRANK_DUTY, LIQUIDATE_DUTY = 8, 1
CRANK: Final = 4
MALICE: Final = 4
MARKETS: Final = 12
ACTIONS_A_SECOND: Final = 10
LARGEST_SLASH_PPM: Final = 100_000
STRANGER: Final = key_of("no keeper at all")
GOOD: Final = KEEPERS["good"]
HOUR_NS: Final = 3_600 * SECOND_NS
WORLD_ACTIVE_S: Final = 130
REFUSED: Final[Mapping[str, str]] = {
    "unregistered": "KEEPER_NOT_REGISTERED",
    "suspended": "KEEPER_SUSPENDED",
    "poor": "KEEPER_STAKE_TOO_LOW",
    "removed": "KEEPER_NOT_REGISTERED",
    "incapable": "KEEPER_CAPABILITY",
    "deprived": "PERMISSION_DENIED",
    "banned": "PRINCIPAL_SUSPENDED",
}


def _slash(world: Leveraged, signer: bytes, keeper: bytes, **changes: Any) -> bytes:
    fields: dict[str, Any] = {"evidence": bytes([9] * 32), "ppm": 1, "fault": MALICE, **changes}
    return commands.build(
        "SlashKeeper", principal=signer, client_key=world.key(), keeper=account_id(keeper), **fields
    )


def _suspend(world: Leveraged, keeper: bytes) -> None:
    """Three upheld slashes are three faults, and the score falls below its limit."""
    for number in range(3):
        evidence = bytes([number + 1] * 32)
        world.must(_slash(world, STAFF[Role.OPERATOR], keeper, evidence=evidence))
        slash = world.must(_slash(world, THIRD_OPERATOR, keeper, evidence=evidence)).value
        world.must(commands.build("AppealSlash", **world.of(keeper), slash=slash))
        world.must(commands.build("DecideAppeal", **world.by(Role.ARBITER), slash=slash, uphold=1))


def _register_all(world: Leveraged) -> None:
    token = world.must(
        commands.register_asset(**world.by(Role.OPERATOR), symbol="TOKEN", asset_flags=AssetFlag.STAKE)
    ).value
    for name, keeper in KEEPERS.items():
        account = world.open_account(keeper)
        world.must(world.deposit(account, token, 10 * STAKE))
        duty = LIQUIDATE_DUTY if name == "incapable" else CRANK_DUTY
        if name != "unregistered":
            world.must(commands.build("RegisterKeeper", **world.of(keeper), capabilities=duty, stake=STAKE))
    world.open_account(STRANGER)
    _suspend(world, KEEPERS["suspended"])
    world.must(commands.build("UnstakeKeeper", **world.of(KEEPERS["poor"]), amount=1))
    world.must(_removal(world, KEEPERS["removed"]))
    admin = Role.ROLE_ADMIN
    world.must(commands.revoke_role(**world.by(admin), grantee=KEEPERS["deprived"], role=Role.KEEPER))
    world.must(commands.suspend_principal(**world.by(admin), target=KEEPERS["banned"]))


def _removal(world: Leveraged, keeper: bytes) -> bytes:
    return commands.build("RemoveKeeper", **world.by(Role.OPERATOR), keeper=account_id(keeper))


@cache
def _due() -> Image:
    """Twelve markets at the very end of a funding hour, a fund that pays, and keepers of every standing."""
    world = Leveraged()
    _register_all(world)
    for nonce in range(2, MARKETS + 1):
        world.must(world.market_command(nonce, market_kind=MarketKind.PERPETUAL, feed=FEED))
    spot = world.must(world.market_command(77, taker_fee_e6bp=28_000_000)).value
    buyer, seller = world.trader("buyer", RICH), world.trader("seller", 0)
    world.must(world.deposit(account_id(seller), BASE, 10**9))
    world.must(world.order(seller, Side.SELL, 100, 1_000_000, market=spot))
    world.must(world.order(buyer, Side.BUY, 100, 1_000_000, market=spot))
    world.wait(WORLD_ACTIVE_S, OPENING)
    end_ns = (world.now_ns // HOUR_NS + 1) * HOUR_NS
    while world.now_ns < end_ns - 20 * SECOND_NS:
        world.wait(10, OPENING)
    world.wait((end_ns - 2 * SECOND_NS - world.now_ns) / SECOND_NS, OPENING)
    # After the assigned keeper's half a second anybody may act; the exchange itself has not yet.
    world.now_ns = end_ns + SECOND_NS
    if world.engine.system_balance(Line.MAKER_FUND, 0, 1) <= 0:
        raise CannotMeasureError("the fund that pays keepers is empty")
    return world.image()


def _act(world: Leveraged, keeper: bytes, market: int = MARKET) -> Answer:
    return world.ask(commands.build("KeeperAct", **world.of(keeper), action=CRANK, market=market))


def _paid(world: Leveraged) -> int:
    return sum(event.amount for event in world.happened("KeeperRewarded"))


def _standing(send: Send) -> Iterator[dict[str, Any]]:
    """The same due action by keepers of every standing: only the good one is accepted, and paid."""
    world = Leveraged(send, _due())
    answer = _act(world, GOOD)
    yield {**case("good", ["", True], [answer.code, _paid(world) > 0]), "paid": 0}
    for name, keeper in [*KEEPERS.items(), ("stranger", STRANGER)]:
        if name == "good":
            continue
        world = Leveraged(send, _due())
        before = world.hash()
        answer = _act(world, keeper)
        seen = [answer.code, world.hash() == before]
        yield {**case(name, [REFUSED.get(name, "PERMISSION_DENIED"), True], seen), "paid": _paid(world)}


def _rate(send: Send) -> dict[str, Any]:
    """Ten actions in a second are done and the eleventh is not."""
    world = Leveraged(send, _due())
    codes = [_act(world, GOOD, market).code for market in range(ACTIONS_A_SECOND)]
    before = _paid(world)
    codes.append(_act(world, GOOD, ACTIONS_A_SECOND).code)
    expected = [""] * ACTIONS_A_SECOND + ["KEEPER_RATE_LIMITED"]
    return {**case("rate", expected, codes), "paid": _paid(world) - before}


def _last(send: Send) -> dict[str, Any]:
    """Every keeper is removed, the last one too, and at once nobody acts."""
    world = Leveraged(send, _due())
    removed = [world.ask(_removal(world, KEEPERS[name])).code for name in KEEPERS]
    expected = ["KEEPER_NOT_REGISTERED" if name in ("unregistered", "removed") else "" for name in KEEPERS]
    code = _act(world, GOOD).code
    seen = [removed, code]
    return {
        **case("the last one is removed", [expected, "KEEPER_NOT_REGISTERED"], seen),
        "paid": _paid(world),
    }


def _slashes(send: Send) -> Iterator[dict[str, Any]]:
    """A stake is taken with evidence, by two, and at most a tenth of it."""
    first, second = STAFF[Role.OPERATOR], SECOND_PERSON[Role.OPERATOR]
    for name, changes, code in (
        ("at the limit", {"ppm": LARGEST_SLASH_PPM}, ""),
        ("beyond the limit", {"ppm": LARGEST_SLASH_PPM + 1}, "SLASH_TOO_LARGE"),
        ("without evidence", {"evidence": bytes(32)}, "EVIDENCE_INVALID"),
        ("a duty that was not missed", {"fault": 2}, "EVIDENCE_INVALID"),
        ("a conflict that was not", {"fault": 3}, "EVIDENCE_INVALID"),
    ):
        world = Leveraged(send, _due())
        answer = world.ask(_slash(world, first, GOOD, **changes))
        yield {**case(f"slash {name}", code, answer.code), "paid": 0}
    world = Leveraged(send, _due())
    codes = [world.ask(_slash(world, signer, GOOD)).code for signer in (first, first)]
    alone = [*codes, len(world.happened("SlashOpened"))]
    yield {**case("slash by one twice", ["", "SELF_APPROVAL", 0], alone), "paid": 0}
    both = [world.ask(_slash(world, second, GOOD)).code, len(world.happened("SlashOpened"))]
    yield {**case("slash by two", ["", 1], both), "paid": 0}
    world = Leveraged(send, _due())
    code = world.ask(_slash(world, STAFF[Role.RISK], GOOD)).code
    yield {**case("slash by somebody else", "PERMISSION_DENIED", code), "paid": 0}


def _observe(context: ProbeContext, send: Send = honest) -> Facts:
    return {
        "cases": [*_standing(send), _rate(send), _last(send), *_slashes(send), *large_actions(send)],
    }


def _remembering(engine: Any, frames: bytes, now_ns: int) -> Batch:
    """A keeper that was removed is still found: its action counts as that of one in good standing."""
    if is_command(frames, "KeeperAct"):
        principal = bytes(codec("Command").unpack(frames)["principal"])
        if principal == KEEPERS["removed"]:
            frames = replaced(frames, "Command", "principal", GOOD)
            frames = replaced(frames, "Command", "account", account_id(GOOD))
    return honest(engine, frames, now_ns)


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    cases = facts["cases"]
    return {
        "negative_cases_refused": ratio(held(cases), len(cases)),
        "unauthorised_payouts": MeasuredValue(sum(row["paid"] for row in cases), "micro", len(cases)),
    }


keepers = drill(
    "keepers-security",
    observe=_observe,
    broken=lambda context: _observe(context, _remembering),
    summarise=_summarise,
    provenance="virtual",
)
