//! Set matching over the books of a categorical market (P3.6, P3.3, P3.4, P2.5.1, P8.6).

use tradewind_engine::market::market_flag::ELASTIC_FEE;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{
    cancel_reason, trade_kind, CancelBody, Event, EventKind, FeeBody, OrderBody, SetFilledBody,
};
use tradewind_engine::wire::{Code, Record};

use crate::loans::lending_world;
use crate::outcome::*;
use crate::outcome_books::on;
use crate::support::*;

pub fn bids(owner: Key, market: u32, outcome: u8, price: i64, lots: i64) -> Command {
    place(owner, on(market, outcome, side::BUY, price, lots))
}

pub fn asks(owner: Key, market: u32, outcome: u8, price: i64, lots: i64) -> Command {
    place(owner, on(market, outcome, side::SELL, price, lots))
}

/// A market with the widest band and these fees.
pub fn wide_market(world: &mut World, outcome_count: u8, taker_fee_e6bp: u32, maker_fee_e6bp: u32) -> u32 {
    let nonce = 600 + world.engine.sizes().1 as u64;
    let request = CreateMarket {
        taker_fee_e6bp,
        maker_fee_e6bp,
        band_bp: 9_000,
        ..outcome_request(nonce, outcome_count)
    };
    world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32
}

fn fills(world: &World) -> Vec<(Event, SetFilledBody)> {
    let events = world.events().into_iter();
    events.filter(|event| event.0 == EventKind::SetFilled).map(|event| (event.1, event.1.body_as())).collect()
}

fn cancels(world: &World) -> Vec<(u64, u8, i64)> {
    let events = world.events().into_iter().filter(|event| event.0 == EventKind::OrderCancelled);
    let shown = events.map(|(_, event)| (event, event.body_as::<CancelBody>()));
    shown.map(|(event, body)| (event.order, body.reason, body.remaining_lots)).collect()
}

fn money(world: &World, owner: Key) -> i64 {
    world.free(owner, USDC) + world.held(owner, USDC)
}

fn best(world: &World, market: u32, outcome: u8, book_side: u8) -> Option<(i64, i64)> {
    world.engine.outcome_levels(market, outcome, book_side, 1).first().map(|level| (level.price, level.lots))
}

#[test]
fn p3_6_purchases_of_all_outcomes_that_pay_the_payout_make_sets_and_the_surplus_is_the_last_ones() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 0, 0);
    let before = [ALICE, BOB, CAROL].map(|owner| money(&world, owner));
    let first = world.accept(bids(ALICE, market, 0, 400, 10)).value;
    let second = world.accept(bids(BOB, market, 1, 350, 7)).value;
    assert!(fills(&world).is_empty());
    let last = world.accept(bids(CAROL, market, 2, 260, 20)).value;
    let told: Vec<_> = fills(&world)
        .iter()
        .map(|(event, fill)| (event.order, fill.outcome, fill.price, fill.lots, fill.value, fill.remaining))
        .collect();
    assert_eq!(
        told,
        [(last, 2, 250, 7, 1_750, 13), (first, 0, 400, 7, 2_800, 3), (second, 1, 350, 7, 2_450, 0)]
    );
    for (_, fill) in fills(&world) {
        assert_eq!((fill.trade_kind, fill.orders, fill.taker_order), (trade_kind::MINT, 3, last));
    }
    assert_eq!(fills(&world).iter().map(|(_, fill)| fill.surplus).collect::<Vec<_>>(), [70, 0, 0]);
    let paid = [ALICE, BOB, CAROL].map(|owner| money(&world, owner));
    assert_eq!([before[0] - paid[0], before[1] - paid[1], before[2] - paid[2]], [2_800, 2_450, 1_750]);
    for (owner, outcome) in [(ALICE, 0), (BOB, 1), (CAROL, 2)] {
        assert_eq!(claim(&world, owner, market, outcome), (7_000, 0));
    }
    assert_eq!(world.engine.system_balance(0x81, market + 1, USDC), 7_000);
    // What rests goes on with its own limit; its reserve is that of the rest.
    assert_eq!(best(&world, market, 2, side::BUY), Some((260, 13)));
    assert_eq!(world.held(CAROL, USDC), 13 * 260);
    world.auditor.verify().unwrap();
}

#[test]
fn p3_6_sales_of_all_outcomes_that_ask_no_more_than_the_payout_dissolve_sets() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 4, 0, 0);
    for owner in [ALICE, BOB, CAROL] {
        world.accept(sets(owner, Kind::MintSet, market, 10));
    }
    let before = [ALICE, BOB, CAROL].map(|owner| money(&world, owner));
    world.accept(asks(ALICE, market, 0, 200, 5));
    world.accept(asks(ALICE, market, 3, 300, 4));
    world.accept(asks(BOB, market, 1, 250, 9));
    world.accept(asks(CAROL, market, 2, 230, 6));
    let told: Vec<_> = fills(&world).iter().map(|(_, fill)| (fill.outcome, fill.price, fill.lots)).collect();
    assert_eq!(told, [(2, 250, 4), (0, 200, 4), (1, 250, 4), (3, 300, 4)]);
    assert!(fills(&world).iter().all(|(_, fill)| fill.trade_kind == trade_kind::MERGE));
    let after = [ALICE, BOB, CAROL].map(|owner| money(&world, owner));
    assert_eq!([after[0] - before[0], after[1] - before[1], after[2] - before[2]], [2_000, 1_000, 1_000]);
    assert_eq!(world.engine.system_balance(0x81, market + 1, USDC), 26_000);
    assert_eq!(claim(&world, CAROL, market, 2), (4_000, 2_000));
    world.auditor.verify().unwrap();
}

#[test]
fn p3_6_one_tick_below_the_payout_completes_nothing_and_the_payout_itself_does() {
    for outcomes in [3, 5, 8] {
        let mut world: World = World::new();
        let market = wide_market(&mut world, outcomes, 0, 0);
        for outcome in 1..outcomes {
            world.accept(bids(ALICE, market, outcome, 100, 2));
        }
        let missing = 1_000 - 100 * (i64::from(outcomes) - 1);
        world.accept(bids(BOB, market, 0, missing - 1, 2));
        assert!(fills(&world).is_empty());
        world.accept(bids(BOB, market, 0, missing, 2));
        assert_eq!(fills(&world).len(), usize::from(outcomes));
        assert_eq!(fills(&world)[0].1.surplus, 0);
    }
}

#[test]
fn p3_6_books_of_more_than_eight_outcomes_trade_each_for_itself() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 9, 0, 0);
    for outcome in 0..9 {
        world.accept(bids(if outcome % 2 == 0 { ALICE } else { BOB }, market, outcome, 200, 2));
        assert!(fills(&world).is_empty());
    }
    world.auditor.verify().unwrap();
}

#[test]
fn p3_6_what_the_others_pay_beyond_the_payout_is_paid_to_the_last() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 28_000_000, 0);
    world.accept(bids(ALICE, market, 0, 600, 1_000));
    world.accept(bids(BOB, market, 1, 600, 1_000));
    let before = money(&world, CAROL);
    world.accept(bids(CAROL, market, 2, 1, 1_000));
    let (_, fill) = fills(&world)[0];
    assert_eq!((fill.price, fill.value, fill.fee, fill.surplus), (-200, -200_000, 0, 201_000));
    assert_eq!(money(&world, CAROL), before + 200_000);
    assert_eq!(claim(&world, CAROL, market, 2), (1_000_000, 0));
    // The price of the outcome stays within the contract.
    world.refuse(bids(CAROL, market, 2, 902, 1), Code::PRICE_TOO_HIGH);
    world.auditor.verify().unwrap();
}

#[test]
fn p3_6_an_order_trades_in_its_own_book_first() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 0, 0);
    world.accept(sets(ALICE, Kind::MintSet, market, 10));
    world.accept(asks(ALICE, market, 0, 500, 4));
    world.accept(bids(BOB, market, 1, 300, 20));
    world.accept(bids(BOB, market, 2, 300, 20));
    world.accept(bids(CAROL, market, 0, 500, 9));
    let kinds = world.kinds();
    let place_of = |kind: EventKind| kinds.iter().position(|&present| present == kind);
    assert!(place_of(EventKind::Trade) < place_of(EventKind::SetFilled));
    assert_eq!((fills(&world)[0].1.price, fills(&world)[0].1.lots), (400, 5));
    assert_eq!(claim(&world, CAROL, market, 0), (9_000, 0));
    world.auditor.verify().unwrap();
}

#[test]
fn p2_5_1_a_passive_order_that_would_complete_a_set_is_refused_alone_and_in_a_batch() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 0, 0);
    world.accept(bids(ALICE, market, 0, 400, 10));
    world.accept(bids(ALICE, market, 1, 350, 10));
    let post =
        |price| PlaceOrder { order_flags: order_flag::POST_ONLY, ..on(market, 2, side::BUY, price, 5) };
    let refused = world.refuse(place(BOB, post(260)), Code::POST_ONLY_WOULD_TAKE);
    assert_eq!((refused.bound, refused.given), (250, 260));
    world.accept(place(BOB, post(249)));
    // An item of a batch that is not the last must come to rest.
    let header = by(CAROL, Kind::PlaceBatch).with(&PlaceBatch { count: 2, ..PlaceBatch::zero() });
    let items = [on(market, 2, side::BUY, 250, 5), on(market, 0, side::BUY, 1, 5)];
    let mut batch = vec![header];
    batch.extend(items.map(|order| by(CAROL, Kind::BatchItem).with(&order)));
    let keyed: Vec<Command> =
        batch.into_iter().map(|command| Command { client_key: world.fresh_key(), ..command }).collect();
    let before = world.engine.state_hash();
    let result = world.run(&keyed)[2];
    assert_eq!(Code::from_number(result.code), Some(Code::BATCH_ITEM_FAILED));
    assert_eq!((result.bound, result.given), (0, Code::POST_ONLY_WOULD_TAKE as i64));
    assert_eq!(world.engine.state_hash(), before);
}

#[test]
fn p2_1_2_the_last_item_of_a_batch_may_complete_a_set() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 0, 0);
    world.accept(bids(ALICE, market, 0, 400, 10));
    world.accept(bids(ALICE, market, 1, 350, 10));
    let header = by(BOB, Kind::PlaceBatch).with(&PlaceBatch { count: 2, ..PlaceBatch::zero() });
    let items = [on(market, 0, side::BUY, 5, 5), on(market, 2, side::BUY, 250, 4)];
    let mut batch = vec![header];
    batch.extend(items.map(|order| by(BOB, Kind::BatchItem).with(&order)));
    let keyed: Vec<Command> =
        batch.into_iter().map(|command| Command { client_key: world.fresh_key(), ..command }).collect();
    assert!(world.run(&keyed).iter().all(|result| result.accepted == 1));
    assert_eq!(fills(&world).len(), 3);
    assert_eq!(claim(&world, BOB, market, 2), (4_000, 0));
}

#[test]
fn p2_5_1_an_immediate_order_takes_sets_and_a_fill_or_kill_order_only_its_own_book() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 0, 0);
    world.accept(bids(ALICE, market, 0, 400, 10));
    world.accept(bids(ALICE, market, 1, 350, 3));
    let fok = PlaceOrder { time_in_force: time_in_force::FOK, ..on(market, 2, side::BUY, 260, 2) };
    let refused = world.refuse(place(BOB, fok), Code::FOK_NOT_FILLABLE);
    assert_eq!((refused.bound, refused.given), (0, 2));
    // Its own book has enough: it pays 0.26 there, though a set would give the outcome for 0.25.
    let (alice, carol) = (claim(&world, ALICE, market, 0), world.free(CAROL, USDC));
    world.accept(sets(CAROL, Kind::MintSet, market, 10));
    world.accept(place(CAROL, on(market, 2, side::SELL, 260, 2)));
    let before = world.free(CAROL, USDC);
    world.accept(place(BOB, fok));
    assert!(before < carol && world.free(CAROL, USDC) > before, "CAROL sold it");
    assert_eq!((fills(&world).len(), claim(&world, ALICE, market, 0)), (0, alice));
    let ioc = PlaceOrder { time_in_force: time_in_force::IOC, lots: 5, ..fok };
    let order = world.accept(place(BOB, ioc)).value;
    assert_eq!(fills(&world)[0].1.lots, 3);
    assert_eq!(cancels(&world), [(order, cancel_reason::IOC, 2)]);
    // At the market there must be something to take in its own book.
    world.accept(bids(ALICE, market, 1, 350, 3));
    let at_market = PlaceOrder { order_type: order_type::MARKET, price: 0, ..ioc };
    world.refuse(place(BOB, at_market), Code::NO_LIQUIDITY);
    world.auditor.verify().unwrap();
}

#[test]
fn p3_4_nobody_completes_a_set_with_himself_in_any_mode() {
    for mode in [stp::CANCEL_NEWEST, stp::CANCEL_OLDEST, stp::CANCEL_BOTH, stp::DECREMENT] {
        let mut world: World = World::new();
        let market = wide_market(&mut world, 3, 0, 0);
        world.accept(bids(ALICE, market, 0, 400, 10));
        let own = world.accept(bids(BOB, market, 1, 350, 4)).value;
        world.accept(bids(CAROL, market, 1, 340, 2));
        let order = PlaceOrder { self_trade_prevention: mode, ..on(market, 2, side::BUY, 260, 6) };
        if mode == stp::CANCEL_NEWEST {
            let refused = world.refuse(place(BOB, order), Code::SELF_TRADE_PREVENTED);
            assert_eq!((refused.bound, refused.given), (own as i64, 260));
            continue;
        }
        let placed = world.accept(place(BOB, order)).value;
        match mode {
            // The own order goes, and the next one in its book completes the set.
            stp::CANCEL_OLDEST => {
                assert_eq!(cancels(&world), [(own, cancel_reason::SELF_TRADE, 4)]);
                assert_eq!((fills(&world)[0].1.price, fills(&world)[0].1.lots), (260, 2));
            }
            stp::CANCEL_BOTH => {
                let expected = [(own, cancel_reason::SELF_TRADE, 4), (placed, cancel_reason::SELF_TRADE, 6)];
                assert_eq!(cancels(&world), expected);
                assert!(fills(&world).is_empty());
            }
            _ => {
                assert!(world.kinds().contains(&EventKind::SelfTradePrevented));
                assert_eq!(fills(&world)[0].1.lots, 2, "four were prevented");
                assert_eq!(best(&world, market, 2, side::BUY), None);
            }
        }
        world.auditor.verify().unwrap();
    }
}

#[test]
fn p3_4_the_newest_is_cancelled_when_it_meets_its_own_order_behind_a_first_set() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 0, 0);
    world.accept(bids(ALICE, market, 0, 400, 10));
    world.accept(bids(CAROL, market, 1, 350, 2));
    world.accept(bids(BOB, market, 1, 350, 4));
    let order = world.accept(bids(BOB, market, 2, 260, 6)).value;
    assert_eq!(fills(&world)[0].1.lots, 2);
    assert_eq!(cancels(&world), [(order, cancel_reason::SELF_TRADE, 4)]);
    world.auditor.verify().unwrap();
}

#[test]
fn two_makers_of_one_owner_may_complete_a_set_of_somebody_else() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 0, 0);
    world.accept(bids(ALICE, market, 0, 400, 10));
    world.accept(bids(ALICE, market, 1, 350, 10));
    let before = money(&world, ALICE);
    world.accept(bids(BOB, market, 2, 250, 10));
    assert_eq!(money(&world, ALICE), before - 7_500);
    assert_eq!(
        (claim(&world, ALICE, market, 0), claim(&world, ALICE, market, 1)),
        ((10_000, 0), (10_000, 0))
    );
    world.auditor.verify().unwrap();
}

#[test]
fn p2_1_5_an_expired_order_of_another_book_is_removed_on_sight() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 0, 0);
    world.accept(bids(ALICE, market, 0, 400, 10));
    let gtd = PlaceOrder {
        time_in_force: time_in_force::GTD,
        expiry_ns: world.now_ns + SECOND,
        ..on(market, 1, side::BUY, 400, 10)
    };
    let stale = world.accept(place(ALICE, gtd)).value;
    world.accept(bids(ALICE, market, 1, 300, 10));
    world.advance(2 * SECOND);
    // With the expired order it would complete a set; passive orders are measured by what lives.
    let post = PlaceOrder { order_flags: order_flag::POST_ONLY, ..on(market, 2, side::BUY, 250, 5) };
    world.accept(place(BOB, post));
    assert!(fills(&world).is_empty());
    assert_eq!(cancels(&world), [(stale, cancel_reason::EXPIRY, 10)]);
    assert_eq!(best(&world, market, 2, side::BUY), Some((250, 5)));
    world.auditor.verify().unwrap();
}

#[test]
fn p2_4_5_a_set_with_an_order_beyond_its_band_is_not_made_and_the_rest_is_cancelled() {
    let mut world: World = World::new();
    let market = with_outcomes(&mut world, 3);
    for owner in [ALICE, CAROL] {
        world.accept(sets(owner, Kind::MintSet, market, 100));
    }
    // Outcome 0 has traded at 0.200; an ask carries the reference up to a bid of 0.405. Without the ask it is 0.302.
    world.accept(asks(ALICE, market, 0, 200, 1));
    world.accept(bids(BOB, market, 0, 200, 1));
    let ask = world.accept(asks(ALICE, market, 0, 500, 1)).value;
    let high = world.accept(bids(BOB, market, 0, 405, 5)).value;
    world.accept(cancel(ALICE, ask));
    world.accept(bids(ALICE, market, 1, 300, 5));
    let last = world.accept(bids(CAROL, market, 2, 295, 5)).value;
    assert!(fills(&world).is_empty());
    assert_eq!(cancels(&world), [(last, cancel_reason::BAND, 5)]);
    assert_eq!(best(&world, market, 0, side::BUY), Some((405, 5)));
    // Within the band the same prices make the set.
    world.accept(cancel(BOB, high));
    world.accept(bids(BOB, market, 0, 300, 5));
    world.accept(bids(CAROL, market, 2, 400, 5));
    assert_eq!(fills(&world).len(), 3);
    world.auditor.verify().unwrap();
}

#[test]
fn p8_1_the_last_pays_the_takers_fee_on_the_cheaper_side_and_the_others_the_makers() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 28_000_000, 10_000_000);
    world.accept(bids(ALICE, market, 0, 700, 100_000));
    world.accept(bids(BOB, market, 1, 200, 100_000));
    world.accept(bids(CAROL, market, 2, 100, 100_000));
    // Cheaper sides: 0.100, 0.300 and 0.200 of 100 contracts.
    let fees: Vec<i64> = fills(&world).iter().map(|(_, fill)| fill.fee).collect();
    assert_eq!(fees, [28_000, 30_000, 20_000]);
    world.auditor.verify().unwrap();
}

#[test]
fn p8_6_an_elastic_fee_is_told_once_and_its_rebate_is_divided_among_the_makers() {
    let mut world = lending_world();
    let request = CreateMarket {
        market_flags: ELASTIC_FEE,
        band_bp: 9_000,
        settle_time_ns: world.now_ns + 30 * DAY,
        ..outcome_request(900, 3)
    };
    let market = world.accept(by(OPERATOR, Kind::CreateMarket).with(&request)).value as u32;
    world.accept(bids(ALICE, market, 0, 700, 100_000));
    world.accept(bids(BOB, market, 1, 200, 100_000));
    world.accept(bids(CAROL, market, 2, 100, 100_000));
    let told: Vec<FeeBody> = world
        .events()
        .iter()
        .filter(|event| event.0 == EventKind::FeeCharged)
        .map(|event| event.1.body_as())
        .collect();
    assert_eq!(told.len(), 1);
    let fees: Vec<i64> = fills(&world).iter().map(|(_, fill)| fill.fee).collect();
    assert_eq!((told[0].base, told[0].fee), (10_000_000, fees[0]));
    assert_eq!(told[0].counts, 1, "it counts in the volumes of all three");
    // By cheaper sides of 0.300 and 0.200, rounded down.
    assert!(told[0].rebate > 0);
    assert_eq!(fees[1..], [-(told[0].rebate * 300 / 500), -(told[0].rebate * 200 / 500)]);
    world.auditor.verify().unwrap();
}

#[test]
fn p2_1_4_rounds_go_on_in_further_commands_and_each_counts_a_fill_for_every_order() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 8, 0, 0);
    for outcome in 1..8 {
        for _ in 0..5 {
            world.accept(bids(if outcome % 2 == 0 { ALICE } else { CAROL }, market, outcome, 100, 1));
        }
    }
    world.accept(bids(BOB, market, 0, 300, 4));
    let kinds = world.kinds();
    let count = |wanted: EventKind| kinds.iter().filter(|&&kind| kind == wanted).count();
    assert_eq!((count(EventKind::SetFilled), count(EventKind::ContinuationRequired)), (32, 3));
    assert_eq!(claim(&world, BOB, market, 0), (4_000, 0));
    for result in &world.batch.results {
        let first = result.first_event as usize;
        let events = &world.batch.output.events[first..first + result.event_count as usize];
        let of_command = events.iter().filter(|event| event.kind == EventKind::SetFilled as u16).count();
        assert!(of_command <= 8, "{of_command} fills of one command");
    }
    world.auditor.verify().unwrap();
}

#[test]
fn p3_2_a_replaced_order_may_complete_a_set_and_is_then_the_last() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 0, 0);
    let order = world.accept(bids(ALICE, market, 0, 300, 10)).value;
    world.accept(bids(BOB, market, 1, 350, 10));
    world.accept(bids(CAROL, market, 2, 250, 10));
    assert!(fills(&world).is_empty());
    world.accept(replace(ALICE, order, 450, 0));
    let (event, fill) = fills(&world)[0];
    assert_eq!((event.order, fill.price, fill.lots, fill.surplus), (order, 400, 10, 500));
    assert_eq!(world.held(ALICE, USDC), 0);
    world.auditor.verify().unwrap();
}

#[test]
fn p7_5_a_halted_market_makes_no_sets() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 0, 0);
    world.accept(bids(ALICE, market, 0, 400, 10));
    world.accept(bids(ALICE, market, 1, 350, 10));
    world.accept(trip_breaker(EMERGENCY, market, 2));
    world.refuse(bids(BOB, market, 2, 260, 5), Code::BREAKER_ACTIVE);
    world.auditor.verify().unwrap();
}

#[test]
fn i06_i11_a_set_that_is_told_otherwise_is_noticed() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 28_000_000, 10_000_000);
    world.accept(bids(ALICE, market, 0, 400, 10));
    world.accept(bids(BOB, market, 1, 350, 7));
    let auditor = world.auditor.clone();
    world.accept(bids(CAROL, market, 2, 260, 20));
    let batch = &world.batch;
    let noticed = |change: &dyn Fn(&mut Vec<Event>)| {
        let mut events = batch.output.events.clone();
        change(&mut events);
        let checked = auditor.clone().check(&batch.commands, &batch.results, &events, &batch.output.postings);
        checked.expect_err("the damage is noticed").invariant
    };
    let is_fill = |event: &&mut Event| event.kind == EventKind::SetFilled as u16;
    for nth in 0..3 {
        for byte in 0..SetFilledBody::SIZE {
            let damage = |events: &mut Vec<Event>| {
                events.iter_mut().filter(is_fill).nth(nth).unwrap().body[byte] ^= 1;
            };
            noticed(&damage);
        }
        noticed(&|events| events.iter_mut().filter(is_fill).nth(nth).unwrap().account ^= 1);
    }
    let moved = noticed(&|events| {
        let claims = |event: &&mut Event| event.kind == EventKind::ClaimsMoved as u16;
        events.iter_mut().find(claims).unwrap().body[0] ^= 1;
    });
    assert_eq!(moved, "I05");
}

#[test]
fn i06_an_order_that_completes_a_set_and_rests_nevertheless_is_noticed() {
    let mut world: World = World::new();
    let market = wide_market(&mut world, 3, 0, 0);
    world.accept(bids(ALICE, market, 0, 400, 10));
    world.accept(bids(BOB, market, 1, 350, 7));
    let auditor = world.auditor.clone();
    world.accept(bids(CAROL, market, 2, 249, 20));
    let mut events = world.batch.output.events.clone();
    let mut postings = world.batch.output.postings.clone();
    // The same order as if it had bid one tick more.
    let told: OrderBody = events[0].body_as();
    let changed = OrderBody { price: told.price + 1, reserve: 20 * 250, ..told };
    events[0].body[..OrderBody::SIZE].copy_from_slice(changed.bytes());
    for posting in &mut postings {
        posting.amount = posting.amount.signum() * 20 * 250;
    }
    let checked = auditor.clone().check(&world.batch.commands, &world.batch.results, &events, &postings);
    let violation = checked.expect_err("the crossing is noticed");
    assert_eq!(violation.invariant, "I06", "{violation}");
}
