//! Outcome markets: each code that their commands answer with.

use tradewind_engine::verse::NONE;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::Code;

use super::cases::Build;
use super::requests::*;
use crate::credits::{create_verse, deposit_credit, legs, lock, settling};
use crate::outcome::*;
use crate::support::*;

macro_rules! cases {
    ($($code:ident: $build:expr;)*) => { &[$((Code::$code, $build as Build)),*] };
}

/// Codes and the commands that get them.
pub const OUTCOME_CASES: &[(Code, Build)] = cases! {
    INVALID_MARKET_KIND: |_| changed_market(CreateMarket { market_kind: 4, ..market_request() });
    INVALID_MARKET_KIND: |_| sets(ALICE, Kind::MintSet, 0, 1);
    INVALID_OUTCOME_COUNT: |_| outcome_market(9, 1);
    INVALID_OUTCOME_COUNT: |_| outcome_market(9, 0);
    INVALID_OUTCOME_COUNT: |_| outcome_market(9, 65);
    INVALID_TICK_LOT: |_| changed_outcome_market(|request| request.tick_size = 3_000);
    INVALID_TICK_LOT: |_| changed_outcome_market(|request| request.tick_size = 1_000_000);
    INVALID_TICK_LOT: |_| changed_outcome_market(|request| request.base = BTC);
    FEED_NOT_FOUND: |_| changed_outcome_market(|request| request.feed = 1);
    TOO_EARLY: |_| changed_outcome_market(|request| request.settle_time_ns = START + HOUR - 1);
    MARKET_NOT_FOUND: |_| sets(ALICE, Kind::MintSet, 9, 1);
    RESERVED_NOT_ZERO: |_| by(ALICE, Kind::MergeSet).with(&OneSet { market: 0, reserved: 1, lots: 1 });
    INVALID_SIZE: |world| sets(ALICE, Kind::MintSet, with_outcomes(world, 2), 0);
    INVALID_SIZE: |world| sets(ALICE, Kind::MergeSet, with_outcomes(world, 2), (1 << 40) + 1);
    INSUFFICIENT_BALANCE: |world| sets(ALICE, Kind::MintSet, with_outcomes(world, 2), FUNDS / 1_000 + 1);
    SET_INCOMPLETE: |world| {
        let market = with_outcomes(world, 3);
        world.accept(sets(ALICE, Kind::MintSet, market, 5));
        sets(ALICE, Kind::MergeSet, market, 6)
    };
    MARKET_NOT_ACTIVE: |world| {
        let market = with_outcomes(world, 2);
        world.accept(close(market));
        sets(ALICE, Kind::MintSet, market, 1)
    };
    INVALID_OUTCOME: |world| {
        let market = with_outcomes(world, 2);
        place(ALICE, PlaceOrder { outcome: 2, ..limit(market, side::BUY, 400, 9) })
    };
    INVALID_PRICE: |world| {
        let market = with_outcomes(world, 2);
        place(ALICE, PlaceOrder { outcome: 1, ..limit(market, side::BUY, 1_000, 9) })
    };
    INSUFFICIENT_SHARES: |world| {
        let market = with_outcomes(world, 2);
        place(ALICE, PlaceOrder { outcome: 1, ..limit(market, side::SELL, 400, 9) })
    };
    IN_RESOLUTION_BUFFER: |world| {
        let market = world.accept(changed_outcome_market(|request| request.settle_time_ns = START + HOUR)).value as u32;
        world.advance(HOUR - 60 * SECOND);
        buy(ALICE, market, 400, 9)
    };
    INVALID_ORDER_TYPE: |world| {
        let market = with_outcomes(world, 3);
        place(ALICE, stop(market, side::BUY, 400, 9))
    };
    INVALID_TRIGGER: |world| {
        let market = with_outcomes(world, 2);
        place(ALICE, stop(market, side::BUY, 400, 9))
    };
    REDUCE_ONLY_WOULD_INCREASE: |world| {
        let market = with_outcomes(world, 2);
        place(ALICE, PlaceOrder { order_flags: order_flag::REDUCE_ONLY, ..limit(market, side::SELL, 400, 9) })
    };
    PAUSED: |world| {
        let market = with_outcomes(world, 2);
        world.accept(pause(market, 1, START + HOUR));
        sets(ALICE, Kind::MintSet, market, 1)
    };
    CREDIT_INSUFFICIENT: |world| {
        let verse = create_verse(world, "verse", NONE);
        lock(verse, &[(with_outcomes(world, 3), 0, 0, 400, 9)])
    };
    CREDIT_NOT_EXCLUSIVE: |world| {
        let verse = create_verse(world, "verse", NONE);
        world.accept(deposit_credit(verse, 9));
        let legs = legs(verse, &[(with_outcomes(world, 3), 0, 0, 400, 9), (with_outcomes(world, 3), 0, 0, 400, 9)]);
        by(ALICE, Kind::LockCredit).with(&CreditLegs { exclusive: 1, ..legs })
    };
    TOO_MANY_POSITIONS: |world| {
        let verse = create_verse(world, "verse", NONE);
        let market = with_outcomes(world, 3);
        world.accept(deposit_credit(verse, 9));
        let leg = (market, 0, 0, 400, 9);
        for staged in 0..10 {
            let legs = CreditLegs { staged: 3 * staged, ..legs(verse, &[leg; 3]) };
            world.accept(by(ALICE, Kind::StageCredit).with(&legs));
        }
        by(ALICE, Kind::StageCredit).with(&CreditLegs { staged: 30, ..legs(verse, &[leg; 3]) })
    };
    POSITION_NOT_FOUND: |world| {
        let verse = create_verse(world, "verse", NONE);
        world.accept(deposit_credit(verse, 9));
        settling(verse, 0)
    };
};
