"""What the API shows of leveraged markets, feeds, breakers, keepers and margin. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from tradewind.api import exchange_requests as req
from tradewind.api.directory import Directory, NamedMarket
from tradewind.api.exchange_desk import BREAKERS, CAPABILITIES
from tradewind.api.identities import Identities
from tradewind.api.margin import Change, Health, Margin, PositionHealth
from tradewind.api.numbers import amount_text, parse_decimal, parse_price, parse_size, plain_text
from tradewind.api.problems import ApiFailure, failure_of
from tradewind.core.enums import NO_MARKET, Role
from tradewind.core.errors import reject
from tradewind.core.native import command_kinds
from tradewind.core.records import codec
from tradewind.node.projections.feeds import NO_FEED, Feed
from tradewind.node.projections.governance import CLASSES, EFFECTS, Action
from tradewind.node.projections.halts import Breaker
from tradewind.node.projections.keepers import Keeper

MAX_ROWS: Final = 1_000
MICRO: Final = 1_000_000
PHASES: Final = ("closed", "tripped", "auction", "probation")
CAUSES: Final = (
    "", "trade", "mark", "volume", "liquidated accounts", "liquidated interest", "refusals", "feed", "feeds",
    "open interest", "coverage", "weighted move", "manual",
)  # fmt: skip
GATES: Final = ("pass", "missing", "excluded", "stale", "confidence", "outlier")
BREAKER_NAMES: Final = {number: name for name, number in BREAKERS.items()}


AdlRanks = Callable[[int, int, int], tuple[int, int, int] | None]
"""Account, sub-account and market to quintile, rank and number of positions of its side (P5.8)."""


class ExchangeReads:
    """Plain documents. Money is decimal text; what is not known is `null`, never zero."""

    def __init__(
        self, directory: Directory, identities: Identities, adl: AdlRanks, deployment: bytes
    ) -> None:
        self._adl = adl
        self._deployment = deployment
        self._directory = directory
        self._views = directory.views
        self._identities = identities
        self._margin = Margin(directory.views)

    # ---- leveraged markets and positions -----------------------------------------------------------

    def leverage(self, name: str) -> dict[str, Any]:
        """Risk parameters, mark, index, open interest and funding of a leveraged market."""
        market = self._leveraged(name)
        one = self._views.leverage.markets[market.handle]
        price = self._price(market)
        feed = self._views.feeds.by_number.get(one.feed)
        return {
            "symbol": market.symbol,
            "mark": price(one.mark),
            "index": price(one.index),
            "feed": None if feed is None else feed.symbol,
            "feed_state": None if feed is None else feed.state_name,
            "open_interest": plain_text(market.scale.size(one.open_interest_lots)),
            "max_leverage": plain_text(Decimal(one.max_leverage_e2) / 100),
            "size_k_ppm": one.size_k_ppm,
            "floor_mmf_ppm": one.floor_mmf_ppm,
            "liquidation_fee_bps": plain_text(Decimal(one.liquidation_fee_e6bp) / MICRO),
            "position_limit": amount_text(one.position_limit),
            "open_interest_cap": amount_text(one.open_interest_cap),
            "impact_notional": amount_text(one.impact_notional),
            "insurance_limit": amount_text(one.insurance_limit),
            "funding_rate_ppb": one.funding_rate_ppb,
            "next_funding_ns": one.next_funding_ns or None,
            "config_version": market.market.config_version,
        }

    def _leveraged(self, name: str) -> NamedMarket:
        market = self._directory.market(name)
        if market.handle not in self._views.leverage.markets:
            raise ApiFailure(422, "INVALID_MARKET_KIND", f"{market.symbol} is not a leveraged market")
        return market

    @staticmethod
    def _price(market: NamedMarket) -> Any:
        return lambda ticks: plain_text(market.scale.price(ticks)) if ticks else None

    def positions_of(self, name: str) -> dict[str, Any]:
        """Positions of an account, over all its sub-accounts."""
        account = self._directory.account(name)
        rows = []
        for sub in sorted(account.subs):
            health = self._margin.health(account.account, sub)
            rows += [{"sub": sub, **self._held_row(account.account, sub, one)} for one in health.positions]
        return {"positions": rows[:MAX_ROWS], "count": len(rows)}

    def health(self, name: str, sub: int) -> dict[str, Any]:
        """Equity, margins, liquidation prices of a sub-account."""
        account = self._account_sub(name, sub)
        health = self._margin.health(account, sub)
        held = [self._held_row(account, sub, one) for one in health.positions]
        return {**self._health_document(health), "positions": held}

    def _account_sub(self, name: str, sub: int) -> int:
        account = self._directory.account(name)
        if sub not in account.subs:
            raise failure_of(reject("SUB_ACCOUNT_NOT_FOUND", bound=127, given=sub))
        return account.account

    def simulate(self, one: req.Simulate) -> dict[str, Any]:
        """What would liquidate me: the health now, and at other marks or after another order."""
        account = self._account_sub(one.account, one.sub)
        marks = {}
        for name, value in one.marks.items():
            market = self._leveraged(name)
            marks[market.handle] = parse_price(value, market.scale)
        if one.move_pct is not None:
            move = 1 + parse_decimal(one.move_pct) / 100
            for position in self._views.leverage.of_account(account, one.sub):
                mark = self._views.leverage.markets[position.market].mark
                marks.setdefault(position.market, max(1, int(mark * move)))
        change = self._change(one)
        before = self._margin.health(account, one.sub)
        after = self._margin.health(account, one.sub, marks=marks, change=change)
        return {
            "now": self._health_document(before),
            "then": self._health_document(after),
            "liquidated": after.liquidatable if after.known else None,
        }

    def _change(self, one: req.Simulate) -> Change | None:
        if one.market is None:
            return None
        if one.side is None or one.quantity is None:
            raise ApiFailure(400, "MALFORMED_REQUEST", "an order needs market, side and quantity")
        market = self._leveraged(one.market)
        lots = parse_size(one.quantity, market.scale)
        mark = self._views.leverage.markets[market.handle].mark
        price = mark if one.price is None else parse_price(one.price, market.scale)
        return Change(market.handle, lots if one.side == "buy" else -lots, price)

    def _health_document(self, health: Health) -> dict[str, Any]:
        known = health.known

        def text(value: int) -> str | None:
            return amount_text(value) if known else None

        ratio = health.ratio
        return {
            "equity": text(health.equity_maintenance),
            "equity_for_new_risk": text(health.equity_initial),
            "initial_margin": text(health.initial_margin),
            "maintenance_margin": text(health.maintenance_margin),
            "free_collateral": text(health.free_collateral),
            "ratio": None if ratio is None or not known else f"{ratio:.4f}",
            "liquidatable": health.liquidatable if known else None,
            "unknown": list(health.unknown),
            "positions": [self._position_row(one) for one in health.positions],
        }

    def _held_row(self, account: int, sub: int, one: PositionHealth) -> dict[str, Any]:
        """A position with its place in the order of deleveraging; quintile 1 is the first fifth."""
        place = self._adl(account, sub, one.market)
        quintile, rank, of = place or (None, None, None)
        return {**self._position_row(one), "adl_quintile": quintile, "adl_rank": rank, "adl_positions": of}

    def _position_row(self, one: PositionHealth) -> dict[str, Any]:
        market = self._directory.named(one.market)
        price = self._price(market)
        unit = market.market.tick_size * market.market.lot_size // MICRO
        entry = Decimal(one.cost) / (one.lots * unit) if one.lots else Decimal(0)
        tick = Decimal(market.market.tick_size) / MICRO
        return {
            "symbol": market.symbol,
            "side": "long" if one.lots > 0 else "short",
            "quantity": plain_text(market.scale.size(abs(one.lots))),
            "entry": plain_text((entry * tick).quantize(Decimal("0.000001"))),
            "mark": price(one.mark),
            "unrealised": amount_text(one.unrealised),
            "funding_owed": amount_text(one.funding_owed),
            "initial_margin": amount_text(one.initial_margin),
            "maintenance_margin": amount_text(one.maintenance_margin),
            "liquidation_price": price(one.liquidation_price),
            "leverage": plain_text(Decimal(one.leverage_e2) / 100) if one.leverage_e2 else None,
            "isolated": one.isolated,
        }

    # ---- feeds -------------------------------------------------------------------------------------

    def feeds(self) -> dict[str, Any]:
        """Every feed with its state."""
        rows = [self._feed_row(one) for one in self._views.feeds.by_number.values()]
        return {"feeds": rows[:MAX_ROWS], "count": len(rows)}

    def feed(self, name: str) -> dict[str, Any]:
        """One feed with its sources."""
        found = self._views.feeds.find(name)
        if found is None:
            raise ApiFailure(404, "FEED_NOT_FOUND", f"no feed {name!r}", code=3001)
        sources = [
            {
                "name": self._identities.name_of(one.key),
                "key": one.key.hex(),
                "weight": one.weight,
                "value": amount_text(one.value) if one.value else None,
                "confidence": amount_text(one.confidence) if one.value else None,
                "age_ms": self._age_ms(one.source_time_ns),
                "gate": GATES[one.gate] if one.gate < len(GATES) else str(one.gate),
            }
            for one in found.sources.values()
        ]
        row = {**self._feed_row(found), **self._feed_limits(found), "deployment": self._deployment.hex()}
        return {**row, "sources": sources}

    def _feed_row(self, one: Feed) -> dict[str, Any]:
        return {
            "feed": one.feed,
            "symbol": one.symbol,
            "state": one.state_name,
            "since_ns": one.since_ns,
            "index": amount_text(one.index) if one.index else None,
            "confidence": amount_text(one.confidence) if one.index else None,
            "age_ms": self._age_ms(one.updated_ns),
            "passing": sum(source.gate == 0 and source.value > 0 for source in one.sources.values()),
            "sources_count": len(one.sources),
            "quorum": one.quorum,
            "updates": one.updates,
            "override_until_ns": one.override_until_ns or None,
        }

    @staticmethod
    def _feed_limits(one: Feed) -> dict[str, Any]:
        return {
            "kind": "asset" if one.feed_kind == 0 else "probability",
            "interval_ms": one.interval_ms,
            "max_confidence_ppm": one.max_confidence_ppm,
            "max_deviation_bp": one.max_deviation_bp,
            "fallback": None if one.fallback == NO_FEED else one.fallback,
            "config_version": one.config_version,
        }

    def _age_ms(self, then_ns: int) -> int | None:
        return max(0, self._views.applied_time_ns - then_ns) // MICRO if then_ns else None

    # ---- breakers ----------------------------------------------------------------------------------

    def breakers(self, market: str | None) -> dict[str, Any]:
        """Breakers that ever moved or were configured, and the last trips with cause, value and threshold."""
        scope = None if market is None else self._directory.market_or_all(market)
        rows = [self._breaker_row(one) for one in self._views.breakers.of_scope(scope)]
        trips = [
            {
                "seq": one.seq,
                "time_ns": one.time_ns,
                "scope": self._scope(one.market),
                "breaker": BREAKER_NAMES.get(one.breaker, str(one.breaker)),
                "cause": CAUSES[one.cause] if one.cause < len(CAUSES) else str(one.cause),
                "value": one.value,
                "threshold": one.threshold,
                "until_ns": one.until_ns,
            }
            for one in self._views.breakers.trips
            if scope is None or one.market in {scope, NO_MARKET}
        ]
        return {"breakers": rows, "trips": trips[-MAX_ROWS:], "trip_count": self._views.breakers.trip_count}

    def _breaker_row(self, one: Breaker) -> dict[str, Any]:
        return {
            "scope": self._scope(one.market),
            "breaker": BREAKER_NAMES.get(one.breaker, str(one.breaker)),
            "phase": PHASES[one.phase] if one.phase < len(PHASES) else str(one.phase),
            "cause": CAUSES[one.cause] if one.cause < len(CAUSES) else str(one.cause),
            "value": one.value,
            "threshold": one.threshold,
            "since_ns": one.since_ns or None,
            "until_ns": one.until_ns or None,
            "trips": one.trips,
            "closing_pending": one.pending,
        }

    def _scope(self, market: int) -> str:
        return "ALL" if market == NO_MARKET else self._directory.named(market).symbol

    # ---- keepers -----------------------------------------------------------------------------------

    def keepers(self) -> dict[str, Any]:
        """Registered keepers and slashes."""
        rows = [self._keeper_row(one) for one in self._views.keepers.by_account.values()]
        slashes = [
            {
                "slash": one.slash,
                "keeper": self._name(one.account),
                "amount": amount_text(one.amount),
                "ppm": one.ppm,
                "state": one.state,
                "deadline_ns": one.deadline_ns or None,
            }
            for one in self._views.keepers.slashes.values()
        ]
        return {"keepers": rows[:MAX_ROWS], "slashes": slashes[-MAX_ROWS:], "count": len(rows)}

    def _name(self, account: int) -> str:
        owner = self._views.accounts.by_handle[account].owner_key
        return self._identities.name_of(owner) or str(account)

    def _keeper_row(self, one: Keeper) -> dict[str, Any]:
        return {
            "account": self._name(one.account),
            "capabilities": [name for name, bit in CAPABILITIES.items() if one.capabilities & bit],
            "state": "suspended" if one.suspended else "idle" if one.idle else "active",
            "bonded": amount_text(one.bonded),
            "unbonding": amount_text(one.unbonding),
            "score": f"{one.score_ppm / MICRO:.6f}",
            "actions": one.actions,
            "missed": one.missed,
            "rewards": amount_text(one.rewards),
        }

    # ---- governance --------------------------------------------------------------------------------

    def proposals(self) -> dict[str, Any]:
        """Proposals with approvals and times, and offers of authority."""
        rows = [self._proposal_row(one) for one in self._views.governance.actions.values()]
        offers = [
            {
                "offer": one.offer,
                "role": Role(one.authority).name.lower(),
                "holder": self._who(one.holder),
                "nominee": self._who(one.nominee),
                "state": one.state,
                "offered_ns": one.offered_ns,
            }
            for one in self._views.governance.offers.values()
        ]
        version = self._views.governance.config_version
        return {"proposals": rows[-MAX_ROWS:], "offers": offers[-MAX_ROWS:], "config_version": version}

    def _who(self, key: bytes) -> str | None:
        return None if key == bytes(len(key)) else self._identities.name_of(key) or key.hex()

    def _proposal_row(self, one: Action) -> dict[str, Any]:
        names = {(kind, op): name for name, (kind, op, _) in command_kinds().items()}
        return {
            "action": one.action,
            "command": names.get((one.kind, one.op), f"{one.kind:#06x}/{one.op}"),
            "class": CLASSES[one.action_class] if one.action_class < len(CLASSES) else str(one.action_class),
            "effect": EFFECTS[one.effect] if one.effect < len(EFFECTS) else str(one.effect),
            "state": one.state,
            "approvals": one.approvals,
            "needed": one.needed,
            "approvers": [self._who(key) for key in one.approvers],
            "eta_ns": one.eta_ns,
            "expires_ns": one.expires_ns,
            "proposer": self._who(one.proposer),
            "payload": one.payload.hex(),
        }

    # ---- the vocabulary ----------------------------------------------------------------------------

    @staticmethod
    def commands() -> dict[str, Any]:
        """Every command of the engine with its payload's fields: what a proposal may name."""
        return {
            "commands": [
                {
                    "command": name,
                    "fields": [
                        field for field, _, _ in codec(payload).fields if not field.startswith("reserved")
                    ],
                }
                for name, (_, _, payload) in sorted(command_kinds().items())
            ]
        }
