"""What the Polymarket gateway says is a message of the venue: of a known shape, every field known."""

from __future__ import annotations

from typing import Any

import msgspec
from polymarket_world import World

from tradewind.venues.frame_watch import FrameWatch
from tradewind.venues.polymarket.shapes import SHAPES, name_of

NUMBERS = msgspec.json.Encoder(decimal_format="number")


async def test_answers_and_frames_have_the_venues_shape(world: World) -> None:
    watch = FrameWatch(SHAPES, name_of)

    def look(name: str, answer: Any) -> None:
        watch.look(f"polymarket rest {name}", NUMBERS.encode(answer))

    yes = world.yes.token_id
    async with (
        world.alice.socket("/ws/market") as public,
        world.alice.user_channel() as private,
    ):
        await public.send(assets_ids=[yes], type="market", custom_feature_enabled=True)
        await public.of("book")
        resting = await world.alice.done(
            "POST", "/order", world.alice.payload(world.yes, "BUY", "0.40", "10")
        )
        look("order answer", resting)
        await world.bob.order(world.yes, "SELL", "0.40", "6")
        look("book", await world.alice.get("/book", f"token_id={yes}"))
        for row in (await world.alice.get("/markets"))["data"]:
            look("market", row)
        for row in (await world.alice.done("GET", "/data/orders"))["data"]:
            look("open order", row)
        for row in (await world.alice.done("GET", "/data/trades"))["data"]:
            look("trade", row)
        look("fee-rate", await world.alice.get("/fee-rate", f"token_id={yes}"))
        money = await world.alice.done(
            "GET", "/balance-allowance", query="asset_type=COLLATERAL&signature_type=0"
        )
        look("balance-allowance", money)
        look("cancel answer", await world.alice.done("DELETE", "/order", {"orderID": resting["orderID"]}))
        await public.ping()
        await private.ping()
        for frame in [*public.frames, *private.frames]:
            if not isinstance(frame, str):
                watch.see(NUMBERS.encode(frame))
    assert watch.names == []
    assert watch.unnamed == 0 and watch.looked_at > 12
