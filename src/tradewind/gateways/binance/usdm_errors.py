"""Error codes of Binance USD-M where they differ from those of spot."""

from __future__ import annotations

from typing import Final

from tradewind.gateways.model import Kind, Refusal, Refused

from .errors import BinanceError, of_refusal

REFUSALS: Final = {
    Refusal.BAD_PRICE: (-4001, "Price less than 0."),
    Refusal.OFF_TICK: (-4014, "Price not increased by tick size."),
    Refusal.BAD_QUANTITY: (-4003, "Quantity less than or equal to zero."),
    Refusal.OFF_LOT: (-4023, "Qty not increased by step size."),
    Refusal.BELOW_MIN_QUANTITY: (-4004, "Quantity less than min quantity."),
    Refusal.ABOVE_MAX_QUANTITY: (-4005, "Quantity greater than max quantity."),
    Refusal.OUTSIDE_BAND: (
        -4131,
        "The counterparty's best price does not meet the PERCENT_PRICE filter limit.",
    ),
    Refusal.TOO_MANY_ORDERS: (-2025, "Reach max open order limit."),
    Refusal.POSITION_LIMIT: (-2027, "Exceeded the maximum allowable position at current leverage."),
    Refusal.INSUFFICIENT_FUNDS: (-2019, "Margin is insufficient."),
    Refusal.WOULD_TAKE: (
        -5022,
        "Due to the order could not be executed as maker, the Post Only order will be rejected.",
    ),
    Refusal.WOULD_TRIGGER: (-2021, "Order would immediately trigger."),
    Refusal.NOT_FILLABLE: (
        -5021,
        "Due to the order could not be filled immediately, the FOK order has been rejected.",
    ),
    Refusal.NO_LIQUIDITY: (-2020, "Unable to fill."),
    Refusal.DUPLICATE_CLIENT_ID: (-4116, "ClientOrderId is duplicated."),
    Refusal.REDUCE_ONLY: (-2022, "ReduceOnly Order is rejected."),
    Refusal.MARKET_CLOSED: (-4108, "Symbol is not in trading status."),
    Refusal.CANCEL_ONLY: (-4108, "Symbol is not in trading status."),
    Refusal.ABOVE_MAX_NOTIONAL: (
        -2027,
        "Exceeded the maximum allowable position at current leverage.",
    ),
}


def of_usdm_refusal(refused: Refused, kind: Kind, least: str) -> BinanceError:
    """The venue's error for a refusal; `least` is the smallest value of an order."""
    if refused.refusal is Refusal.BELOW_MIN_NOTIONAL:
        return BinanceError(
            -4164, f"Order's notional must be no smaller than {least} (unless you choose reduce only)."
        )
    found = REFUSALS.get(refused.refusal)
    return of_refusal(refused, kind) if found is None else BinanceError(*found, status=400)


def wrong_side() -> BinanceError:
    return BinanceError(-4061, "Order's position side does not match user's setting.")


def not_offered(what: str) -> BinanceError:
    """What this exchange has no means for."""
    return BinanceError(-1020, f"This operation is not supported: {what}.")
