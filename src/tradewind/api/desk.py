"""The command desk: typed requests in, engine commands through the node, answers after durability.

Orders of the trader's own account never go to the engine from here: they pass the trader's risk (T11.1).
Every other command is one record in the log, signed by the identity that the installation has for that
power.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Sequence
from typing import Final

from tradewind.api import requests as req
from tradewind.api.collateral_desk import CollateralDesk
from tradewind.api.desk_base import KEY_BYTES, Done, OwnOrders, client_key
from tradewind.api.directory import NamedMarket, parse_hex32
from tradewind.api.identities import IdentityError
from tradewind.api.numbers import parse_amount, parse_fee_bps, parse_price, parse_size
from tradewind.api.order_fields import order_fields, seconds
from tradewind.api.outcome_names import settle_time_ns
from tradewind.api.problems import ApiFailure, failure_of
from tradewind.core import commands as build
from tradewind.core.enums import (
    ALL,
    ALL_MARKETS,
    AssetFlag,
    MarketKind,
    Side,
)
from tradewind.core.errors import Rejected, reject
from tradewind.core.units import Scale
from tradewind.node.projections.directory import ELASTIC_FEE, Account

SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS
MAX_REASON_BYTES: Final = 48
LEVELS: Final = {"partial": 1, "full": 2, "freeze": 3}
CATEGORIES: Final = (
    "trading", "liquidation", "oracle", "withdrawal", "deposit", "admin", "emergency", "view",
)  # fmt: skip
ISOLATED: Final = 1
NO_KEY: Final = bytes(KEY_BYTES)


OUTCOME_KINDS: Final = ("outcome", "distribution")
"""Kinds of markets whose claims pay the quote."""


class Desk(CollateralDesk):
    """Assets, accounts, markets, collateral and orders."""

    # ---- assets and accounts -----------------------------------------------------------------------

    async def register_asset(self, one: req.RegisterAsset) -> Done:
        """A new asset; OPERATOR."""
        cap = 0 if one.deposit_cap is None else parse_amount(one.deposit_cap)
        names = (
            "initial_asset_bp",
            "maintenance_asset_bp",
            "initial_liability_bp",
            "maintenance_liability_bp",
        )
        weights = {name: 10_000 if one.settlement else getattr(one, name) for name in names}
        flags = AssetFlag(0)
        for given, flag in (
            (one.settlement, AssetFlag.SETTLEMENT),
            (one.stable, AssetFlag.STABLE),
            (one.stake, AssetFlag.STAKE),
            (one.token, AssetFlag.TOKEN),
        ):
            flags |= flag if given else AssetFlag(0)
        return await self._send(
            "RegisterAsset",
            functools.partial(build.build, "RegisterAsset"),
            principal=self._actor(one, "operator"),
            client_key=client_key(one),
            symbol=one.symbol.upper(),
            deposit_cap=cap,
            asset_flags=int(flags),
            **weights,
        )

    async def open_account(self, one: req.OpenAccount) -> Done:
        """An account for a local name, whose keys are made when new, or for a foreign key; SYSTEM."""
        if (one.name is None) == (one.owner_key is None):
            raise ApiFailure(400, "MALFORMED_REQUEST", "state either `name` or `owner_key`")
        owner = parse_hex32(one.owner_key) if one.owner_key is not None else self._key_for(one.name or "")
        if owner is None:
            raise ApiFailure(422, "BAD_KEY", "`owner_key` must be 64 hexadecimal digits")
        return await self._send(
            "OpenAccount",
            build.open_account,
            principal=self._actor(one, "system"),
            client_key=NO_KEY,
            owner_key=owner,
        )

    def _key_for(self, name: str) -> bytes:
        try:
            known = self.identities.public.get(name.lower().replace("-", "_"))
            return known if known is not None else self.identities.create(name)
        except IdentityError as error:
            raise ApiFailure(422, error.code, str(error)) from error

    async def open_sub_account(self, one: req.OpenSubAccount) -> Done:
        """A sub-account; the owner."""
        account = self._account(one.account)
        return await self._send(
            "OpenSubAccount",
            build.open_sub_account,
            principal=account.owner_key,
            account=account.account_id,
            client_key=client_key(one),
            index=one.index,
            margin_mode=ISOLATED if one.isolated else 0,
        )

    # ---- markets -----------------------------------------------------------------------------------

    async def create_market(self, one: req.CreateMarket) -> Done:
        """A market, owned by the operator's account (opened when it is missing); OPERATOR."""
        owner = self._actor(one, "operator")
        quote = self.directory.asset(one.quote)
        # Claims are no asset: the base of an outcome market is its quote.
        base = quote if one.kind in OUTCOME_KINDS else self.directory.asset(self._base_of(one))
        tick, lot = parse_amount(one.tick_size), parse_amount(one.lot_size)
        self._check_grid(tick, lot)
        fees = {
            "taker_fee_e6bp": parse_fee_bps(one.taker_fee_bps),
            "maker_fee_e6bp": parse_fee_bps(one.maker_fee_bps),
        }
        notionals = {
            "min_notional": parse_amount(one.min_notional),
            "max_notional": parse_amount(one.max_notional),
        }
        outcomes, settle_ns = self._outcomes_of(one)
        account = await self._account_of_owner(owner)
        done = await self._send(
            "CreateMarket",
            build.create_market,
            principal=owner,
            account=account,
            client_key=client_key(one),
            nonce=secrets.randbits(63) if one.nonce is None else one.nonce,
            base=base.asset,
            quote=quote.asset,
            tick_size=tick,
            lot_size=lot,
            outcome_count=outcomes,
            settle_time_ns=settle_ns,
            market_kind=int(MarketKind[one.kind.upper()]),
            feed=self._feed_of(one),
            band_bp=one.band_bp,
            slippage_bp=one.slippage_bp,
            market_flags=ELASTIC_FEE if one.elastic_fee else 0,
            **fees,
            **notionals,
        )
        done.effect = {"symbol": self.directory.named(done.value).symbol}
        return done

    @staticmethod
    def _base_of(one: req.CreateMarket) -> str:
        if one.base is None:
            raise ApiFailure(400, "MALFORMED_REQUEST", f"a {one.kind} market has a `base`")
        return one.base

    @staticmethod
    def _outcomes_of(one: req.CreateMarket) -> tuple[int, int]:
        """Number of outcomes, and when the market settles in ns."""
        if one.kind not in OUTCOME_KINDS:
            if one.outcomes is not None or one.settle is not None:
                raise ApiFailure(400, "MALFORMED_REQUEST", f"a {one.kind} market has no outcomes to settle")
            return 1, 0
        # The two sides of a number: high and low.
        outcomes = 2 if one.kind == "distribution" and one.outcomes is None else one.outcomes
        if outcomes is None or one.settle is None:
            raise ApiFailure(400, "MALFORMED_REQUEST", "state `outcomes` and the moment to `settle`")
        if one.base is not None:
            raise ApiFailure(
                400, "MALFORMED_REQUEST", f"a market of kind {one.kind} has no base: its claims pay the quote"
            )
        if not 0 <= outcomes <= 255:
            raise failure_of(reject("INVALID_OUTCOME_COUNT", bound=64, given=outcomes))
        return outcomes, settle_time_ns(one.settle)

    def _feed_of(self, one: req.CreateMarket) -> int:
        if one.kind != "perpetual":
            if one.feed is not None:
                raise ApiFailure(400, "MALFORMED_REQUEST", f"a {one.kind} market has no feed")
            return 0
        found = None if one.feed is None else self.views.feeds.find(one.feed)
        if found is None:
            raise ApiFailure(404, "FEED_NOT_FOUND", f"no feed {one.feed!r}", code=3001)
        return found.feed

    @staticmethod
    def _check_grid(tick: int, lot: int) -> None:
        try:
            Scale(tick, lot)
        except Rejected as error:
            raise failure_of(error) from error

    async def _account_of_owner(self, owner: bytes) -> bytes:
        known = self.views.accounts.by_owner.get(owner)
        if known is not None:
            return known.account_id
        system = self.identities.key("system")
        opened = await self._send(
            "OpenAccount", build.open_account, principal=system, client_key=NO_KEY, owner_key=owner
        )
        return self.views.accounts.by_handle[opened.value].account_id

    async def update_market(self, name: str, one: req.UpdateMarket) -> Done:
        """New parameters; RISK. At most once a day (protocol P14.6)."""
        market = self.directory.market(name)
        fees = {
            key: None if value is None else parse_fee_bps(value)
            for key, value in (("taker_fee_e6bp", one.taker_fee_bps), ("maker_fee_e6bp", one.maker_fee_bps))
        }
        amounts = {
            key: None if value is None else parse_amount(value)
            for key, value in (("min_notional", one.min_notional), ("max_notional", one.max_notional))
        }
        version = market.market.config_version if one.config_version is None else one.config_version
        return await self._send(
            "UpdateMarket",
            build.update_market,
            principal=self._actor(one, "risk"),
            client_key=client_key(one),
            market=market.handle,
            config_version=version,
            band_bp=one.band_bp,
            slippage_bp=one.slippage_bp,
            **fees,
            **amounts,
        )

    async def pause_market(self, name: str, one: req.PauseMarket) -> Done:
        """Stops new risk (`partial`) or everything but cancels (`full`); EMERGENCY. `ALL` is the platform."""
        until_ns = self.node.now_ns() + seconds(one.for_s) * SECOND_NS
        return await self._send(
            "PauseMarket",
            build.pause_market,
            principal=self._actor(one, "emergency"),
            client_key=client_key(one),
            level=LEVELS[one.level],
            until_ns=until_ns,
            reason=_reason(one.reason),
            market=self.directory.market_or_all(name),
            categories=_categories(one.categories),
        )

    async def resume_market(self, name: str, one: req.ResumeMarket) -> Done:
        """One of two approvals; RESUMER. `effect.resumed` tells whether it was the second."""
        market = self.directory.market_or_all(name)
        pause = self.directory.pause_of(market)
        if pause is None and one.pause_id is None:
            raise failure_of(reject("INVALID_TRANSITION"))
        pause_id = one.pause_id if one.pause_id is not None or pause is None else pause.pause_id
        done = await self._send(
            "ResumeMarket",
            build.resume_market,
            principal=self._actor(one, "resumer_1"),
            client_key=client_key(one),
            pause_id=pause_id,
            market=market,
        )
        done.effect = {"resumed": self.directory.pause_of(market) is None}
        return done

    async def close_market(self, name: str, one: req.CloseMarket) -> Done:
        """Cancels every order and closes; OPERATOR."""
        market = self.directory.market(name)
        done = await self._send(
            "CloseMarket",
            build.close_market,
            principal=self._actor(one, "operator"),
            client_key=client_key(one),
            market=market.handle,
        )
        done.effect = {"status": self.directory.named(market.handle).market.status.name.lower()}
        return done

    # ---- orders ------------------------------------------------------------------------------------

    async def place_order(self, one: req.PlaceOrder) -> Done:
        """A new order. The trader's own account goes through the trader's risk."""
        market, account = self.directory.market(one.market), self._account(one.account)
        fields = order_fields(market, one, self.node.now_ns())
        own = self._own_orders(account)
        if own is not None:
            self._check_validity(one)
            if market.market.has_outcomes:
                raise ApiFailure(
                    422,
                    "INVALID_MARKET_KIND",
                    "the trader's risk knows positions of spot and perpetual markets only: "
                    "use another account for orders on outcome markets",
                )
            return await own.place(market, one)
        return await self._send(
            "PlaceOrder",
            build.place_order,
            principal=account.owner_key,
            account=account.account_id,
            sub=one.sub,
            client_key=client_key(one),
            valid_until_ns=self._validity(one),
            market=market.handle,
            **fields,
        )

    async def replace_order(self, order: int, one: req.ReplaceOrder) -> Done:
        """New price or total of an order; 0 keeps a value in the record, so absent fields stay."""
        if one.price is None and one.quantity is None:
            raise ApiFailure(400, "MALFORMED_REQUEST", "state a new price or a new quantity")
        account = self._account(one.account)
        market = self._market_of_order(order, account)
        price = 0 if one.price is None else parse_price(one.price, market.scale)
        lots = 0 if one.quantity is None else parse_size(one.quantity, market.scale)
        own = self._own_orders(account)
        if own is not None:
            self._check_validity(one)
            return await own.replace(order, one)
        return await self._send(
            "ReplaceOrder",
            build.replace_order,
            principal=account.owner_key,
            account=account.account_id,
            client_key=client_key(one),
            valid_until_ns=self._validity(one),
            order=order,
            price=price,
            total_lots=lots,
        )

    async def cancel_order(self, order: int, one: req.CancelOrder) -> Done:
        """Cancels one order."""
        account = self._account(one.account)
        self._market_of_order(order, account)
        own = self._own_orders(account)
        if own is not None:
            self._check_validity(one)
            return await own.cancel(order)
        return await self._send(
            "CancelOrder",
            build.cancel_order,
            principal=account.owner_key,
            account=account.account_id,
            order=order,
            client_key=client_key(one),
            valid_until_ns=self._validity(one),
        )

    async def cancel_all(self, one: req.CancelAll) -> Done:
        """Cancels every order of an account, of one market or side. `effect.cancelled`: their client keys."""
        account = self._account(one.account)
        market = None if one.market is None else self.directory.market(one.market)
        own = self._own_orders(account)
        if own is not None:
            self._check_validity(one)
            return await own.cancel_all(market, one.side)
        done = await self._send(
            "CancelAll",
            build.cancel_all,
            principal=account.owner_key,
            account=account.account_id,
            client_key=client_key(one),
            valid_until_ns=self._validity(one),
            market=ALL_MARKETS if market is None else market.handle,
            side=ALL if one.side is None else Side[one.side.upper()],
        )
        activity = self.views.activity.of(account.account)
        keys = [told.client_key.hex() for told in activity.cancelled_since(done.seq)]
        done.effect = {"cancelled": keys}
        return done

    async def cancel_after(self, one: req.CancelAfter) -> Done:
        """Arms (or with 0 disarms) the dead-man's switch of an account."""
        account = self._account(one.account)
        if not 0 <= one.seconds < 1 << 32:
            raise failure_of(reject("INVALID_SWITCH_WINDOW", bound=86_400, given=one.seconds))
        done = await self._send(
            "SetCancelAllAfter",
            build.set_cancel_all_after,
            principal=account.owner_key,
            account=account.account_id,
            client_key=client_key(one),
            valid_until_ns=self._validity(one),
            window_s=one.seconds,
        )
        done.effect = {"deadline_ns": self.views.activity.of(account.account).switch_deadline_ns or None}
        return done

    @staticmethod
    def _validity(one: req.TimedRequest) -> int:
        """Raises `ApiFailure` for a moment that no field can hold."""
        if not 0 <= one.valid_until_ns < 1 << 63:
            raise failure_of(reject("COMMAND_EXPIRED", given=0))
        return one.valid_until_ns

    def _check_validity(self, one: req.TimedRequest) -> None:
        """The same for orders that go through the trader, who sends commands of its own."""
        until_ns = self._validity(one)
        if until_ns and until_ns < self.node.now_ns():
            raise failure_of(reject("COMMAND_EXPIRED", bound=until_ns, given=self.node.now_ns()))

    def _market_of_order(self, order: int, account: Account) -> NamedMarket:
        found = self.views.orders.get(order)
        if found is None:
            raise failure_of(reject("ORDER_NOT_FOUND", given=order))
        if found.account != account.account:
            raise failure_of(reject("WRONG_OWNER"))
        return self.directory.named(found.market)

    def _own_orders(self, account: Account) -> OwnOrders | None:
        """The trader's desk for its own account; None for every other. Raises when there is no trader."""
        if account.owner_key != self.identities.public.get("trader"):
            return None
        if self.own_orders is None:
            message = "orders of the trader's account pass its risk, and the trader does not run"
            raise ApiFailure(503, "TRADER_NOT_RUNNING", message, retryable=True)
        return self.own_orders


def _categories(names: Sequence[str]) -> int:
    """Bit mask of pause categories. Raises `ApiFailure` UNKNOWN_CATEGORY."""
    mask = 0
    for name in names:
        if name not in CATEGORIES:
            raise ApiFailure(422, "UNKNOWN_CATEGORY", f"no category {name!r}", suggestions=list(CATEGORIES))
        mask |= 1 << CATEGORIES.index(name)
    return mask


def _reason(text: str) -> str:
    if len(text.encode()) > MAX_REASON_BYTES:
        raise failure_of(reject("PARAMETER_OUT_OF_BOUNDS", bound=MAX_REASON_BYTES, given=len(text.encode())))
    return text
