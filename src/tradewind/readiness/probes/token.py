"""token-locked-supply, token-stake-ownership: the token on the real engine, over ten years of its clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.engine import Grant
from tradewind.core.enums import AssetFlag, Line, Role, Side
from tradewind.core.event_types import AccountOpened
from tradewind.core.hashing import account_id
from tradewind.core.native import Batch
from tradewind.core.records import codec
from tradewind.node.projections.ledger import LedgerView
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.probes.exchange import (
    DAY_NS,
    QUOTE,
    STAFF,
    START_NS,
    Answer,
    Exchange,
    Send,
    honest,
    key_of,
)
from tradewind.readiness.probes.frames_of import is_command, replaced
from tradewind.readiness.record import MeasuredValue

UNITS: Final = 10**6
SUPPLY: Final = 100_000_000 * UNITS
# Requirement of the catalogue, not the engine's constants: size in tokens, cliff and length in days.
CURVES: Final = (
    ("team", 20_000_000, 365, 1_460),
    ("advisors", 5_000_000, 180, 730),
    ("strategic", 15_000_000, 180, 1_095),
    ("ecosystem", 30_000_000, 0, 1_825),
    ("reserve", 20_000_000, 1_095, 3_650),
)
ECOSYSTEM: Final = 3
LOOKS_DAYS: Final = (
    *(1, 2, 179, 180, 181, 364, 365, 366, 500, 729, 730, 1_000),
    *(1_094, 1_095, 1_096, 1_460, 1_825, 3_649, 3_650, 3_700),
)
FAST_DAYS: Final = 30
CLOCK: Final = key_of("the clock of ten years")
LOCKS_S: Final = (0, 2_592_000, 7_776_000)
LEAST_STAKE: Final = 100 * UNITS
STRANGER: Final = key_of("nobody's owner")
OWNED: Final = ("StakeToken", "UnstakeToken", "ClaimRewards", "ClaimVested")
ROUNDS: Final = 12


def curve(number: int, day: int) -> int:
    """Micro-units of a pool that may have left it on a day after the issue."""
    _, size, cliff, length = CURVES[number]
    return 0 if day < cliff else size * UNITS * min(day, length) // length


class TokenWorld(Exchange):
    """An exchange with the token, whose ledger is kept a second time from its postings."""

    def __init__(self, send: Send = honest) -> None:
        self.ledger = LedgerView()
        self.shared = self.claimed = 0
        self.handles: dict[bytes, int] = {}
        super().__init__(send, [Grant(CLOCK, Role.SYSTEM, START_NS + 5_000 * DAY_NS)])
        self.open_market()
        self.token = self.must(
            commands.register_asset(
                principal=STAFF[Role.OPERATOR],
                client_key=self.key(),
                symbol="MMT",
                asset_flags=AssetFlag.TOKEN,
            )
        ).value
        self.issued_ns = self.now_ns

    def run(self, *frames: bytes) -> tuple[list[Answer], list[Any]]:
        answers, happened = super().run(*frames)
        for event in happened:
            self.ledger.on_event(event)
            self._count(event)
        return answers, happened

    def _count(self, event: Any) -> None:
        if isinstance(event, AccountOpened):
            self.handles[event.account_id] = event.account
        for posting in getattr(event, "postings", ()):
            if posting.line == Line.STAKER_POOL:
                self.shared += max(posting.amount, 0)
                self.claimed += max(-posting.amount, 0)

    def of(self, owner: bytes, name: str, **fields: Any) -> bytes:
        """A command of an owner on its own account."""
        return commands.build(
            name, principal=owner, account=account_id(owner), client_key=self.key(), **fields
        )

    def allocate(self, owner: bytes, pool: int, amount: int) -> Answer:
        """Locked tokens of a pool for an owner, from the issue on."""
        return self.ask(
            commands.build(
                "AllocateVesting",
                principal=STAFF[Role.TREASURER],
                client_key=self.key(),
                beneficiary=account_id(owner),
                pool=pool,
                amount=amount,
                start_ns=self.issued_ns,
            )
        )

    def go_to_day(self, day: int) -> None:
        """Moves the clock to a day after the issue."""
        self.now_ns = self.issued_ns + day * DAY_NS
        self.must(commands.build("AdvanceTime", principal=CLOCK, client_key=self.key(), reason="probe"))

    def imbalance(self) -> int:
        """Micro-units that the supply's parts are off."""
        kept = {Line.RESERVED, Line.SEASON, Line.ISSUANCE}
        reserved = self.ledger.system_line(Line.RESERVED, self.token)
        season = self.ledger.system_line(Line.SEASON, self.token)
        issuance = self.ledger.system_line(Line.ISSUANCE, self.token)
        circulating = self.ledger.circulating(self.token, kept)
        return abs(reserved + season + circulating + (SUPPLY + issuance) - SUPPLY)


def _supply(context: ProbeContext, send: Send = honest) -> Facts:
    """Every pool is given away on the first day and claimed whenever something may have vested."""
    world = TokenWorld(send)
    locked = world.ledger.system_line(Line.RESERVED, world.token)
    owners = [key_of(f"holder of {name}") for name, *_ in CURVES]
    for owner in owners:
        world.open_account(owner)
    for number, owner in enumerate(owners):
        half = CURVES[number][1] * UNITS // 2
        for amount in (half, half, 1):
            # The third is a micro-unit beyond the pool and must not be.
            world.allocate(owner, number, amount)
    imbalances = [world.imbalance()]
    releases: list[dict[str, Any]] = []
    for day in LOOKS_DAYS:
        world.go_to_day(day)
        for owner in owners:
            for schedule in range(1, 3 * len(owners) + 1):
                world.ask(world.of(owner, "ClaimVested", schedule=schedule))
            # What did not leave the platform cannot come in.
            world.ask(world.deposit(account_id(owner), world.token, 1))
        for number, owner in enumerate(owners):
            has = sum(
                one.total for one in world.ledger.balances(_handle(world, owner)) if one.asset == world.token
            )
            releases.append(
                {"day": day, "pool": CURVES[number][0], "left": has, "vested": curve(number, day)}
            )
        imbalances.append(world.imbalance())
    if any(row["left"] < row["vested"] - len(CURVES) for row in releases if send is honest):
        raise CannotMeasureError("what has vested could not be claimed, so that nothing was released at all")
    return {"locked": locked, "imbalances": imbalances, "releases": releases}


def _handle(world: TokenWorld, owner: bytes) -> int:
    return world.handles[account_id(owner)]


def _summarise_supply(facts: Facts) -> Mapping[str, MeasuredValue]:
    imbalances, releases = facts["imbalances"], facts["releases"]
    early = sum(row["left"] > row["vested"] for row in releases)
    return {
        "locked_at_genesis": MeasuredValue(facts["locked"] / UNITS, "tokens", 1),
        "supply_imbalance": MeasuredValue(max(imbalances), "base_units", len(imbalances)),
        "early_releases": MeasuredValue(early, "count", len(releases)),
    }


class _FastClock:
    """The engine is told a time a month ahead: schedules release above their curve."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def __call__(self, engine: Any, frames: bytes, now_ns: int) -> Batch:
        if is_command(frames, "AdvanceTime"):
            self.ahead_ns = FAST_DAYS * DAY_NS
        return honest(engine, frames, now_ns + self.ahead_ns)


locked_supply = drill(
    "token-locked-supply",
    observe=_supply,
    broken=lambda context: _supply(context, _FastClock()),
    summarise=_summarise_supply,
    provenance="virtual",
)


def _staked_world(send: Send = honest) -> tuple[TokenWorld, list[bytes]]:
    """Three owners who have staked some and may claim and stake more, and fees that wait for them."""
    world = TokenWorld(send)
    owners = [key_of(f"staker {number}") for number in range(3)]
    for owner in owners:
        world.fund(owner)
        world.allocate(owner, ECOSYSTEM, 1_000_000 * UNITS)
    world.go_to_day(10)
    for number, owner in enumerate(owners):
        world.must(world.of(owner, "ClaimVested", schedule=number + 1))
        for lock_s in LOCKS_S:
            amount = LEAST_STAKE * (number + 1) + 7 * number
            world.must(world.of(owner, "StakeToken", amount=amount, lock_s=lock_s))
    world.go_to_day(11)
    _feed(world, owners, 1_000)
    return world, owners


def _feed(world: TokenWorld, owners: Sequence[bytes], lots: int) -> None:
    """A trade whose fee reaches the stakers."""
    world.must(world.order(owners[0], Side.SELL, 10_000, lots))
    world.must(world.order(owners[1], Side.BUY, 10_000, lots))


def _foreign(send: Send) -> Iterator[dict[str, Any]]:
    """Every command on a stake by everyone who is not its owner."""
    world, owners = _staked_world(send)
    victim, other = owners[0], owners[1]
    delegate = key_of("delegate of everything")
    world.must(
        commands.set_delegate(
            principal=victim,
            account=account_id(victim),
            client_key=world.key(),
            key=delegate,
            scopes=7,
            expiry_ns=world.now_ns + DAY_NS,
        )
    )
    fields: dict[str, dict[str, int]] = {
        "StakeToken": {"amount": LEAST_STAKE, "lock_s": 0},
        "UnstakeToken": {"lot": 1},
        "ClaimRewards": {"lot": 0},
        "ClaimVested": {"schedule": 1},
    }
    senders = {"stranger": STRANGER, "another owner": other, "delegate": delegate}
    senders |= {role.name.lower(): key for role, key in STAFF.items()}
    for name in OWNED:
        for who, principal in senders.items():
            frame = commands.build(
                name, principal=principal, account=account_id(victim), client_key=world.key(), **fields[name]
            )
            before = world.hash()
            answer = world.ask(frame)
            yield {"command": name, "by": who, "code": answer.code, "unchanged": world.hash() == before}


def _claims(send: Send, order: Callable[[int], Sequence[int]]) -> dict[str, Any]:
    """Rounds of fees and claims in an order of owners; what each has been paid, and the funding."""
    world, owners = _staked_world(send)
    handles = [_handle(world, owner) for owner in owners]
    paid = [0] * len(owners)
    for turn in range(ROUNDS):
        _feed(world, owners, 997 + turn)
        for number in order(turn):
            before = world.ledger.line(handles[number], QUOTE)
            world.ask(world.of(owners[number], "ClaimRewards", lot=0))
            paid[number] += world.ledger.line(handles[number], QUOTE) - before
    return {"paid": paid, "funded": world.shared, "claimed": world.claimed}


def _stakes(context: ProbeContext, send: Send = honest) -> Facts:
    orders: list[Callable[[int], Sequence[int]]] = [
        lambda _: (0, 1, 2),
        lambda _: (2, 1, 0),
        lambda turn: (turn % 3, (turn + 1) % 3, (turn + 2) % 3),
    ]
    return {"foreign": list(_foreign(send)), "claims": [_claims(send, order) for order in orders]}


def _summarise_stakes(facts: Facts) -> Mapping[str, MeasuredValue]:
    foreign, claims = facts["foreign"], facts["claims"]
    accepted = sum(not row["code"] or not row["unchanged"] for row in foreign)
    beyond = max(row["claimed"] - row["funded"] for row in claims)
    # Another order that pays somebody another amount is a claim without funding.
    uneven = max(
        abs(one - first) for row in claims for one, first in zip(row["paid"], claims[0]["paid"], strict=True)
    )
    return {
        "wrong_owner_accepted": MeasuredValue(accepted, "count", len(foreign)),
        "claims_minus_funding": MeasuredValue(uneven or beyond, "base_units", len(claims)),
    }


def _signed_by_anyone(engine: Any, frames: bytes, now_ns: int) -> Batch:
    """Whoever signs a command on a stake counts as the owner."""
    if any(is_command(frames, name) for name in OWNED):
        account = bytes(codec("Command").unpack(frames)["account"])
        for number in range(3):
            owner = key_of(f"staker {number}")
            if account == account_id(owner):
                frames = replaced(frames, "Command", "principal", owner)
    return honest(engine, frames, now_ns)


stake_ownership = drill(
    "token-stake-ownership",
    observe=_stakes,
    broken=lambda context: _stakes(context, _signed_by_anyone),
    summarise=_summarise_stakes,
    provenance="virtual",
)
