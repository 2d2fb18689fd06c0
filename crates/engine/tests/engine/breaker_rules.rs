//! The numbers and edges of P7 that no story of a whole breaker reaches: the table itself, exact equality, inputs that
//! must not count.

use tradewind_engine::gate::{Action, Cell};
use tradewind_engine::halts::breaker::{cause, id, rule, Reopening};
use tradewind_engine::halts::matrix::{category, cell, HaltState};
use tradewind_engine::roles;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{funding_skip, BreakerBody, Event, EventKind as E, FundingBody};
use tradewind_engine::wire::{Code, Record};

use crate::arena::*;
use crate::prices::*;
use crate::support::*;

/// P7.1 as printed: default and bounds of the threshold, of the second threshold, of the halt in seconds.
type Row = (u8, (i64, i64, i64), (i64, i64, i64), (i64, i64, i64), Reopening);

const NONE: (i64, i64, i64) = (0, 0, 0);

const TABLE: [Row; 9] = [
    (id::COVERAGE, (500_000, 300_000, 1_000_000), NONE, (900, 60, 14_400), Reopening::Condition),
    (id::PRICE_FAST, (500, 100, 2_000), NONE, (300, 60, 7_200), Reopening::Auction),
    (id::PRICE_SLOW, (1_000, 200, 5_000), NONE, (900, 60, 7_200), Reopening::Auction),
    (id::PRICE_PLATFORM, (2_000, 500, 5_000), NONE, (900, 60, 7_200), Reopening::TwoPersons),
    (id::VOLUME, (500, 300, 5_000), NONE, (450, 60, 10_800), Reopening::Auction),
    (id::LIQUIDATION, (10, 3, 1_000), (800, 100, 5_000), (600, 60, 14_400), Reopening::Condition),
    (id::CONGESTION, (2_000, 500, 8_000), NONE, (150, 30, 3_600), Reopening::Condition),
    (id::ORACLE, NONE, NONE, (60, 30, 3_600), Reopening::Condition),
    (id::OPEN_INTEREST, (800, 200, 5_000), NONE, (450, 60, 7_200), Reopening::Auction),
];

#[test]
fn p7_1_every_row_of_the_table_is_as_printed() {
    for (breaker, threshold, second, halt_s, reopening) in TABLE {
        let found = rule(breaker).expect("a breaker of P7.1");
        let range = |range: tradewind_engine::halts::breaker::Range| (range.default, range.low, range.high);
        assert_eq!(range(found.threshold), threshold, "threshold of {breaker}");
        assert_eq!(range(found.second), second, "second threshold of {breaker}");
        assert_eq!(range(found.halt_s), halt_s, "halt of {breaker}");
        assert_eq!(found.reopening, reopening, "reopening of {breaker}");
    }
}

#[test]
fn the_platforms_price_breaker_has_the_row_of_b2_with_reductions_to_the_book() {
    for action in Action::ALL {
        let expected = match action {
            Action::Reduce | Action::Trigger => Cell::Allowed,
            other => cell(HaltState::MarketHalt, other),
        };
        assert_eq!(cell(HaltState::PlatformPrice, action), expected, "{action:?}");
    }
}

/// Bodies of the breakers that the last batch has tripped.
fn tripped(events: &[(E, Event)]) -> Vec<BreakerBody> {
    let of_kind = |(kind, event): &(E, Event)| (*kind == E::BreakerTripped).then(|| event.body_as());
    events.iter().filter_map(of_kind).collect()
}

fn ids(events: &[(E, Event)]) -> Vec<u8> {
    tripped(events).iter().map(|body| body.breaker).collect()
}

impl Arena {
    /// Publications of the first market at this price, straight away; the breakers that this trips, with their causes.
    fn reach(&mut self, dollars: f64) -> Vec<(u8, u8)> {
        self.reach_in(PERP, dollars)
    }

    /// As [`Arena::reach`], in either market.
    fn reach_in(&mut self, market: u32, dollars: f64) -> Vec<(u8, u8)> {
        let wanted = (dollars * 1e6).round() as i64;
        let mut found = Vec::new();
        while self.prices[market as usize] != wanted {
            let present = self.prices[market as usize];
            let reach = present * 4 / 1_000;
            self.prices[market as usize] = wanted.clamp(present - reach, present + reach);
            self.now_ns += SECOND / 4;
            for (feed, source) in
                [PERP, OTHER].into_iter().flat_map(|feed| SOURCES.map(|source| (feed, source)))
            {
                let request = publication_at(self, feed, self.prices[feed as usize]);
                self.accept(publish(source, request));
                found.extend(tripped(&self.events()).iter().map(|body| (body.breaker, body.cause)));
            }
            self.tick();
            found.extend(tripped(&self.events()).iter().map(|body| (body.breaker, body.cause)));
        }
        found
    }
}

/// Traders 0 and 1 hold 1,000 contracts against each other at 100.00, with plenty of money.
fn held() -> Arena {
    let mut arena: Arena = Arena::new(4);
    for number in 0..3 {
        arena.deposit(number, USDC, 10_000_000 * DOLLAR);
    }
    arena.trade(0, 1, PERP, 10_000, 1_000_000);
    arena
}

#[test]
fn b2b_and_b2c_watch_marks_and_trip_beyond_ten_and_twenty_percent() {
    for sign in [1.0, -1.0] {
        let mut arena = held();
        assert_eq!(arena.reach(100.0 + sign * 10.0), []);
        assert_eq!(arena.reach(100.0 + sign * 10.01), [(id::PRICE_SLOW, cause::MARK)]);
        assert_eq!(arena.reach(100.0 + sign * 20.0), [], "exactly twenty percent");
        assert_eq!(arena.reach(100.0 + sign * 20.01), [(id::PRICE_PLATFORM, cause::WEIGHTED_MOVE)]);
        assert_eq!(arena.reach(100.0 + sign * 21.0), [], "once");
        arena.refuse(buy(trader(2), OTHER, 10_000, 1_000), Code::BREAKER_ACTIVE);
    }
}

#[test]
fn p7_2_marks_alone_are_the_reference_of_the_next_mark() {
    let mut arena = held();
    // The trade at 100.00 has left the window of 300 s; what follows is measured against marks.
    arena.seconds(302);
    assert_eq!(arena.reach(110.0), []);
    assert_eq!(arena.reach(111.0), [(id::PRICE_SLOW, cause::MARK)]);
}

#[test]
fn p7_2_a_market_that_stands_still_leaves_the_mean_of_b2c_when_its_window_has_passed() {
    let mut arena = held();
    arena.trade(0, 1, OTHER, 10_000, 1_000_000);
    let slow = (id::PRICE_SLOW, cause::MARK);
    assert_eq!(arena.reach_in(PERP, 125.0), [slow], "a quarter of half the interest");
    arena.seconds(302);
    assert_eq!(arena.reach_in(OTHER, 125.0), [slow], "the first market no longer moves");
    // Both within one window are a mean of more than twenty percent.
    let mut arena = held();
    arena.trade(0, 1, OTHER, 10_000, 1_000_000);
    assert_eq!(arena.reach_in(PERP, 125.0), [slow]);
    assert_eq!(arena.reach_in(OTHER, 125.0), [slow, (id::PRICE_PLATFORM, cause::WEIGHTED_MOVE)]);
}

#[test]
fn b2b_looks_at_three_hundred_seconds() {
    for (wait, trips) in [(300 * SECOND, true), (300 * SECOND + 1, false)] {
        let mut world: World = World::new();
        world.accept(configure(1, id::PRICE_SLOW, |_| ()));
        for price in [10_000, 10_900] {
            world.accept(sell(BOB, 1, price, 1));
            world.accept(buy(ALICE, 1, price, 1));
        }
        world.advance(wait);
        world.accept(sell(BOB, 1, 11_001, 1));
        world.accept(buy(ALICE, 1, 11_001, 1));
        assert_eq!(world.kinds().contains(&E::BreakerTripped), trips, "after {wait} ns");
    }
}

#[test]
fn b7_trips_when_open_interest_grows_by_more_than_eight_percent_within_400_ms() {
    let mut arena: Arena = Arena::new(4);
    for number in 0..3 {
        arena.deposit(number, USDC, 10_000_000 * DOLLAR);
    }
    arena.trade(0, 1, PERP, 10_000, 1_100_000);
    assert_eq!(ids(&arena.events()), [] as [u8; 0]);
    arena.seconds(1);
    arena.trade(0, 1, PERP, 10_000, 100_000);
    assert_eq!(ids(&arena.events()), [id::OPEN_INTEREST]);
}

#[test]
fn b4_counts_the_accounts_that_liquidation_steps_reduce() {
    let mut arena: Arena = Arena::new(16);
    arena.price(PERP, 110.0);
    for number in [1, 2] {
        arena.deposit(number, USDC, 1_000_000 * DOLLAR);
    }
    // Much open interest beside them, so that the eleven are few of it.
    arena.trade(2, 1, PERP, 11_000, 3_000_000);
    for number in 3..15 {
        arena.deposit(number, USDC, 145 * DOLLAR);
        arena.trade(number, 1, PERP, 11_000, 10_000);
    }
    arena.deposit(0, USDC, 1_000_000 * DOLLAR);
    arena.accept(buy(trader(0), PERP, 10_000, 500_000));
    arena.price(PERP, 100.0);
    let mut found = Vec::new();
    for number in 3..15 {
        arena.accept(liquidate(SYSTEM, number, PERP));
        found.extend(
            tripped(&arena.events()).iter().map(|body| (number, body.breaker, body.cause, body.value)),
        );
    }
    assert_eq!(found, [(13, id::LIQUIDATION, cause::LIQUIDATED_ACCOUNTS, 11)]);
    arena.refuse(buy(trader(2), PERP, 9_990, 1_000), Code::BREAKER_ACTIVE);
    let closing =
        PlaceOrder { order_flags: order_flag::REDUCE_ONLY, ..limit(PERP, side::SELL, 10_010, 1_000) };
    arena.accept(place(trader(2), closing));
}

#[test]
fn b6_of_markets_and_platform_trip_once_when_their_feeds_fall_silent() {
    let mut arena = held();
    // A third feed that has never been usable: two sources once, then silence.
    let third = arena.accept(register_feed(feed_request("SOL"))).value as u32;
    for (source, weight) in SOURCES.into_iter().zip(WEIGHTS) {
        arena.accept(set_source(third, source, weight));
    }
    for source in &SOURCES[..2] {
        let request = publication_at(&mut arena, third, 100 * DOLLAR);
        arena.accept(publish(*source, request));
    }
    for _ in 0..30 {
        arena.seconds(1);
        assert_eq!(ids(&arena.events()), [] as [u8; 0], "a feed that is set up is no outage");
    }
    let partial = arena.accept(pause(PERP, 1, arena.now_ns + HOUR)).value as u32;
    let whole = arena.accept(pause(ALL_MARKETS, 1, arena.now_ns + HOUR)).value as u32;
    arena.publishing(false);
    let mut found = Vec::new();
    for _ in 0..8 {
        arena.seconds(1);
        found.extend(ids(&arena.events()));
    }
    assert_eq!(found, [id::ORACLE; 3], "two markets and the platform");
    // Worse is not again.
    for feed in 0..2 {
        let request = OverrideFeed { feed, action: 2, until_ns: arena.now_ns + HOUR, ..Record::zero() };
        for who in [EMERGENCY, EMERGENCY_B] {
            arena.accept(by(who, Kind::OverrideFeed).with(&request));
            assert_eq!(ids(&arena.events()), [] as [u8; 0]);
        }
    }
    for (scope, pause_id) in [(PERP, partial), (ALL_MARKETS, whole)] {
        arena.accept(resume(RESUMER_A, scope, pause_id));
        let unmet = arena.refuse(resume(RESUMER_B, scope, pause_id), Code::RESUME_CONDITION_UNMET);
        assert_eq!(unmet.bound, 3, "a breaker is open and a feed is not VALID");
    }
    // The time is waived, the feed is not.
    arena.accept(close_breaker(RESUMER_A, PERP, id::ORACLE));
    let unmet = arena.refuse(close_breaker(RESUMER_B, PERP, id::ORACLE), Code::RESUME_CONDITION_UNMET);
    assert_eq!(unmet.bound, 4, "its condition does not hold");
}

#[test]
fn p7_5_every_tripped_breaker_has_its_own_row() {
    let refused = |breaker: u8, scope: u32, command: Command| {
        let mut world: World = World::new();
        world.accept(trip_breaker(EMERGENCY, scope, breaker));
        let result = world.send(command);
        (result.given, Code::from_number(result.code))
    };
    for breaker in [id::COVERAGE, id::PRICE_PLATFORM, id::CONGESTION] {
        let found = refused(breaker, ALL_MARKETS, buy(ALICE, 1, 100, 1));
        assert_eq!(found, (i64::from(breaker), Some(Code::BREAKER_ACTIVE)));
    }
    // B6 leaves orders to the oracle matrix, and B4 collateralised trades.
    assert_eq!(refused(id::ORACLE, ALL_MARKETS, buy(ALICE, 1, 100, 1)).1, None);
    assert_eq!(refused(id::LIQUIDATION, 1, buy(ALICE, 1, 100, 1)).1, None);
}

#[test]
fn p7_5_b4_stops_new_leverage_in_its_market_and_neither_reductions_nor_the_other_market() {
    let mut arena = held();
    arena.accept(trip_breaker(EMERGENCY, PERP, id::LIQUIDATION));
    let refused = arena.refuse(buy(trader(2), PERP, 10_000, 1_000), Code::BREAKER_ACTIVE);
    assert_eq!(refused.given, i64::from(id::LIQUIDATION));
    arena.accept(buy(trader(2), OTHER, 10_000, 1_000));
    let reduce = order_flag::REDUCE_ONLY;
    arena.accept(place(
        trader(0),
        PlaceOrder { order_flags: reduce, ..limit(PERP, side::SELL, 10_000, 1_000) },
    ));
}

#[test]
fn p7_5_funding_is_zero_behind_an_oracle_breaker_and_b4_stops_new_leverage_alone() {
    for (breaker, skipped) in
        [(id::ORACLE, funding_skip::HALTED), (id::LIQUIDATION, funding_skip::FEW_SAMPLES)]
    {
        let mut arena = held();
        arena.accept(configure(PERP, breaker, |settings| settings.halt_s = 3_600));
        arena.accept(trip_breaker(EMERGENCY, PERP, breaker));
        let mut found = None;
        for _ in 0..3_700 {
            arena.seconds(1);
            let bodies = arena.bodies::<FundingBody>(E::FundingIndexUpdated);
            if let Some((_, body)) = bodies.iter().find(|_| found.is_none()) {
                found = Some(body.skipped);
            }
        }
        assert_eq!(found, Some(skipped), "breaker {breaker}");
    }
}

#[test]
fn p7_6_a_mask_over_liquidation_stops_what_the_engine_does_by_itself() {
    let mut arena: Arena = Arena::new(4);
    arena.price(PERP, 110.0);
    for (number, dollars) in [(0, 145), (1, 100_000), (2, 100_000)] {
        arena.deposit(number, USDC, dollars * DOLLAR);
    }
    arena.trade(0, 1, PERP, 11_000, 10_000);
    arena.accept(buy(trader(2), PERP, 10_000, 50_000));
    for who in [EMERGENCY, EMERGENCY_B] {
        arena.accept(masked_pause(who, ALL_MARKETS, (2, category::LIQUIDATION), arena.now_ns + HOUR));
    }
    arena.price(PERP, 100.0);
    arena.seconds(5);
    assert_eq!(arena.position(0, PERP).0, 10_000);
}

#[test]
fn p7_5_coverage_below_a_half_keeps_the_money_of_those_with_positions_only() {
    let mut world: World = World::exchange();
    world.accept(buy(ALICE, PERP, 10_000, 100));
    world.accept(sell(BOB, PERP, 10_000, 100));
    world.wait(DAY);
    world.accept(trip_breaker(EMERGENCY, ALL_MARKETS, id::COVERAGE));
    let withdraw = |owner| {
        by(owner, Kind::RequestWithdrawal).with(&RequestWithdrawal {
            asset: USDC,
            amount: 5_000_000,
            ..Record::zero()
        })
    };
    world.refuse(withdraw(ALICE), Code::BREAKER_ACTIVE);
    world.accept(withdraw(CAROL));
}

#[test]
fn p7_4_of_two_halts_the_later_one_ends_before_the_auction_begins() {
    let mut world: World = World::new();
    for breaker in [id::PRICE_FAST, id::PRICE_SLOW] {
        world.accept(trip_breaker(EMERGENCY, 1, breaker));
    }
    // Two persons want the auction now; the other halt is not ready for it.
    world.accept(close_breaker(RESUMER_A, 1, id::PRICE_FAST));
    let waits = world.refuse(close_breaker(RESUMER_B, 1, id::PRICE_FAST), Code::RESUME_CONDITION_UNMET);
    assert_eq!(waits.bound, 1);
    world.advance(300 * SECOND);
    world.tick();
    assert_eq!(world.kinds(), [E::BreakerExtended]);
    world.advance(600 * SECOND);
    world.tick();
    assert!(world.kinds().contains(&E::AuctionStarted));
    world.refuse(trip_breaker(EMERGENCY, 1, id::PRICE_FAST), Code::INVALID_TRANSITION);
    world.advance(30 * SECOND);
    world.tick();
    world.advance(60 * SECOND - 1);
    world.tick();
    assert_eq!(world.kinds(), [], "probation lasts a minute");
    world.advance(1);
    world.tick();
    assert_eq!(world.kinds(), [E::BreakerClosed; 2]);
}

#[test]
fn p7_7_the_first_of_two_who_close_counts_for_exactly_600_seconds() {
    let mut world: World = World::new();
    world.accept(trip_breaker(EMERGENCY, ALL_MARKETS, id::PRICE_PLATFORM));
    let close = |who| close_breaker(who, ALL_MARKETS, id::PRICE_PLATFORM);
    world.accept(close(RESUMER_A));
    let pending: BreakerBody = world.events()[0].1.body_as();
    assert_eq!(pending.until_ns, START + 600 * SECOND);
    world.advance(600 * SECOND);
    let mut late = world.clone();
    world.accept(close(RESUMER_B));
    assert_eq!(world.kinds(), [E::BreakerHalfOpen, E::BreakerReasoned]);
    late.advance(1);
    late.accept(close(RESUMER_B));
    assert_eq!(late.kinds(), [E::BreakerResumePending]);
    let reserved = trip_breaker(EMERGENCY, 1, id::VOLUME);
    let payload = Breaker { reserved: 1, ..reserved.payload_as() };
    late.refuse(reserved.with(&payload), Code::RESERVED_NOT_ZERO);
}

#[test]
fn p7_7_who_tripped_or_paused_does_not_end_it_even_as_a_resumer_of_later() {
    let mut world: World = World::new();
    world.accept(trip_breaker(EMERGENCY, ALL_MARKETS, id::PRICE_PLATFORM));
    let paused = world.accept(pause(0, 2, START + HOUR)).value as u32;
    let gone = GrantRole { principal: EMERGENCY, role: roles::EMERGENCY, ..Record::zero() };
    world.accept(by(ADMIN_A, Kind::RevokeRole).with(&gone));
    let offer = OfferAuthority { nominee: EMERGENCY, authority: roles::RESUMER, ..Record::zero() };
    let offer = world.accept(by(RESUMER_A, Kind::OfferAuthority).with(&offer)).value;
    world.wait(DAY);
    world.accept(by(EMERGENCY, Kind::AcceptAuthority).with(&OneOffer { offer }));
    world.refuse(close_breaker(EMERGENCY, ALL_MARKETS, id::PRICE_PLATFORM), Code::SELF_APPROVAL);
    world.refuse(resume(EMERGENCY, 0, paused), Code::SELF_APPROVAL);
}

#[test]
fn p7_6_pauses_keep_to_their_form_and_the_hardest_answers() {
    let mut world: World = World::new();
    let bound =
        |world: &mut World, command: Command| world.refuse(command, Code::PARAMETER_OUT_OF_BOUNDS).bound;
    assert_eq!(bound(&mut world, pause(0, 4, START + HOUR)), 3);
    assert_eq!(bound(&mut world, pause(0, 0, START + HOUR)), 1, "neither level nor mask");
    assert_eq!(bound(&mut world, pause(0, 1, START)), START);
    assert_eq!(bound(&mut world, pause(0, 1, START + 72 * HOUR + 1)), START + 72 * HOUR);
    assert_eq!(bound(&mut world, pause(0, 3, START + DAY + 1)), START + DAY);
    let nameless = PauseMarket { reason: [b' '; 48], ..pause(0, 1, START + HOUR).payload_as() };
    assert_eq!(bound(&mut world, pause(0, 1, START + HOUR).with(&nameless)), 1);
    // A mask is not eased by a pause of another level.
    world.accept(masked_pause(EMERGENCY, 1, (0, category::TRADING), START + HOUR));
    world.refuse(masked_pause(EMERGENCY, 1, (1, 0), START + HOUR), Code::INVALID_TRANSITION);
    world.accept(masked_pause(EMERGENCY, ALL_MARKETS, (1, category::EMERGENCY), START + HOUR));
    world.refuse(trip_breaker(EMERGENCY, 1, id::PRICE_FAST), Code::PAUSED);
    freeze(&mut world, 0, START + HOUR);
    assert_eq!(world.refuse(buy(ALICE, 0, 90, 1), Code::FROZEN).given, 3);
}

#[test]
fn p7_6_the_600th_second_still_counts_for_the_second_person() {
    let mut world: World = World::new();
    world.accept(pause(0, 3, START + HOUR));
    world.advance(600 * SECOND);
    let paused = world.accept(masked_pause(EMERGENCY_B, 0, (3, 0), START + HOUR)).value as u32;
    assert_eq!(world.kinds(), [E::PauseSet]);
    world.accept(resume(RESUMER_A, 0, paused));
    world.advance(600 * SECOND);
    world.accept(resume(RESUMER_B, 0, paused));
    assert_eq!(world.kinds(), [E::Resumed]);
}
