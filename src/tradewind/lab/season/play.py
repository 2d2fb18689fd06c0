"""Plays a season: every market is traded, ends at its time, is resolved (some by arbiters) and redeemed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any, Final

from tradewind.core import commands
from tradewind.core.enums import Line, Side
from tradewind.lab.driven import ScenarioFailed
from tradewind.lab.season.world import (
    ARBITERS,
    DAY_NS,
    MMT,
    START_NS,
    STEP_NS,
    UNIT,
    USDC,
    Fate,
    World,
)

DAYS: Final = 180
STEPS: Final = DAYS * DAY_NS // STEP_NS
FIRST_END: Final = 12
"""Steps before the first market may end: pools lock their liquidity for a day."""
LAST_END: Final = STEPS - 30
"""Behind it there is time for a disputed resolution."""
EPISODES: Final = 3
"""Encounters in each market between creation and end."""
INVALID: Final = 254
DEPOSIT: Final = 1_000_000 * UNIT
TOKENS: Final = 100_000 * UNIT
EVIDENCE: Final = bytes([0xEF] * 32)
MAX_BOND: Final = 100_000 * UNIT
OUTCOME_COUNTS: Final = (2, 2, 2, 2, 3, 4, 8)
POOL_FUNDING: Final = 200 * UNIT
REWARDED: Final = 8
"""Books whose makers the season rewards: of two outcomes, those that end last."""
MAKERS: Final = 3
QUOTED: Final = 500_000
"""Lots that a maker shows on each side: more than $100 at any price that the walk reaches."""
CLAIMABLE: Final = 1
"""Key of the lines on which earned rewards wait."""
TOKEN_SUPPLY: Final = 100_000_000 * UNIT


def fates(markets: int, seed: int) -> list[Fate]:
    """Ends and truths of the markets; a tenth has a pool, 2 % are disputed, 2.5 % end INVALID."""
    source = random.Random(seed)  # noqa: S311
    found = []
    for _ in range(markets):
        outcomes = source.choice(OUTCOME_COUNTS)
        found.append(
            Fate(
                outcomes=outcomes,
                settles_at=source.randrange(FIRST_END, LAST_END),
                truth=outcomes if source.random() < 0.025 else source.randrange(outcomes),
                disputed=source.random() < 0.02,
                has_pool=source.random() < 0.1,
            )
        )
    return found


class Season:
    """One run. `tell` hears what is going on."""

    def __init__(
        self, markets: int, traders: int, seed: int, *, audit: bool, tell: Callable[[str], None]
    ) -> None:
        self.fates = fates(markets, seed)
        self.world = World(self.fates, traders, seed, audit=audit)
        self.tell = tell
        self.traders = traders
        self.pools = POOL_FUNDING * sum(fate.has_pool for fate in self.fates)
        self.samples: list[dict[str, Any]] = []
        self.open_markets = markets
        self.faults: list[str] = []
        self.plans: dict[int, list[tuple[str, int]]] = {}
        """What happens to which market at a step."""
        self.prices: dict[tuple[int, int], int] = {}
        self.exits: list[tuple[int, int]] = []
        """Trader and ticket of vault exits that are not collected yet."""

    def run(self) -> dict[str, Any]:
        """Plays to the end.

        Raises:
            ScenarioFailed: something that has to go through was refused.
        """
        world = self.world
        self.tell(f"{len(self.fates):,} markets")
        world.open(DEPOSIT, self.pools, TOKENS)
        self._plan()
        world.now_ns = max(world.now_ns, START_NS + DAY_NS)
        for step in range(STEPS):
            self._step(step)
            if step % (DAY_NS // STEP_NS) == 0:
                self._sample(step)
                self.tell(f"day {step * STEP_NS // DAY_NS} of {DAYS}, {self.open_markets:,} markets open")
        self._end()
        self._sample(STEPS)
        return self._summary()

    # -- plan -----------------------------------------------------------------------------------------

    def _plan(self) -> None:
        source = self.world.random
        for market, fate in enumerate(self.fates):
            if fate.has_pool:
                self._at(0, "pool", market)
                self._at(fate.settles_at - 1, "drain", market)
            for _ in range(EPISODES):
                self._at(source.randrange(1, fate.settles_at - 1), "trade", market)
            self._at(fate.settles_at, "propose", market)

    def _at(self, step: int, deed: str, market: int) -> None:
        self.plans.setdefault(step, []).append((deed, market))

    def _step(self, step: int) -> None:
        world = self.world
        world.wait(START_NS + DAY_NS + step * STEP_NS - world.now_ns)
        due: dict[str, list[int]] = {}
        for deed, market in self.plans.pop(step, []):
            due.setdefault(deed, []).append(market)
        for market in due.get("pool", []):
            self._create_pool(market)
        for market in due.get("drain", []):
            self._drain(market)
        world.send(row for market in due.get("trade", []) for row in self._episode(market))
        self._resolve(step, due)
        self._quote(step)
        self._side_shows(step)

    # -- trading --------------------------------------------------------------------------------------

    def _pair(self) -> tuple[int, int]:
        first, second = self.world.random.sample(range(self.traders), 2)
        return first, second

    def _episode(self, market: int) -> Iterable[bytes]:
        """Two traders meet: sets are minted, claims change hands, complementary orders mint and merge."""
        world, source, fate = self.world, self.world.random, self.fates[market]
        alice, bob = self._pair()
        outcome = source.randrange(fate.outcomes)
        other = (outcome + 1) % fate.outcomes
        price, lots = self._price(market, outcome), source.randrange(40_000, 90_000)
        yield world.sets("MintSet", alice, market, lots)
        yield world.order(alice, (market, outcome), Side.SELL, price, lots // 2)
        yield world.order(bob, (market, outcome), Side.BUY, price + source.randrange(5), lots // 3)
        if fate.outcomes == 2:
            # Two buyers of both outcomes mint a set between them, two sellers give one back.
            yield world.order(alice, (market, outcome), Side.BUY, price - 10, lots // 4)
            yield world.order(bob, (market, other), Side.BUY, 1_010 - price, lots // 4)
            yield world.order(bob, (market, outcome), Side.SELL, price + 10, lots // 8)
            yield world.order(alice, (market, other), Side.SELL, 990 - price, lots // 8)
        else:
            yield world.order(bob, (market, other), Side.SELL, price, lots)
        if fate.has_pool:
            spend = source.randrange(1, 30) * UNIT
            yield self._swap(bob, (market, outcome), Side.BUY, spend)
            yield self._swap(bob, (market, outcome), Side.SELL, spend // 2)
        yield world.sets("MergeSet", alice, market, lots // 10)

    def _price(self, market: int, outcome: int) -> int:
        """Ticks of an outcome: a walk that begins at an equal share."""
        start = 1_000 // self.fates[market].outcomes
        walked = self.prices.get((market, outcome), start) + self.world.random.randrange(-15, 16)
        self.prices[market, outcome] = price = min(max(walked, 60), 940)
        return price

    def _swap(self, trader: int, claim: tuple[int, int], side: Side, amount: int) -> bytes:
        market, outcome = claim
        return commands.build(
            "SwapAmm", **self.world.by(trader), market=market, outcome=outcome, side=int(side), amount=amount,
            limit=1, max_impact_bp=2_000,
        )  # fmt: skip

    def _create_pool(self, market: int) -> None:
        # Kind 1 is LMSR, for any number of outcomes.
        row = commands.build(
            "CreatePool", **self.world.by_operator(), market=market, amm_kind=1, funding=POOL_FUNDING
        )
        self.world.must([row])

    def _rewarded(self) -> list[int]:
        """The books on the operator's list."""
        binary = [market for market, fate in enumerate(self.fates) if fate.outcomes == 2]
        return sorted(binary, key=lambda market: -self.fates[market].settles_at)[:REWARDED]

    def _quote(self, step: int) -> None:
        """Makers show both sides of the rewarded books, and are rewarded by the hour (P11.4)."""
        world = self.world
        rewarded = self._rewarded()
        if step == 0:
            world.must(
                commands.build("RewardMarket", **world.by_operator(), market=market, outcome=0, rewarded=1)
                for market in rewarded
            )
            for maker in range(MAKERS):
                world.must(world.sets("MintSet", maker, market, 2 * QUOTED) for market in rewarded)
        for market in rewarded if step % 3 == 0 else []:
            if step + 2 >= self.fates[market].settles_at:
                continue
            for maker in range(MAKERS):
                middle, away = self.prices.get((market, 0), 500), 3 + maker
                world.send(
                    [
                        commands.cancel_all(**world.by(maker), market=market),
                        world.order(maker, (market, 0), Side.BUY, middle - away, QUOTED),
                        world.order(maker, (market, 0), Side.SELL, middle + away, QUOTED),
                    ]
                )
        if step % 30 == 7:
            self._claim_made()

    def _claim_made(self) -> None:
        world = self.world
        world.send(commands.build("ClaimMakerRewards", **world.by(one)) for one in range(self.traders))

    def _drain(self, market: int) -> None:
        """The only provider takes everything out before the market ends, and so closes the pool."""
        row = commands.build(
            "RemoveLiquidity", **self.world.by_operator(), market=market, amount=POOL_FUNDING, min_out=1
        )
        self.world.must([row])

    def _side_shows(self, step: int) -> None:
        """Vault and token: deposits, exits, vested tokens, stakes, rewards."""
        world, source = self.world, self.world.random
        trader = source.randrange(self.traders)
        amount = source.randrange(100, 5_000) * UNIT
        world.send([commands.build("DepositVault", **world.by(trader), amount=amount)])
        if step % 5 == 2:
            [result] = world.send(
                [commands.build("RequestVaultExit", **world.by(trader), shares=amount // 4)]
            )
            if result["accepted"]:
                self.exits.append((trader, int(result["value"])))
        if step % 6 == 1:
            world.send(
                commands.build("ClaimVested", **world.by(one), schedule=one + 1)
                for one in range(step % 7, self.traders, 7)
            )
            lock_s = source.choice((0, 2_592_000, 7_776_000))
            world.send(
                commands.build("StakeToken", **world.by(one), amount=150 * UNIT, lock_s=lock_s)
                for one in range(step % 11, self.traders, 11)
            )
        if step % 6 == 3:
            world.send(
                commands.build("ClaimRewards", **world.by(one), lot=0)
                for one in range(step % 5, self.traders, 5)
            )
        waiting = [(one, ticket) for one, ticket in self.exits[:-3] if not self._collect(one, ticket)]
        self.exits = waiting + self.exits[-3:]

    def _collect(self, trader: int, ticket: int) -> bool:
        world = self.world
        [result] = world.send([commands.build("ClaimVaultExit", **world.by(trader), ticket=ticket)])
        return bool(result["accepted"])

    # -- resolution -----------------------------------------------------------------------------------

    def _choice(self, fate: Fate) -> int:
        return INVALID if fate.truth == fate.outcomes else fate.truth

    def _claim(self, kind: str, trader: int, market: int, choice: int) -> bytes:
        return commands.build(
            kind, **self.world.by(trader), market=market, choice=choice, evidence_items=1, bond=MAX_BOND,
            evidence=EVIDENCE,
        )  # fmt: skip

    def _resolve(self, step: int, due: dict[str, list[int]]) -> None:
        world = self.world
        proposed = due.get("propose", [])
        for market in proposed:
            self._check_backing(market)
        rows = []
        for market in proposed:
            fate = self.fates[market]
            choice = (fate.truth + 1) % fate.outcomes if fate.disputed else self._choice(fate)
            rows.append(self._claim("ProposeResolution", (market + 1) % self.traders, market, choice))
            if fate.disputed:
                disputer = (market + 2) % self.traders
                rows.append(self._claim("DisputeResolution", disputer, market, self._choice(fate)))
                rows += [self._vote(arbiter, market, self._choice(fate)) for arbiter in ARBITERS[:3]]
            # The window of the second round is twice that of the first: four hours, and not a moment less.
            self._at(step + (2 if fate.disputed else 1), "finalise", market)
        world.must(rows)
        finished = due.get("finalise", [])
        world.must(
            commands.build("FinaliseResolution", **world.by(market % self.traders), market=market)
            for market in finished
        )
        for market in finished:
            self._redeem(market)
        self.open_markets -= len(finished)

    def _vote(self, arbiter: bytes, market: int, choice: int) -> bytes:
        return commands.build(
            "VoteResolution", principal=arbiter, client_key=self.world.key(), market=market, choice=choice
        )

    def _redeem(self, market: int) -> None:
        """Every holder, in any order; nothing stays in escrow."""
        world = self.world
        holders = world.books.holders(market)
        world.random.shuffle(holders)
        world.must(commands.build("Redeem", **self._holder(account), market=market) for account in holders)
        for line in (Line.SET_ESCROW, Line.BOND_ESCROW, Line.POOL_CASH):
            rest = int(world.books.keyed[line][market + 1])
            if rest:
                self.faults.append(f"market {market} keeps {rest} on its line {line.name}")
        if world.books.claims.get(market):
            self.faults.append(f"market {market} has claims behind its redemption")

    def _holder(self, account: int) -> dict[str, Any]:
        return self.world.by(account - 1) if account else self.world.by_operator()

    def _check_backing(self, market: int) -> None:
        """As many claims of every outcome as there is money in escrow, to the micro-share (I05)."""
        escrow = int(self.world.books.keyed[Line.SET_ESCROW][market + 1])
        for outcome in range(self.fates[market].outcomes):
            supply = self.world.books.supply(market, outcome)
            if supply != escrow:
                self.faults.append(f"market {market}: {supply} of outcome {outcome} on an escrow of {escrow}")

    # -- end ------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """The token's season is over by time, and everything is counted."""
        world = self.world
        world.wait(4 * DAY_NS)
        if world.books.counts.get("SeasonSettled") != 1:
            self.faults.append("the season of the token did not end")
        self._claim_made()
        world.send(commands.build("ClaimBootstrap", **world.by(one)) for one in range(self.traders))
        for line in (Line.SEASON, Line.MAKER_FUND):
            for asset in (USDC, MMT):
                if rest := world.books.system.get((asset, int(line), CLAIMABLE), 0):
                    self.faults.append(f"{rest} of asset {asset} wait on {line.name} behind all claims")
        for kind in ("MakerRewarded", "MakerRewardsClaimed", "BootstrapClaimed"):
            if not world.books.counts.get(kind):
                self.faults.append(f"the season has no {kind}")
        core = world.engine.core
        for asset in (USDC, MMT):
            self.faults += world.books.differences(core, asset)
        self.faults += world.books.market_differences(core, USDC, len(self.fates))
        owned = {asset: self._owned(asset) for asset in (USDC, MMT)}
        for asset, engine in owned.items():
            if engine != world.books.owned(asset):
                self.faults.append(
                    f"users own {engine} of asset {asset}, postings {world.books.owned(asset)}"
                )
        deposited = DEPOSIT * self.traders + self.pools
        system = int(world.books.lines[USDC, Line.WORLD + 1 :].sum())
        if owned[USDC] + system != deposited:
            self.faults.append(f"{deposited} were deposited, {owned[USDC] + system} are there")
        locked = int(world.books.lines[MMT, Line.WORLD + 1 :].sum()) - world.books.line(MMT, Line.ISSUANCE)
        if owned[MMT] + locked != TOKEN_SUPPLY:
            self.faults.append(f"{owned[MMT] + locked} micro-MMT exist")
        if self.open_markets:
            self.faults.append(f"{self.open_markets} markets are not resolved")

    def _owned(self, asset: int) -> int:
        """What the engine says that all accounts have on all their lines."""
        core, ids = self.world.engine.core, [self.world.operator, *self.world.ids]
        lines = range(8)
        return sum(core.balance(account, 0, asset, line) or 0 for account in ids for line in lines)

    # -- figures --------------------------------------------------------------------------------------

    def _sample(self, step: int) -> None:
        books = self.world.books
        money = {line.name.lower(): books.line(USDC, line) for line in (
            Line.SET_ESCROW, Line.BOND_ESCROW, Line.POOL_CASH, Line.VAULT_CASH, Line.INSURANCE,
            Line.STAKER_POOL, Line.TREASURY,
        )}  # fmt: skip
        self.samples.append(
            {
                "day": round(step * STEP_NS / DAY_NS, 2),
                "open_markets": self.open_markets,
                **money,
                "redeemed": books.redeemed,
                "trades": books.counts.get("Trade", 0),
                "staked": int(books.lines[MMT, Line.BOND]),
                "circulating": books.owned(MMT),
            }
        )

    def _summary(self) -> dict[str, Any]:
        world = self.world
        if self.faults:
            raise ScenarioFailed(f"{len(self.faults)} faults, the first: {self.faults[0]}")
        return {
            "scenario": "season",
            "markets": len(self.fates),
            "traders": self.traders,
            "commands": world.commands,
            "commands_per_second": round(world.commands / (world.engine_ns / 1e9)),
            "deposited": DEPOSIT * self.traders + self.pools,
            "redeemed": world.books.redeemed,
            "trades": world.books.counts.get("Trade", 0),
            "conserved": True,
            "state_hash": world.engine.core.state_hash().hex(),
            "events": dict(sorted(world.books.counts.items())),
            "refusals": dict(sorted(world.refusals.items())),
        }
