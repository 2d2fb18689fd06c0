"""The desk for leveraged markets, oracles, breakers, keepers and governance: one method per command.

As everywhere, one record in the log per command, signed by the identity that has the power, answered after
durability. Every method raises `ApiFailure` and changes nothing when it does.
"""

from __future__ import annotations

import functools
from typing import Any, Final, cast

from tradewind.api import exchange_requests as req
from tradewind.api.desk import DAY_NS, SECOND_NS, Desk
from tradewind.api.desk_base import Done, client_key
from tradewind.api.numbers import (
    parse_amount,
    parse_decimal,
    parse_fee_bps,
    parse_price,
    parse_size,
    plain_text,
)
from tradewind.api.order_fields import hundredths, order_fields
from tradewind.api.problems import ApiFailure, failure_of
from tradewind.api.requests import PlaceOrder, Request
from tradewind.core import commands as build
from tradewind.core.enums import NO_MARKET, OrderFlag, Side
from tradewind.core.errors import InvalidField, TradewindError, reject
from tradewind.core.hashing import blake3
from tradewind.core.records import codec
from tradewind.security.publications import ATTESTATION_BYTES

OVERRIDES: Final = {"lift": 0, "exclude": 1, "invalid": 2, "fallback": 3}
BREAKERS: Final = {
    "coverage": 1, "price_fast": 2, "price_slow": 3, "price_platform": 4, "volume": 5,
    "liquidation": 6, "congestion": 7, "oracle": 8, "oi_rate": 9,
}  # fmt: skip
CAPABILITIES: Final = {"liquidate": 1, "trigger": 2, "ingest": 4, "crank": 8, "general": 16}
KEEPER_ACTIONS: Final = {"liquidate": 1, "trigger": 2, "ingest": 3, "crank": 4}
FAULTS: Final = {"false_execution": 1, "missed_duty": 2, "conflicting_signatures": 3, "malice": 4}
RISK_FIELDS: Final = (
    "max_leverage_e2", "size_k_ppm", "floor_mmf_ppm", "liquidation_fee_e6bp", "position_limit",
    "open_interest_cap", "impact_notional", "insurance_limit",
)  # fmt: skip
NO_FEED: Final = 0xFFFFFFFF
MAX_BATCH: Final = 8
INNER_BYTES: Final = 64


class ExchangeDesk:
    """Builds and submits the commands of the exchange's own machinery."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.directory = desk.directory
        self.views = desk.views

    async def _send(self, name: str, one: Request, usual: str | None, **fields: Any) -> Done:
        """Sends a command in the name of `usual`, or of the account that `fields` name."""
        if usual is not None:
            fields["principal"] = self._desk._actor(one, usual)
        fields.setdefault("client_key", client_key(one))
        return await self._desk._send(name, functools.partial(build.build, name), **fields)

    def _owner(self, name: str, sub: int = 0) -> dict[str, Any]:
        account = self._desk.account(name)
        return {"principal": account.owner_key, "account": account.account_id, "sub": sub}

    # ---- leveraged markets -------------------------------------------------------------------------

    async def update_risk(self, name: str, one: req.MarketRisk) -> Done:
        """New risk parameters; RISK, and through a proposal what increases risk."""
        market = self.directory.market(name)
        amounts = ("position_limit", "open_interest_cap", "impact_notional", "insurance_limit")
        given: dict[str, int | None] = {
            "max_leverage_e2": None if one.max_leverage is None else hundredths(one.max_leverage),
            "size_k_ppm": one.size_k_ppm,
            "floor_mmf_ppm": one.floor_mmf_ppm,
            "liquidation_fee_e6bp": None
            if one.liquidation_fee_bps is None
            else parse_fee_bps(one.liquidation_fee_bps),
        }
        for field in amounts:
            value = getattr(one, field)
            given[field] = None if value is None else parse_amount(value)
        mask = sum(1 << bit for bit, field in enumerate(RISK_FIELDS) if given[field] is not None)
        version = market.market.config_version if one.config_version is None else one.config_version
        fields = {field: value for field, value in given.items() if value is not None}
        return await self._send(
            "UpdateMarketRisk",
            one,
            "risk",
            market=market.handle,
            config_version=version,
            field_mask=mask,
            **fields,
        )

    async def settle_market(self, name: str, one: req.OneMarket) -> Done:
        """Settles a closed leveraged market at the index average of its last hour."""
        return await self._send("SettleMarket", one, "system", market=self.directory.market(name).handle)

    async def crank_funding(self, name: str, one: req.OneMarket) -> Done:
        """Ends the hour's funding once it is due."""
        return await self._send("CrankFunding", one, "system", market=self.directory.market(name).handle)

    async def update_asset(self, name: str, one: req.UpdateAsset) -> Done:
        """Weights, feed and caps of an asset; RISK."""
        asset = self.directory.asset(name)
        keep = (
            "initial_asset_bp",
            "maintenance_asset_bp",
            "initial_liability_bp",
            "maintenance_liability_bp",
        )
        fields = {
            field: getattr(asset, field) if getattr(one, field) is None else getattr(one, field)
            for field in keep
        }
        feed = asset.feed if one.feed is None else self._feed_or_none(one.feed)
        deposit_cap = asset.deposit_cap if one.deposit_cap is None else parse_amount(one.deposit_cap)
        cap = asset.collateral_cap if one.collateral_cap is None else parse_amount(one.collateral_cap)
        return await self._send(
            "UpdateAsset",
            one,
            "risk",
            asset=asset.asset,
            feed=feed,
            deposit_cap=deposit_cap,
            collateral_cap=cap,
            **fields,
        )

    async def fund_insurance(self, one: req.FundInsurance) -> Done:
        """Money for the insurance fund, from an account's free settlement money."""
        settlement = next((a for a in self.views.assets.by_number.values() if a.settles), None)
        if settlement is None:
            raise ApiFailure(404, "ASSET_NOT_FOUND", "no asset is registered as the settlement asset")
        return await self._send(
            "FundInsurance",
            one,
            None,
            **self._owner(one.account, one.sub),
            asset=settlement.asset,
            amount=parse_amount(one.amount),
        )

    async def set_suitability(self, one: req.SetSuitability) -> Done:
        """Whether an account may use more than tenfold leverage; RISK."""
        account = self._desk.account(one.account)
        expiry_ns = self._desk.node.now_ns() + one.days * DAY_NS
        return await self._send(
            "SetSuitability", one, "risk", account=account.account_id, level=one.level, expiry_ns=expiry_ns
        )

    # ---- positions ---------------------------------------------------------------------------------

    async def close_position(self, one: req.ClosePosition) -> Done:
        """Closes a position or a part of it. `effect.left`: what the book did not take."""
        market = self.directory.market(one.market)
        lots = 0 if one.quantity is None else parse_size(one.quantity, market.scale)
        limit = 0 if one.limit is None else parse_price(one.limit, market.scale)
        account = self._desk.account(one.account)
        owner = self._owner(one.account, one.sub)
        done = await self._send(
            "ClosePosition", one, None, **owner, market=market.handle, lots=lots, limit=limit
        )
        key = (account.account, one.sub, market.handle)
        position = self.views.leverage.positions.get(key)
        left = 0 if position is None else abs(position.lots)
        done.effect = {"left": plain_text(market.scale.size(left)) if left else "0"}
        return done

    async def adjust_margin(self, one: req.AdjustMargin) -> Done:
        """Moves settlement money into or out of an isolated sub-account with a position."""
        number = parse_decimal(one.amount)
        amount = parse_amount(str(abs(number))) * (1 if number >= 0 else -1)
        market = self.directory.market(one.market)
        owner = self._owner(one.account, one.sub)
        return await self._send("AdjustMargin", one, None, **owner, market=market.handle, amount=amount)

    async def liquidate(self, one: req.Liquidate) -> Done:
        """Liquidates an unhealthy position; a keeper's account, else SYSTEM."""
        target = self._desk.account(one.target)
        fields: dict[str, Any] = {
            "target": target.account_id,
            "target_sub": one.target_sub,
            "market": self.directory.market(one.market).handle,
        }
        if one.keeper is None:
            return await self._send("Liquidate", one, "system", **fields)
        return await self._send("Liquidate", one, None, **self._owner(one.keeper), **fields)

    # ---- orders of several parts -------------------------------------------------------------------

    async def place_twap(self, one: req.PlaceTwap) -> Done:
        """Slices over time."""
        market = self.directory.market(one.market)
        return await self._send(
            "PlaceTwap",
            one,
            None,
            **self._owner(one.account, one.sub),
            market=market.handle,
            side=int(Side[one.side.upper()]),
            lots=parse_size(one.quantity, market.scale),
            limit=0 if one.limit is None else parse_price(one.limit, market.scale),
            slices=one.slices,
            interval_s=one.interval_s,
            slippage_bp=one.slippage_bp,
            order_flags=int(OrderFlag.REDUCE_ONLY) if one.reduce_only else 0,
        )

    async def place_batch(self, one: req.PlaceBatch) -> Done:
        """Up to eight orders, all or nothing: one submission, so that nothing comes between them."""
        import msgspec

        if not 1 <= len(one.orders) <= MAX_BATCH:
            raise failure_of(reject("BATCH_TOO_LARGE", bound=MAX_BATCH, given=len(one.orders)))
        owner = self._owner(one.account, one.sub)
        head = build.build("PlaceBatch", **owner, client_key=client_key(one), count=len(one.orders))
        records, keys = [head], []
        for row in one.orders:
            try:
                order = msgspec.convert({**row, "account": one.account, "sub": one.sub}, PlaceOrder)
            except msgspec.ValidationError as error:
                raise ApiFailure(400, "MALFORMED_REQUEST", f"orders: {error}") from error
            market = self.directory.market(order.market)
            fields = order_fields(market, order, self._desk.node.now_ns())
            key = client_key(order)
            keys.append(key)
            until_ns = self._desk._validity(order)
            records.append(
                build.build(
                    "BatchItem",
                    **owner,
                    client_key=key,
                    valid_until_ns=until_ns,
                    market=market.handle,
                    **fields,
                )
            )
        try:
            results = await self._desk.node.submit(b"".join(records))
        except (TradewindError, InvalidField) as error:
            raise failure_of(error) from error
        refusal = next((result.error() for result in results if not result.accepted), None)
        if refusal is not None:
            raise failure_of(refusal)
        last = results[-1]
        done = Done(command="PlaceBatch", seq=last.seq, value=results[0].value)
        owner_handle = self._desk.account(one.account).account
        placed = [self.views.orders.by_client_key(owner_handle, key) for key in keys]
        done.effect = {"orders": [None if order is None else order.order for order in placed]}
        return done

    # ---- oracle ------------------------------------------------------------------------------------

    def feed(self, name: str) -> Any:
        """A feed by symbol or number. Raises `ApiFailure` FEED_NOT_FOUND."""
        found = self.views.feeds.find(name)
        if found is None:
            raise ApiFailure(404, "FEED_NOT_FOUND", f"no feed {name!r}", code=3001)
        return found

    def _feed_or_none(self, name: str | None) -> int:
        return NO_FEED if name is None or name == req.NO_FEED else int(self.feed(name).feed)

    async def register_feed(self, one: req.RegisterFeed) -> Done:
        """A feed, usable when the weights of its sources sum to 100; RISK."""
        return await self._send(
            "RegisterFeed",
            one,
            "risk",
            symbol=one.symbol,
            feed_kind=0 if one.kind == "asset" else 1,
            quorum=one.quorum,
            interval_ms=one.interval_ms,
            max_confidence_ppm=one.max_confidence_ppm,
            max_deviation_bp=one.max_deviation_bp,
            fallback=self._feed_or_none(one.fallback),
        )

    async def update_feed(self, name: str, one: req.UpdateFeed) -> Done:
        """New limits of a feed; RISK."""
        feed = self.feed(name)
        names = ("quorum", "interval_ms", "max_confidence_ppm", "max_deviation_bp")
        fields = {
            field: getattr(feed, field) if getattr(one, field) is None else getattr(one, field)
            for field in names
        }
        version = feed.config_version if one.config_version is None else one.config_version
        return await self._send(
            "UpdateFeed",
            one,
            "risk",
            symbol=feed.symbol,
            feed_kind=feed.feed_kind,
            feed=feed.feed,
            config_version=version,
            fallback=feed.fallback if one.fallback is None else self._feed_or_none(one.fallback),
            **fields,
        )

    async def set_source(self, name: str, one: req.SetFeedSource) -> Done:
        """A source of a feed and its weight; RISK."""
        source = self._desk._principal(one.source)
        return await self._send(
            "SetFeedSource", one, "risk", feed=self.feed(name).feed, source=source, weight=one.weight
        )

    async def override_feed(self, name: str, one: req.OverrideFeed) -> Done:
        """One of two approvals of an emergency override; EMERGENCY. `effect.pending`: a second is needed."""
        source = bytes(32) if one.source is None else self._desk._principal(one.source)
        feed, action = self.feed(name), OVERRIDES[one.action]
        until_ns = 0 if one.action == "lift" else self._desk.node.now_ns() + one.for_s * SECOND_NS
        # The second person approves what the first has asked for, to the nanosecond.
        if feed.pending is not None and feed.pending[0] == action and one.action != "lift":
            until_ns = feed.pending[1]
        done = await self._send(
            "OverrideFeed", one, "emergency", feed=feed.feed, action=action, until_ns=until_ns, source=source
        )
        done.effect = {"pending": done.value == 0}
        return done

    async def publish_price(self, name: str, one: req.PublishPrice) -> Done:
        """A price of the acting source, signed with the source's own key; ORACLE."""
        feed = self.feed(name)
        if one.signature is None:
            raise failure_of(reject("PUBLICATION_UNSIGNED"))
        if one.source_time_ns is None or one.source_seq is None:
            raise ApiFailure(
                400, "MALFORMED_REQUEST", "source_time_ns and source_seq are part of what is signed"
            )
        try:
            attestation = bytes.fromhex(one.signature)
        except ValueError:
            raise failure_of(reject("PUBLICATION_FORGED", bound=ATTESTATION_BYTES)) from None
        fields: dict[str, Any] = {
            "principal": self._desk._principal(one.actor or "oracle_1"),
            "client_key": client_key(one),
            "feed": feed.feed,
            "source_time_ns": one.source_time_ns,
            "source_seq": one.source_seq,
            **price_fields(one.value, one.confidence, one.bid, one.ask),
        }
        make = functools.partial(build.build, "PublishPrice", **fields)
        return await self._desk._commit("PublishPrice", make, [attestation])

    async def link_owners(self, one: req.LinkOwners) -> Done:
        """Declares two owners as one in detection; RISK."""
        first, other = self._desk.account(one.first), self._desk.account(one.other)
        return await self._send(
            "LinkOwners",
            one,
            "risk",
            **link_fields(first.account_id, other.account_id, one),
        )

    # ---- breakers ----------------------------------------------------------------------------------

    async def trip_breaker(self, breaker: str, one: req.Breaker) -> Done:
        """Trips a breaker by hand; EMERGENCY."""
        return await self._breaker("TripBreaker", breaker, one, "emergency")

    async def close_breaker(self, breaker: str, one: req.Breaker) -> Done:
        """One of two approvals to close a breaker early; RESUMER."""
        return await self._breaker("CloseBreaker", breaker, one, "resumer_1")

    async def _breaker(self, command: str, breaker: str, one: req.Breaker, usual: str) -> Done:
        number = number_of(BREAKERS, breaker, "breaker")
        market = self.directory.market_or_all(one.market)
        return await self._send(command, one, usual, market=market, breaker=number, reason=one.reason)

    async def configure_breaker(self, breaker: str, one: req.ConfigureBreaker) -> Done:
        """New threshold or duration; RISK, and through a proposal what loosens it."""
        number = number_of(BREAKERS, breaker, "breaker")
        market = self.directory.market_or_all(one.market)
        version = one.config_version
        if version is None and market != NO_MARKET:
            version = self.directory.named(market).market.config_version
        return await self._send(
            "ConfigureBreaker",
            one,
            "risk",
            market=market,
            breaker=number,
            config_version=version or 0,
            threshold=one.threshold or 0,
            second_threshold=one.second_threshold or 0,
            halt_s=one.halt_s or 0,
            cooldown_s=one.cooldown_s or 0,
        )

    # ---- keepers -----------------------------------------------------------------------------------

    async def register_keeper(self, one: req.RegisterKeeper) -> Done:
        """A keeper with its stake; the account's owner."""
        bits = 0
        for name in one.capabilities:
            bits |= number_of(CAPABILITIES, name, "capability")
        owner = self._owner(one.account)
        return await self._send(
            "RegisterKeeper", one, None, **owner, capabilities=bits, stake=parse_amount(one.stake)
        )

    async def change_stake(self, command: str, one: req.KeeperStake) -> Done:
        """StakeKeeper, UnstakeKeeper or WithdrawKeeperStake; the keeper."""
        amount = 0 if one.amount is None else parse_amount(one.amount)
        return await self._send(command, one, None, **self._owner(one.account), amount=amount)

    async def change_keeper(self, command: str, one: req.KeeperTarget) -> Done:
        """RemoveKeeper or ReinstateKeeper; OPERATOR."""
        keeper = self._desk.account(one.keeper).account_id
        return await self._send(command, one, "operator", keeper=keeper)

    async def keeper_act(self, one: req.KeeperAct) -> Done:
        """A duty that a keeper performs."""
        target = bytes(32) if one.target is None else self._desk.account(one.target).account_id
        return await self._send(
            "KeeperAct",
            one,
            None,
            **self._owner(one.account),
            action=number_of(KEEPER_ACTIONS, one.action, "action"),
            market=0 if one.market is None else self.directory.market(one.market).handle,
            target=target,
            target_sub=one.target_sub,
            order=one.order,
        )

    async def slash_keeper(self, one: req.SlashKeeper) -> Done:
        """One of the signatures that slash a keeper; OPERATOR."""
        return await self._send(
            "SlashKeeper",
            one,
            "operator",
            keeper=self._desk.account(one.keeper).account_id,
            evidence=evidence_hash(one.evidence),
            fault=number_of(FAULTS, one.fault, "fault"),
            ppm=one.ppm,
        )

    async def appeal_slash(self, slash: int, one: req.SlashAppeal) -> Done:
        """The keeper appeals."""
        if one.account is None:
            raise ApiFailure(400, "MALFORMED_REQUEST", "state the keeper's `account`")
        return await self._send("AppealSlash", one, None, **self._owner(one.account), slash=slash)

    async def decide_appeal(self, slash: int, one: req.SlashAppeal) -> Done:
        """An arbiter confirms or reverses a slash."""
        return await self._send("DecideAppeal", one, "arbiter", slash=slash, uphold=int(one.uphold))

    # ---- governance --------------------------------------------------------------------------------

    async def propose(self, one: req.ProposeAction) -> Done:
        """A change that others approve and that waits for its time-lock; GOVERNOR."""
        fields = dict(one.fields)
        if one.market is not None:
            fields["market"] = self.directory.market_or_all(one.market)
        kind, op, payload = inner_command(one.command, fields)
        return await self._send(
            "ProposeAction",
            one,
            "governor",
            action_kind=kind,
            action_op=op,
            config_version=self.views.governance.config_version
            if one.config_version is None
            else one.config_version,
            payload=payload,
        )

    async def act_on_action(self, command: str, usual: str, action: int, one: req.OneAction) -> Done:
        """ApproveAction, CancelAction or ExecuteAction."""
        return await self._send(command, one, usual, action=action)

    async def offer_authority(self, one: req.OfferAuthority) -> Done:
        """Offers a role that the actor holds."""
        if one.actor is None:
            raise ApiFailure(400, "MALFORMED_REQUEST", "state the holder as `actor`")
        nominee = self._desk._principal(one.nominee)
        role = int(self.directory.role(one.role))
        return await self._send("OfferAuthority", one, one.actor, nominee=nominee, authority=role)

    async def act_on_offer(self, command: str, offer: int, one: req.OneOffer) -> Done:
        """AcceptAuthority or WithdrawOffer."""
        if one.actor is None:
            raise ApiFailure(400, "MALFORMED_REQUEST", "state who acts as `actor`")
        return await self._send(command, one, one.actor, offer=offer)

    async def renounce_authority(self, one: req.RenounceAuthority) -> Done:
        """Gives up a role 48 h later."""
        if one.actor is None:
            raise ApiFailure(400, "MALFORMED_REQUEST", "state the holder as `actor`")
        return await self._send(
            "RenounceAuthority", one, one.actor, authority=int(self.directory.role(one.role))
        )


def signed_amount(value: Any) -> int:
    """Micro-units of an amount that the engine itself judges (0 and negative included)."""
    number = parse_decimal(value)
    if number > 0:
        return parse_amount(value)
    return 0 if number == 0 else -parse_amount(str(-number))


def price_fields(value: Any, confidence: Any, bid: Any, ask: Any) -> dict[str, int]:
    """Micro-units of a publication's money, as they are signed and sent; no bid or ask is 0.

    Raises `ApiFailure`: NOT_A_NUMBER, INVALID_AMOUNT, FLOAT_MONEY.
    """
    given = {"value": value, "confidence": confidence, "bid": bid, "ask": ask}
    return {name: 0 if one is None else signed_amount(one) for name, one in given.items()}


def number_of(names: dict[str, int], name: str, what: str) -> int:
    """The number behind a name. Raises `ApiFailure` with the known names."""
    found = names.get(name.lower().replace("-", "_"))
    if found is None:
        raise ApiFailure(
            422, f"UNKNOWN_{what.upper()}", f"no {what} {name!r}", suggestions=sorted(names)[:MAX_BATCH]
        )
    return found


def evidence_hash(text: str) -> bytes:
    """The hash of a piece of evidence; zero, which the engine refuses, for no text."""
    return blake3(text.encode()) if text.strip() else bytes(32)


def link_fields(first: bytes, other: bytes, one: req.LinkOwners) -> dict[str, Any]:
    """Payload of LinkOwners."""
    fields: dict[str, Any] = {"first": first, "other": other, "linked": int(one.linked)}
    if any(name == "evidence" for name, _, _ in codec("LinkOwners").fields):
        fields["evidence"] = evidence_hash(one.evidence)
    return fields


def inner_command(name: str, fields: dict[str, int | str]) -> tuple[int, int, bytes]:
    """Kind, variant and payload of a command that is to be executed later.

    Raises:
        ApiFailure: UNKNOWN_COMMAND, MALFORMED_REQUEST for unknown fields, ABOVE_MAXIMUM for payloads that do
        not fit an action.
    """
    try:
        record = build.build(name, principal=bytes(32), **cast(dict[str, Any], fields))
    except InvalidField as error:
        raise ApiFailure(422, "INVALID_FIELD", str(error)) from error
    envelope = {field: offset for field, offset, _ in codec("Command").fields}
    payload = record[envelope["payload"] :]
    if any(payload[INNER_BYTES:]):
        raise ApiFailure(422, "ABOVE_MAXIMUM", f"{name} has more than {INNER_BYTES} bytes of fields")
    kind = int.from_bytes(record[envelope["kind"] : envelope["kind"] + 2], "little")
    return kind, record[envelope["op"]], payload[:INNER_BYTES]
