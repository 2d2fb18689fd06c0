//! Whether an order of a special type is well formed (protocol P2.4.2–P2.4.4, P2.5.2–P2.5.5).

use super::super::order_form::{check_time, check_value, protective_limit, slippage_bp};
use crate::book::Book;
use crate::engine::Engine;
use crate::limits::*;
use crate::market::{slipped, Market};
use crate::trigger::{waits, Special};
use crate::wire::command::{order_flag, order_type, side, stp, time_in_force, trigger_source, PlaceOrder};
use crate::wire::error::{reject, Code, Reject};

const KNOWN_FLAGS: u16 = order_flag::POST_ONLY
    | order_flag::REDUCE_ONLY
    | order_flag::OCO
    | order_flag::BRACKET
    | order_flag::TRAIL_PPM;
pub(super) const LINKS: u16 = order_flag::OCO | order_flag::BRACKET;

/// Whether orders of this type wait for a price.
pub(super) fn waits_for_price(kind: u8) -> bool {
    (order_type::STOP..=order_type::TRAILING_STOP).contains(&kind)
}

/// A well-formed special order: its limit (of market variants the protective one) and its record.
pub(super) struct Form {
    pub price: i64,
    pub special: Special,
}

impl<B: Book> Engine<B> {
    /// All checks of form, in the order of P2.4 and P2.5.
    pub(super) fn special_form(
        &self,
        market: &Market,
        request: &PlaceOrder,
        now_ns: i64,
    ) -> Result<Form, Reject> {
        if request.lots < 1 || request.lots > MAX_LOTS {
            return reject(Code::INVALID_SIZE, MAX_LOTS, request.lots);
        }
        check_fields(request)?;
        check_time(request, takes_time_in_force(request), now_ns)?;
        let mut special = Special {
            source: request.trigger_source,
            leverage_e2: u32::from(request.leverage_e2),
            limit: request.price,
            ..Special::PLAIN
        };
        let price = if waits_for_price(request.order_type) {
            self.check_trigger(market, request, &mut special)?
        } else if request.order_type == order_type::MARKET {
            if request.price != 0 {
                return reject(Code::MARKET_ORDER_HAS_PRICE, 0, request.price);
            }
            protective_limit(market, request)?
        } else {
            request.price
        };
        if !(1..=MAX_PRICE).contains(&price) {
            return reject(Code::INVALID_PRICE, MAX_PRICE, price);
        }
        // A position of any size may be closed.
        if request.order_flags & order_flag::REDUCE_ONLY == 0 {
            check_value(market, price, request.lots)?;
        }
        if request.order_type == order_type::ICEBERG {
            special.display = display_of(request)?;
        }
        Ok(Form { price, special })
    }

    /// Source, trigger price and trail (P2.5.3, P2.5.4); the limit with which the order fires.
    fn check_trigger(
        &self,
        market: &Market,
        request: &PlaceOrder,
        special: &mut Special,
    ) -> Result<i64, Reject> {
        let limit_is_missing = request.order_type == order_type::STOP_LIMIT && request.price == 0;
        if limit_is_missing || request.trigger_source > trigger_source::LAST_TRADE {
            return reject(Code::INVALID_TRIGGER, 0, i64::from(request.trigger_source));
        }
        let Some(now) = self.source_price(request.market, request.trigger_source) else {
            return reject(Code::INVALID_TRIGGER, 0, i64::from(request.trigger_source));
        };
        let trigger = if request.order_type == order_type::TRAILING_STOP {
            if request.trigger_price != 0 {
                return reject(Code::INVALID_TRIGGER, 0, request.trigger_price);
            }
            check_trail(request, now)?;
            (special.trail, special.extreme) = (request.trail, now);
            special.stop(request.side, now, request.order_flags).max(1)
        } else {
            if !(1..=MAX_PRICE).contains(&request.trigger_price) {
                return reject(Code::INVALID_TRIGGER, MAX_PRICE, request.trigger_price);
            }
            special.trigger_price = request.trigger_price;
            // An exit of a bracket is armed by its entry's fills; until then no price fires it.
            let armed = request.order_flags & order_flag::BRACKET == 0;
            if armed && is_reached(request.order_type, request.side, request.trigger_price, now) {
                return reject(Code::TRIGGER_WOULD_FIRE, now, request.trigger_price);
            }
            request.trigger_price
        };
        special.state = waits::PENDING;
        if request.price != 0 {
            return Ok(request.price);
        }
        special.slippage_bp = slippage_bp(market, request.slippage_bp)?;
        Ok(slipped(request.side, trigger, u32::from(special.slippage_bp)).min(MAX_PRICE))
    }

    /// Price of a trigger source in ticks; None when there is none (yet).
    pub(super) fn source_price(&self, market: u32, source: u8) -> Option<i64> {
        let price = match source {
            trigger_source::LAST_TRADE => self.state.markets.list[market as usize].last_price,
            source => self.state.perps.of_market(market).map_or(0, |perp| match source {
                trigger_source::MARK => perp.mark,
                _ => perp.index,
            }),
        };
        (price > 0).then_some(price)
    }
}

/// Whether a source at `price` fires an order (P2.5.3).
pub(super) fn is_reached(kind: u8, order_side: u8, trigger: i64, price: i64) -> bool {
    if crate::trigger::fires_rising(kind, order_side) {
        price >= trigger
    } else {
        price <= trigger
    }
}

/// Fields that another type needs are refused, never ignored.
pub(super) fn check_fields(request: &PlaceOrder) -> Result<(), Reject> {
    let (kind, flags) = (request.order_type, request.order_flags);
    let at_market = kind == order_type::MARKET || (waits_for_price(kind) && request.price == 0);
    if kind > order_type::ICEBERG
        || request.side > side::SELL
        || request.self_trade_prevention > stp::DECREMENT
        || flags & !KNOWN_FLAGS != 0
        || (request.slippage_bp != 0 && !at_market)
    {
        return reject(Code::INVALID_ORDER_TYPE, i64::from(order_type::ICEBERG), i64::from(kind));
    }
    let linked = flags & LINKS;
    let one_time = matches!(request.time_in_force, time_in_force::IOC | time_in_force::FOK);
    if linked == LINKS
        || (linked == 0) != (request.linked_order == 0)
        || (linked != 0 && (one_time || kind == order_type::MARKET))
        || (linked == order_flag::BRACKET && !waits_for_price(kind))
    {
        return reject(Code::INVALID_LINK, 0, request.linked_order as i64);
    }
    if kind != order_type::ICEBERG && request.display_lots != 0 {
        return reject(Code::INVALID_DISPLAY_SIZE, 0, request.display_lots);
    }
    if !waits_for_price(kind) && (request.trigger_price | i64::from(request.trigger_source)) != 0 {
        return reject(Code::INVALID_TRIGGER, 0, request.trigger_price);
    }
    let trails = kind == order_type::TRAILING_STOP;
    if !trails && (request.trail != 0 || flags & order_flag::TRAIL_PPM != 0) {
        return reject(Code::INVALID_TRAIL, 0, request.trail);
    }
    Ok(())
}

/// Which times in force a special order takes (P2.4.3): what fires at the market waits, then takes at once.
pub(super) fn takes_time_in_force(request: &PlaceOrder) -> bool {
    let tif = request.time_in_force;
    let post_only = request.order_flags & order_flag::POST_ONLY != 0;
    let lasting = matches!(tif, time_in_force::GTC | time_in_force::GTD);
    match request.order_type {
        order_type::MARKET => !lasting && tif <= time_in_force::GTD && !post_only,
        order_type::ICEBERG => lasting,
        kind if waits_for_price(kind) && request.price == 0 => lasting && !post_only,
        _ => tif <= time_in_force::GTD && (lasting || !post_only),
    }
}

/// A trail is at least 1 tick or 1 ppm, at most the whole, and its stop is a price.
fn check_trail(request: &PlaceOrder, now: i64) -> Result<(), Reject> {
    let in_ppm = request.order_flags & order_flag::TRAIL_PPM != 0;
    let most = match (in_ppm, request.side) {
        (true, _) => MAX_TRAIL_PPM,
        (false, side::SELL) => now - 1,
        (false, _) => MAX_PRICE - now,
    };
    if !(1..=most).contains(&request.trail) {
        return reject(Code::INVALID_TRAIL, most, request.trail);
    }
    Ok(())
}

/// The displayed part (P2.5.5): from a hundredth of the order to all of it; by default a tenth.
pub(super) fn display_of(request: &PlaceOrder) -> Result<i64, Reject> {
    let part = |parts: i64| (request.lots + parts - 1) / parts;
    match request.display_lots {
        0 => Ok(part(ICEBERG_DEFAULT_PART)),
        given if given < part(ICEBERG_LEAST_PART) => {
            reject(Code::INVALID_DISPLAY_SIZE, part(ICEBERG_LEAST_PART), given)
        }
        given if given > request.lots => reject(Code::INVALID_DISPLAY_SIZE, request.lots, given),
        given => Ok(given),
    }
}
