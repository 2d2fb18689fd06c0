"""What the API shows: views of the log, and the platform's own picture of itself. Nothing here changes
anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from tradewind.api.directory import Directory, NamedMarket
from tradewind.api.identities import Identities
from tradewind.api.numbers import amount_text, fee_bps_text, plain_text
from tradewind.api.outcome_names import outcome_name, outcome_number
from tradewind.api.outcomes import OutcomeReads
from tradewind.api.problems import ApiFailure, failure_of
from tradewind.core.enums import NO_MARKET, MarketKind, MarketStatus, Role, Side
from tradewind.core.errors import reject
from tradewind.node.projections.directory import ELASTIC_FEE, Account, Market, Pause
from tradewind.node.projections.orders import Order
from tradewind.observe.view import PlatformView, ViewSource

INTERVALS_S: Final = {"1s": 1, "1m": 60}
MAX_ROWS: Final = 1_000


class NodeFacts(Protocol):
    """The node, as far as reading uses it."""

    @property
    def next_seq(self) -> int: ...

    @property
    def state(self) -> Any: ...

    @property
    def stop_reason(self) -> str | None: ...

    def head(self) -> dict[str, Any]: ...

    async def state_hashes(self) -> tuple[bytes, bytes]: ...

    async def root(self) -> tuple[int, bytes]: ...


class VenueFacts(Protocol):
    """The paper venue, as far as reading uses it."""

    async def status(self) -> Any: ...

    async def instruments(self) -> Any: ...

    async def balances(self) -> Any: ...


class Reads:
    """Plain documents for every read request. Money is decimal text."""

    def __init__(
        self,
        node: NodeFacts,
        directory: Directory,
        identities: Identities,
        source: ViewSource,
        venue: Callable[[], VenueFacts | None],
    ) -> None:
        self.node = node
        self._directory = directory
        self._views = directory.views
        self._identities = identities
        self._source = source
        self._venue = venue
        self._outcomes = OutcomeReads(directory)

    # ---- the platform ------------------------------------------------------------------------------

    def status(self) -> PlatformView:
        """Everything at a glance."""
        return self._source()

    async def head(self) -> dict[str, Any]:
        """The durable end of the log. The hashes are those after `next_seq - 1`, read together."""
        for _ in range(MAX_ROWS):
            before = self.node.next_seq
            state_hash, cursor_hash = await self.node.state_hashes()
            blocks, root = await self.node.root()
            if self.node.next_seq == before:
                break
        head = self.node.head()
        return {
            "next_seq": before,
            "blocks": blocks,
            "hash": bytes(head.get("hash") or head.get("durable_hash") or b"").hex(),
            "root": root.hex(),
            "state_hash": state_hash.hex(),
            "cursor_hash": cursor_hash.hex(),
            "node": str(self.node.state),
            "stop_reason": self.node.stop_reason,
        }

    def positions(self) -> dict[str, Any]:
        """What trading holds, its cost and its profit."""
        view = self._source()
        return {
            "symbol": view.market.symbol,
            "position": view.position,
            "profit": view.profit,
            "trading": view.trading,
        }

    def limits(self) -> dict[str, Any]:
        """Risk limits and how full they are."""
        return {"limits": self._source().limits}

    async def venue(self) -> dict[str, Any]:
        """The paper venue: status, instruments, balances."""
        venue = self._venue()
        if venue is None:
            raise ApiFailure(503, "VENUE_NOT_RUNNING", "the paper venue is not running yet", retryable=True)
        status, instruments, balances = (
            await venue.status(),
            await venue.instruments(),
            await venue.balances(),
        )
        rows = [
            {
                "symbol": one.symbol,
                "tick": plain_text(one.tick),
                "lot": plain_text(one.lot),
                "min_quantity": None if one.min_quantity is None else plain_text(one.min_quantity),
                "min_notional": None if one.min_notional is None else plain_text(one.min_notional),
                "source": one.source,
            }
            for one in instruments
        ]
        held = [
            {"asset": one.asset, "free": plain_text(one.free), "held": plain_text(one.held)}
            for one in balances
        ]
        return {"status": msgspec.to_builtins(status), "symbols": rows, "balances": held}

    # ---- assets and accounts -----------------------------------------------------------------------

    def assets(self) -> dict[str, Any]:
        """Registered assets."""
        rows = [
            {
                "handle": one.asset,
                "symbol": one.symbol,
                "deposit_cap": amount_text(one.deposit_cap) if one.deposit_cap else None,
                "in_custody": amount_text(-self._views.ledger.system_line(0x80, one.asset)),
            }
            for one in self._views.assets.by_number.values()
        ]
        return {"assets": rows}

    def accounts(self) -> dict[str, Any]:
        """Accounts, with the local name of their owner where there is one."""
        rows = [self._account_row(one) for one in self._views.accounts.by_handle.values()]
        return {"accounts": rows[:MAX_ROWS], "count": len(rows)}

    def _account_row(self, one: Account) -> dict[str, Any]:
        return {
            "handle": one.account,
            "name": self._identities.name_of(one.owner_key),
            "account_id": one.account_id.hex(),
            "owner_key": one.owner_key.hex(),
            "subs": sorted(one.subs),
        }

    def balances(self, name: str) -> dict[str, Any]:
        """Balances of every sub-account of an account, from the postings of the log."""
        account = self._directory.account(name)
        rows = [
            {
                "sub": sub,
                "asset": self._views.assets.by_number[one.asset].symbol,
                "free": amount_text(one.free),
                "held": amount_text(one.held),
                "pending_withdrawal": amount_text(one.pending_withdrawal),
                "total": amount_text(one.total),
            }
            for sub in sorted(account.subs)
            for one in self._views.ledger.balances(account.account, sub)
        ]
        return {"account": self._account_row(account), "balances": rows, "as_of_seq": self._views.applied_seq}

    def withdrawals(self) -> dict[str, Any]:
        """Open withdrawals, and the last ones that ended."""
        rows = [
            {
                "ticket": one.ticket,
                "account": one.account,
                "asset": self._views.assets.by_number[one.asset].symbol,
                "amount": amount_text(one.amount),
                "state": one.state,
                "eta_ns": one.eta_ns,
            }
            for one in self._views.withdrawals.by_ticket.values()
        ]
        return {"withdrawals": rows[-MAX_ROWS:]}

    def roles(self) -> dict[str, Any]:
        """Principals with their roles."""
        rows = [
            {
                "name": self._identities.name_of(key),
                "principal": key.hex(),
                "roles": {Role(number).name.lower(): expiry_ns for number, expiry_ns in entry.roles.items()},
                "suspended": entry.suspended,
                "reinstatement_pending": entry.reinstatement_pending,
            }
            for key, entry in self._views.principals.by_key.items()
        ]
        return {"principals": rows[:MAX_ROWS]}

    # ---- markets -----------------------------------------------------------------------------------

    def markets(self) -> dict[str, Any]:
        """Every market."""
        rows = [self._market_row(one) for one in self._directory.markets()[:MAX_ROWS]]
        return {"markets": rows, "platform_pause": self._pause_row(NO_MARKET)}

    def market(self, name: str) -> dict[str, Any]:
        """One market with its parameters and its best prices."""
        return self._market_row(self._directory.market(name))

    def _market_row(self, named: NamedMarket) -> dict[str, Any]:
        one, scale = named.market, named.scale
        book, tape = self._views.books.book(one.market), self._views.trades.tape(one.market)
        bid, ask, last = book.best(Side.BUY), book.best(Side.SELL), tape.last_price
        running = one.status == MarketStatus.ACTIVE
        return {
            "handle": one.market,
            "symbol": named.symbol,
            "kind": one.kind.name.lower(),
            **self._created(one),
            "status": "paused" if one.pause is not None and running else one.status.name.lower(),
            "tick": amount_text(one.tick_size),
            "lot": amount_text(one.lot_size),
            "taker_bps": fee_bps_text(one.taker_fee_e6bp),
            "maker_bps": fee_bps_text(one.maker_fee_e6bp),
            "min_notional": amount_text(one.min_notional),
            "max_notional": amount_text(one.max_notional),
            "band_bp": one.band_bp,
            "slippage_bp": one.slippage_bp,
            "config_version": one.config_version,
            "best_bid": None if bid is None else plain_text(scale.price(bid)),
            "best_ask": None if ask is None else plain_text(scale.price(ask)),
            "last": None if last is None else plain_text(scale.price(last)),
            "trades": tape.trade_count,
            "pause": self._pause_row(one.market),
            **self._outcomes.facts(named),
        }

    def _created(self, one: Market) -> dict[str, Any]:
        """What a market is made of and never changes; names of assets and of the feed, where it has one."""
        assets = self._views.assets.by_number
        feed = self._views.feeds.by_number.get(one.feed) if one.kind is MarketKind.PERPETUAL else None
        return {
            "market_id": one.market_id.hex(),
            "nonce": str(one.nonce),
            "base": assets[one.base].symbol,
            "quote": assets[one.quote].symbol,
            "feed": None if feed is None else feed.symbol,
            "elastic_fee": bool(one.market_flags & ELASTIC_FEE),
        }

    def _pause_row(self, market: int) -> dict[str, Any] | None:
        pause: Pause | None = self._directory.pause_of(market)
        if pause is None:
            return None
        first = self._views.resumes.first.get((market, pause.pause_id))
        return {
            "pause_id": pause.pause_id,
            "level": "full" if pause.level > 1 else "partial",
            "until_ns": pause.until_ns,
            "reason": pause.reason,
            "approved_by": None if first is None else self._identities.name_of(first) or first.hex(),
        }

    def book(self, name: str, depth: int, outcome: str | None = None) -> dict[str, Any]:
        """Price levels, best first; of an outcome market those of one outcome, in its own prices."""
        named = self._directory.market(name)
        scale = named.scale
        number = 0 if outcome is None else outcome_number(named, outcome)
        book, flips = self._outcomes.book_of(named, number), named.market.flips(number)

        def side(which: Side) -> list[dict[str, Any]]:
            return [
                {
                    "price": plain_text(
                        scale.price(named.market.payout_ticks - one.price if flips else one.price)
                    ),
                    "size": plain_text(scale.size(one.lots)),
                    "orders": one.orders,
                }
                for one in book.levels(Side(1 - which) if flips else which, depth)
            ]

        return {
            "symbol": named.symbol,
            "bids": side(Side.BUY),
            "asks": side(Side.SELL),
            "seq": book.updated_seq,
            "time_ns": book.updated_ns,
        }

    def trades(self, name: str, limit: int) -> dict[str, Any]:
        """The newest trades, newest first."""
        named = self._directory.market(name)
        scale, tape = named.scale, self._views.trades.tape(named.handle)
        newest = list(tape.trades)[-limit:][::-1]
        rows = [
            {
                "seq": one.seq,
                "time_ns": one.time_ns,
                "price": plain_text(scale.price(one.price)),
                "size": plain_text(scale.size(one.lots)),
                "notional": amount_text(one.notional),
                "side": one.side.name.lower(),
            }
            for one in newest
        ]
        return {"symbol": named.symbol, "trades": rows}

    def candles(self, name: str, interval: str, limit: int) -> dict[str, Any]:
        """Open, high, low, close and volume of the newest intervals, oldest first."""
        if interval not in INTERVALS_S:
            known = ", ".join(INTERVALS_S)
            raise ApiFailure(422, "PARAMETER_OUT_OF_BOUNDS", f"interval {interval!r} is none of {known}")
        named = self._directory.market(name)
        scale, tape = named.scale, self._views.trades.tape(named.handle)
        rows = [
            {
                "start_ns": one.start_ns,
                **{
                    key: plain_text(scale.price(getattr(one, key)))
                    for key in ("open", "high", "low", "close")
                },
                "volume": plain_text(scale.size(one.lots)),
                "notional": amount_text(one.notional),
                "trades": one.trades,
            }
            for one in list(tape.candles[INTERVALS_S[interval]])[-limit:]
        ]
        return {"symbol": named.symbol, "interval": interval, "candles": rows}

    # ---- orders ------------------------------------------------------------------------------------

    def orders(self, account: str | None, market: str | None) -> dict[str, Any]:
        """Open orders of an account, of a market, or of both. Without either: the trader's."""
        handle = None if market is None else self._directory.market(market).handle
        if account is None and handle is not None:
            found = list(self._views.orders.of_market(handle))
        else:
            owner = self._directory.account(account or "trader")
            found = self._views.orders.of_account(owner.account, handle)
        return {"orders": [self._order_row(one) for one in found[:MAX_ROWS]], "count": len(found)}

    def order(self, number: int) -> dict[str, Any]:
        """One order, open or ended lately."""
        found = self._views.orders.get(number)
        if found is None:
            raise failure_of(reject("ORDER_NOT_FOUND", given=number))
        return self._order_row(found)

    def _order_row(self, one: Order) -> dict[str, Any]:
        named = self._directory.named(one.market)
        scale = named.scale
        return {
            "order": one.order,
            "account": one.account,
            "symbol": named.symbol,
            "outcome": outcome_name(named, one.outcome) if named.market.outcome_count > 1 else None,
            "side": one.side.name.lower(),
            "price": plain_text(scale.price(one.price)),
            "quantity": plain_text(scale.size(one.total_lots)),
            "filled": plain_text(scale.size(one.filled_lots)),
            "remaining": plain_text(scale.size(one.remaining_lots)),
            "fees": amount_text(one.fees),
            "status": str(one.status),
            "reason": None if one.reason is None else one.reason.name.lower(),
            "client_key": one.client_key.hex(),
            "accepted_ns": one.accepted_ns,
            "seq": one.accepted_seq,
        }
