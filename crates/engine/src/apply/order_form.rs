//! Whether an order is well formed: size, type, time in force, price domain (protocol P2.4.2–P2.4.4).

use crate::limits::*;
use crate::market::{kind, Market};
use crate::math::notional;
use crate::wire::command::{order_flag, order_type, side, stp, time_in_force, PlaceOrder};
use crate::wire::error::{reject, Code, Reject};

/// Form checks of P2.4.2–P2.4.4; returns the limit in ticks (of a market order the protective one).
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
        let value = notional(price, request.lots, market.unit)?;
        if value < market.parameters.min_notional {
            return reject(Code::ORDER_TOO_SMALL, market.parameters.min_notional, value);
        }
        if value > market.parameters.max_notional {
            return reject(Code::ORDER_TOO_LARGE, market.parameters.max_notional, value);
        }
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

fn protective_limit(market: &Market, request: &PlaceOrder) -> Result<i64, Reject> {
    let slippage_bp = match request.slippage_bp {
        0 => market.parameters.slippage_bp,
        given if given < SLIPPAGE_BP.0 => {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(SLIPPAGE_BP.0), i64::from(given))
        }
        given if given > SLIPPAGE_BP.1 => {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(SLIPPAGE_BP.1), i64::from(given))
        }
        given => given,
    };
    if request.side > side::SELL {
        return reject(Code::INVALID_ORDER_TYPE, i64::from(side::SELL), i64::from(request.side));
    }
    let limit = market.protective_limit(request.side, u32::from(slippage_bp));
    limit.map(|price| price.min(MAX_PRICE)).ok_or(Code::NO_LIQUIDITY.into())
}

/// Type × time in force × flags (P2.4.3).
#[inline]
fn check_type(request: &PlaceOrder, now_ns: i64, market_is_leveraged: bool) -> Result<(), Reject> {
    let PlaceOrder { order_type: kind, time_in_force: tif, order_flags: flags, .. } = *request;
    let later_slices = request.display_lots
        | request.trigger_price
        | request.trail
        | request.linked_order as i64
        | if market_is_leveraged { 0 } else { i64::from(request.leverage_e2) }
        | i64::from(request.trigger_source);
    let slippage = kind == order_type::LIMIT && request.slippage_bp != 0;
    if kind > order_type::MARKET
        || request.side > side::SELL
        || request.self_trade_prevention > stp::DECREMENT
        || flags & !order_flag::POST_ONLY != 0
        || later_slices != 0
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
