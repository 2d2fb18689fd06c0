"""Routes of leveraged markets, oracles, breakers, keepers and governance."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request

from tradewind.api import exchange_requests as req
from tradewind.api.exchange_desk import ExchangeDesk
from tradewind.api.exchange_reads import ExchangeReads
from tradewind.api.problems import ApiFailure
from tradewind.api.route import CommandRoute, Handler


def _plain(method: Callable[[Any], Awaitable[Any]]) -> Handler:
    return lambda _, body: method(body)


def _named(method: Callable[[str, Any], Awaitable[Any]]) -> Handler:
    return lambda request, body: method(request.path_params["name"], body)


def _numbered(method: Callable[[int, Any], Awaitable[Any]]) -> Handler:
    return lambda request, body: method(request.path_params["number"], body)


def exchange_commands(desk: ExchangeDesk, reads: ExchangeReads) -> list[CommandRoute]:
    """Every command of the exchange's own machinery."""

    async def simulate(_: Request, body: Any) -> Any:
        return reads.simulate(body)

    stake = functools.partial(functools.partial, desk.change_stake)
    keeper = functools.partial(functools.partial, desk.change_keeper)
    rows: list[tuple[str, Any, Handler, str]] = [
        ("/markets/{name:path}/risk", req.MarketRisk, _named(desk.update_risk), "Change risk parameters"),
        ("/markets/{name:path}/settle", req.OneMarket, _named(desk.settle_market), "Settle a closed market"),
        (
            "/markets/{name:path}/funding",
            req.OneMarket,
            _named(desk.crank_funding),
            "Charge the hour's funding",
        ),
        (
            "/assets/{name}/update",
            req.UpdateAsset,
            _named(desk.update_asset),
            "Change weights, feed and caps",
        ),
        ("/insurance", req.FundInsurance, _plain(desk.fund_insurance), "Fund the insurance"),
        ("/suitability", req.SetSuitability, _plain(desk.set_suitability), "Allow high leverage"),
        ("/positions/close", req.ClosePosition, _plain(desk.close_position), "Close a position"),
        ("/positions/margin", req.AdjustMargin, _plain(desk.adjust_margin), "Move isolated margin"),
        ("/positions/liquidate", req.Liquidate, _plain(desk.liquidate), "Liquidate an unhealthy position"),
        ("/positions/simulate", req.Simulate, simulate, "What would happen"),
        ("/orders/twap", req.PlaceTwap, _plain(desk.place_twap), "Place slices over time"),
        ("/orders/batch", req.PlaceBatch, _plain(desk.place_batch), "Place up to eight orders at once"),
        ("/feeds", req.RegisterFeed, _plain(desk.register_feed), "Register a feed"),
        ("/feeds/{name}/update", req.UpdateFeed, _named(desk.update_feed), "Change a feed's limits"),
        ("/feeds/{name}/sources", req.SetFeedSource, _named(desk.set_source), "Set a source's weight"),
        ("/feeds/{name}/override", req.OverrideFeed, _named(desk.override_feed), "Approve an override"),
        ("/feeds/{name}/prices", req.PublishPrice, _named(desk.publish_price), "Publish a price"),
        ("/links", req.LinkOwners, _plain(desk.link_owners), "Declare owners as one"),
        ("/breakers/{name}/trip", req.Breaker, _named(desk.trip_breaker), "Trip a breaker"),
        ("/breakers/{name}/close", req.Breaker, _named(desk.close_breaker), "Approve an early close"),
        ("/breakers/{name}/configure", req.ConfigureBreaker, _named(desk.configure_breaker), "Configure"),
        ("/keepers", req.RegisterKeeper, _plain(desk.register_keeper), "Register a keeper"),
        ("/keepers/stake", req.KeeperStake, _plain(stake("StakeKeeper")), "Add stake"),
        ("/keepers/unstake", req.KeeperStake, _plain(stake("UnstakeKeeper")), "Begin to take stake out"),
        ("/keepers/withdraw", req.KeeperStake, _plain(stake("WithdrawKeeperStake")), "Take stake out"),
        ("/keepers/act", req.KeeperAct, _plain(desk.keeper_act), "Perform a duty"),
        ("/keepers/remove", req.KeeperTarget, _plain(keeper("RemoveKeeper")), "Remove a keeper"),
        ("/keepers/reinstate", req.KeeperTarget, _plain(keeper("ReinstateKeeper")), "Reinstate a keeper"),
        ("/keepers/slash", req.SlashKeeper, _plain(desk.slash_keeper), "Sign a slash"),
        ("/slashes/{number:int}/appeal", req.SlashAppeal, _numbered(desk.appeal_slash), "Appeal"),
        ("/slashes/{number:int}/decide", req.SlashAppeal, _numbered(desk.decide_appeal), "Decide an appeal"),
        ("/proposals", req.ProposeAction, _plain(desk.propose), "Propose a change"),
        ("/authorities/offer", req.OfferAuthority, _plain(desk.offer_authority), "Offer a role"),
        ("/authorities/renounce", req.RenounceAuthority, _plain(desk.renounce_authority), "Give up a role"),
    ]
    actions = {"approve": ("ApproveAction", "approver_1"), "cancel": ("CancelAction", "governor"),
               "execute": ("ExecuteAction", "system")}  # fmt: skip
    for verb, (command, usual) in actions.items():
        act = functools.partial(desk.act_on_action, command, usual)
        rows.append(
            (f"/proposals/{{number:int}}/{verb}", req.OneAction, _numbered(act), f"{verb} a proposal")
        )
    for verb, command in {"accept": "AcceptAuthority", "withdraw": "WithdrawOffer"}.items():
        offer = functools.partial(desk.act_on_offer, command)
        rows.append(
            (f"/authorities/{{number:int}}/{verb}", req.OneOffer, _numbered(offer), f"{verb} an offer")
        )
    return [CommandRoute(*row) for row in rows]


def exchange_reads(reads: ExchangeReads) -> list[tuple[str, Callable[[Request], Any], str]]:
    """Every view of the exchange's own machinery."""
    return [
        (
            "/markets/{name:path}/leverage",
            lambda r: reads.leverage(r.path_params["name"]),
            "Risk, mark, index, funding",
        ),
        ("/accounts/{name}/positions", lambda r: reads.positions_of(r.path_params["name"]), "Positions"),
        (
            "/accounts/{name}/health",
            lambda r: reads.health(r.path_params["name"], _sub(r)),
            "Equity, margins, liquidation prices",
        ),
        ("/feeds", lambda _: reads.feeds(), "Feeds"),
        ("/feeds/{name}", lambda r: reads.feed(r.path_params["name"]), "One feed"),
        ("/breakers", lambda r: reads.breakers(r.query_params.get("market")), "Breakers and trips"),
        ("/keepers", lambda _: reads.keepers(), "Keepers and slashes"),
        ("/proposals", lambda _: reads.proposals(), "Proposals and offers of authority"),
        ("/commands", lambda _: reads.commands(), "The engine's commands and their fields"),
    ]


def _sub(request: Request) -> int:
    text = request.query_params.get("sub", "0")
    if not text.isdecimal() or int(text) > 127:
        raise ApiFailure(422, "PARAMETER_OUT_OF_BOUNDS", "sub must be from 0 to 127", bound=127)
    return int(text)
