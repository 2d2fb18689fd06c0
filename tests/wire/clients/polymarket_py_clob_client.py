"""Trades on a gateway with py-clob-client-v2, unmodified. Environment: URL, ALICE and BOB (private keys)."""

from __future__ import annotations

import os
import sys

from py_clob_client_v2.client import ClobClient
from py_clob_client_v2.clob_types import (
    AssetType,
    BalanceAllowanceParams,
    BookParams,
    MarketOrderArgs,
    OpenOrderParams,
    OrderArgs,
    OrderMarketCancelParams,
    OrderPayload,
    OrderType,
    PostOrdersV2Args,
    TradeParams,
)
from py_clob_client_v2.exceptions import PolyApiException


def entered(name: str) -> ClobClient:
    client = ClobClient(os.environ["URL"], chain_id=137, key=os.environ[name])
    client.set_api_creds(client.create_or_derive_api_key())
    assert client.derive_api_key().api_key == client.creds.api_key
    return client


def refused(work: object, *words: str) -> None:
    try:
        work()
    except PolyApiException as error:
        text = str(error.error_msg)
        assert all(word in text for word in words), text
        return
    raise AssertionError(f"{words} was accepted")


def main() -> int:
    alice, bob = entered("ALICE"), entered("BOB")
    assert alice.get_ok() == "OK" and alice.get_version() == 2 and alice.get_server_time() > 0
    markets = alice.get_markets()["data"]
    assert alice.get_simplified_markets()["next_cursor"] == "LTE="
    for market in markets:
        trade_on(alice, bob, market)
    assert alice.get_api_keys()["apiKeys"]
    assert alice.get_closed_only_mode()["closed_only"] is False
    beat = alice.post_heartbeat()
    assert alice.post_heartbeat(beat["heartbeat_id"])["status"] == "ok"
    refused(lambda: alice.post_heartbeat("wrong"), "Invalid Heartbeat ID")
    alice.delete_api_key()
    refused(alice.get_api_keys, "Unauthorized")
    print("done")
    return 0


def trade_on(alice: ClobClient, bob: ClobClient, market: dict) -> None:
    yes, no = (row["token_id"] for row in market["tokens"])
    tick = float(alice.get_tick_size(yes))
    assert tick == float(market["minimum_tick_size"]) and alice.get_neg_risk(yes) == market["neg_risk"]
    assert alice.get_market(market["condition_id"])["question"] == market["question"]
    assert alice.get_clob_market_info(market["condition_id"])["t"][0]["t"] == yes

    # place and cancel
    placed = alice.create_and_post_order(OrderArgs(token_id=yes, price=0.4 + tick, size=20, side="BUY"))
    assert placed["success"] and placed["status"] == "live", placed
    name = placed["orderID"]
    assert alice.get_order(name)["original_size"] == "20"
    assert [row["id"] for row in alice.get_open_orders(OpenOrderParams(asset_id=yes))] == [name]
    book = alice.get_order_book(yes)
    assert float(book["bids"][-1]["price"]) == round(0.4 + tick, 4)
    assert alice.get_order_book_hash(dict(book)) == book["hash"]
    assert alice.cancel_order(OrderPayload(orderID=name))["canceled"] == [name]
    assert alice.get_order(name)["status"] == "CANCELED"

    # partial fill, then the rest
    name = alice.create_and_post_order(OrderArgs(token_id=yes, price=0.4, size=20, side="BUY"))["orderID"]
    half = bob.create_and_post_order(OrderArgs(token_id=yes, price=0.4, size=8, side="SELL"))
    assert half["status"] == "matched" and half["makingAmount"] == "8" and half["transactionsHashes"], half
    assert alice.get_order(name)["size_matched"] == "8"
    rest = bob.create_and_post_order(OrderArgs(token_id=no, price=0.6, size=12, side="BUY"))
    assert rest["status"] == "matched", rest
    assert alice.get_order(name)["status"] == "MATCHED"
    trades = alice.get_trades(TradeParams(market=market["condition_id"]))
    assert sorted(float(row["size"]) for row in trades) == [8.0, 12.0]
    assert {row["maker_orders"][0]["order_id"] for row in trades} == {name}
    assert float(alice.get_last_trade_price(yes)["price"]) == 0.4
    held = alice.get_balance_allowance(BalanceAllowanceParams(asset_type=AssetType.CONDITIONAL, token_id=yes))
    assert int(held["balance"]) == 120_000_000, held

    # market orders
    bob.create_and_post_order(OrderArgs(token_id=yes, price=0.42, size=20, side="SELL"))
    taken = alice.create_and_post_market_order(MarketOrderArgs(token_id=yes, amount=4.2, side="BUY"))
    assert taken["status"] == "matched" and float(taken["takingAmount"]) == 10, taken
    refused(
        lambda: alice.create_and_post_market_order(
            MarketOrderArgs(token_id=yes, amount=50, side="BUY", price=0.42)
        ),
        "FOK orders are fully filled or killed",
    )
    part = alice.create_and_post_market_order(
        MarketOrderArgs(token_id=yes, amount=50, side="BUY", price=0.42), order_type=OrderType.FAK
    )
    assert part["status"] == "matched" and float(part["takingAmount"]) == 10, part

    # what is refused
    refused(
        lambda: alice.create_and_post_order(OrderArgs(token_id=yes, price=0.4, size=1, side="BUY")),
        "lower than the minimum",
    )
    refused(
        lambda: alice.create_and_post_order(OrderArgs(token_id=yes, price=0.4, size=100_000, side="BUY")),
        "not enough balance / allowance",
    )
    resting = bob.create_order(OrderArgs(token_id=yes, price=0.7, size=10, side="SELL"))
    bob.post_order(resting, OrderType.GTC)
    refused(lambda: bob.post_order(resting, OrderType.GTC), "Duplicated")
    crossing = alice.create_order(OrderArgs(token_id=yes, price=0.7, size=10, side="BUY"))
    refused(lambda: alice.post_order(crossing, OrderType.GTC, post_only=True), "order crosses book")

    # several, and cancels of several
    orders = [
        PostOrdersV2Args(
            order=alice.create_order(OrderArgs(token_id=yes, price=price, size=10, side="BUY")),
            orderType=OrderType.GTC,
        )
        for price in (0.1, 0.2, 0.3)
    ]
    names = [row["orderID"] for row in alice.post_orders(orders)]
    assert alice.cancel_orders(names[:1])["canceled"] == names[:1]
    left = alice.cancel_market_orders(OrderMarketCancelParams(market=market["condition_id"], asset_id=yes))
    assert set(left["canceled"]) == set(names[1:])
    bob.cancel_all()
    assert not bob.get_open_orders()
    assert len(alice.get_order_books([BookParams(token_id=yes), BookParams(token_id=no)])) == 2
    assert set(alice.get_midpoints([BookParams(token_id=yes)])) == {yes}


if __name__ == "__main__":
    sys.exit(main())
