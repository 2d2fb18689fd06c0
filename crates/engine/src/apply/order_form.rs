//! Whether an order is well formed: size, type, time in force, price domain (protocol P2.4.2–P2.4.4).

use crate::limits::*;
use crate::market::{kind, Market};
use crate::math::notional;
use crate::wire::command::{order_flag, order_type, side, stp, time_in_force, PlaceOrder};
use crate::wire::error::{reject, Code, Reject};

/// Form checks of P2.4.2–P2.4.4 of a plain limit or market order; returns the limit in ticks (of a market order the protective one).
#[inline(always)]
pub(super) fn check_form(
    market: &Market,
    request: &PlaceOrder,
    now_ns: i64,
    system: bool,
) -> Result<i64, Reject> {
    if request.lots < 1 || request.lots > MAX_LOTS {
        return reject(Code::INVALID_SIZE, MAX_LOTS, request.lots);
    }
    let is_market = request.order_type == order_type::MARKET;
    let price = if is_market { protective_limit(market, request)? } else { request.price };
    let in_domain = (1..=MAX_PRICE).contains(&price);
    if in_domain && !system {
        check_value(market, price, request.lots)?;
    }
    check_type(request, now_ns, market.kind == kind::PERPETUAL)?;
    if is_market && request.price != 0 {
        return reject(Code::MARKET_ORDER_HAS_PRICE, 0, request.price);
    }
    if !in_domain {
        return reject(Code::INVALID_PRICE, MAX_PRICE, price);
    }
    Ok(price)
}

/// The bounds of an order's notional (P2.4.2).
#[inline]
pub(super) fn check_value(market: &Market, price: i64, lots: i64) -> Result<(), Reject> {
    let value = notional(price, lots, market.unit)?;
    if value < market.parameters.min_notional {
        return reject(Code::ORDER_TOO_SMALL, market.parameters.min_notional, value);
    }
    if value > market.parameters.max_notional {
        return reject(Code::ORDER_TOO_LARGE, market.parameters.max_notional, value);
    }
    Ok(())
}

/// The slippage that an order at the market allows, in bp: its own or the market's.
pub(super) fn slippage_bp(market: &Market, given: u16) -> Result<u16, Reject> {
    match given {
        0 => Ok(market.parameters.slippage_bp),
        given if given < SLIPPAGE_BP.0 => {
            reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(SLIPPAGE_BP.0), i64::from(given))
        }
        given if given > SLIPPAGE_BP.1 => {
            reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(SLIPPAGE_BP.1), i64::from(given))
        }
        given => Ok(given),
    }
}

/// The limit of a market order (P2.4.4).
pub(super) fn protective_limit(market: &Market, request: &PlaceOrder) -> Result<i64, Reject> {
    let slippage_bp = slippage_bp(market, request.slippage_bp)?;
    if request.side > side::SELL {
        return reject(Code::INVALID_ORDER_TYPE, i64::from(side::SELL), i64::from(request.side));
    }
    let limit = market.protective_limit(request.side, u32::from(slippage_bp));
    limit.map(|price| price.min(MAX_PRICE)).ok_or(Code::NO_LIQUIDITY.into())
}

/// Type × time in force × flags (P2.4.3) of a plain order; what is special was told apart before.
#[inline(always)]
pub(super) fn check_type(request: &PlaceOrder, now_ns: i64, market_is_leveraged: bool) -> Result<(), Reject> {
    let PlaceOrder { order_type: kind, time_in_force: tif, order_flags: flags, .. } = *request;
    let special_fields = request.display_lots
        | request.trigger_price
        | request.trail
        | request.linked_order as i64
        | if market_is_leveraged { 0 } else { i64::from(request.leverage_e2) }
        | i64::from(request.trigger_source);
    let slippage = kind == order_type::LIMIT && request.slippage_bp != 0;
    if request.side > side::SELL
        || request.self_trade_prevention > stp::DECREMENT
        || special_fields != 0
        || slippage
    {
        return reject(Code::INVALID_ORDER_TYPE, i64::from(order_type::MARKET), i64::from(kind));
    }
    let post_only = flags & order_flag::POST_ONLY != 0;
    let immediate = matches!(tif, time_in_force::IOC | time_in_force::FOK);
    let fits = match kind {
        order_type::MARKET => immediate && !post_only,
        _ => tif <= time_in_force::GTD && !(post_only && immediate),
    };
    check_time(request, fits, now_ns)
}

/// Time in force and expiry (P2.4.3); `fits` says whether the type takes this time in force.
#[inline]
pub(super) fn check_time(request: &PlaceOrder, fits: bool, now_ns: i64) -> Result<(), Reject> {
    let tif = request.time_in_force;
    if !fits || (tif != time_in_force::GTD && request.expiry_ns != 0) {
        return reject(Code::INVALID_TIME_IN_FORCE, i64::from(time_in_force::GTD), i64::from(tif));
    }
    if tif == time_in_force::GTD {
        if request.expiry_ns <= now_ns {
            return reject(Code::ORDER_EXPIRED, now_ns, request.expiry_ns);
        }
        let latest = now_ns.saturating_add(MAX_EXPIRY_NS);
        if request.expiry_ns > latest {
            return reject(Code::ORDER_EXPIRY_TOO_FAR, latest, request.expiry_ns);
        }
    }
    Ok(())
}
