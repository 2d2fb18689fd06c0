//! Bounds of groups in one market (P4.6.6): none keeps a worse position, or another group, from its turn.

use tradewind_engine::id;
use tradewind_engine::limits::MAX_GROUPED_PER_MARKET;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::EventKind;
use tradewind_engine::wire::record::Record;
use tradewind_engine::wire::Code;

use crate::loans::*;
use crate::outcome_books::on;
use crate::support::*;

/// Pairs of positions that an account may have.
const PAIRS_PER_ACCOUNT: usize = 25;

fn suitable(world: &mut World, owner: Key) {
    let flag = SetSuitability { level: 1, expiry_ns: world.now_ns + 20 * DAY, ..SetSuitability::zero() };
    world.accept(Command { account: id::account_id(&owner), ..by(RISK, Kind::SetSuitability).with(&flag) });
}

/// A market with so many small groups; of each the position on the other outcome is below its own margin.
fn crowded(groups: usize) -> (World, u32) {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    suitable(&mut world, ALICE);
    for at in 0..groups {
        let owner = key(0x20 + (at / PAIRS_PER_ACCOUNT) as u8);
        let sub = (at % PAIRS_PER_ACCOUNT) as u8;
        if sub == 0 {
            world.accept(open_account(owner));
            world.deposit(owner, USDC, 100_000 * DOLLAR);
            suitable(&mut world, owner);
        } else {
            world.accept(
                by(owner, Kind::OpenSubAccount).with(&OpenSubAccount { index: sub, ..Record::zero() }),
            );
            let given = Transfer { to_sub: sub, asset: USDC, amount: 500 * DOLLAR, ..Transfer::zero() };
            world.accept(by(owner, Kind::Transfer).with(&given));
        }
        let hedged = long(market, LOTS / 100, 500, 900);
        let other = OpenLeveraged { outcome: 1, ..long(market, LOTS / 100, 510, 2_500) };
        for request in [hedged, other] {
            world.accept(Command { sub, ..open(owner, request) });
        }
    }
    (world, market)
}

/// Seconds until a position of ALICE's on the other outcome is sold once its price has fallen.
fn seconds_to_its_sale(world: &mut World, market: u32) -> i64 {
    world.accept(open(ALICE, OpenLeveraged { outcome: 1, ..long(market, LOTS, 510, 900) }));
    world.accept(cancel_all(BOB, market));
    world.accept(cancel_all(CAROL, market));
    // The other outcome is worth 0.46: bids for it are asks for the first.
    world.accept(place(CAROL, on(market, 0, side::BUY, 536, 50 * LOTS)));
    world.accept(place(BOB, on(market, 0, side::SELL, 540, 50 * LOTS)));
    for second in 1..=30 {
        seconds(world, 1);
        let told = world.events();
        if told.iter().any(|event| event.0 == EventKind::LoanLiquidated && event.1.account == 0) {
            return second;
        }
    }
    panic!("it was not sold")
}

#[test]
fn p5_1_positions_with_credit_keep_no_other_one_from_its_sale_however_many_there_are() {
    // More of them than all looks within the five seconds of a rest would value.
    let (mut full, market) = crowded(90);
    let (mut empty, alone) = crowded(0);
    let expected = seconds_to_its_sale(&mut empty, alone);
    assert_eq!(seconds_to_its_sale(&mut full, market), expected);
    restored(&mut full);
}

#[test]
fn p4_6_6_a_market_admits_so_many_positions_in_groups_and_no_more() {
    let (mut world, market) = crowded(MAX_GROUPED_PER_MARKET / 2);
    let (first, other) = (long(market, LOTS / 100, 500, 200), long(market, LOTS / 100, 510, 200));
    // One of its own has no group; a second one would make one.
    world.accept(open(ALICE, first));
    let second = OpenLeveraged { outcome: 1, ..other };
    let refused = world.refuse(open(ALICE, second), Code::CAPACITY_EXCEEDED);
    assert_eq!((refused.bound, refused.given), (512, 514));
    // What is there may grow, and when a group has ended there is room again.
    world.accept(open(key(0x20), first));
    let ended = CloseLeveraged { market, outcome: 1, limit: 500, ..CloseLeveraged::zero() };
    world.accept(by(key(0x20), Kind::CloseLeveraged).with(&ended));
    world.accept(open(ALICE, second));
    restored(&mut world);
    world.accept(open(OPERATOR, first));
    world.refuse(open(OPERATOR, second), Code::CAPACITY_EXCEEDED);
}

#[test]
fn p4_6_6_every_group_gets_its_turn_however_many_there_are() {
    let (mut world, _) = crowded(90);
    // Eight of them a second.
    seconds(&mut world, 14);
    let unseen = world.engine.loans().filter(|(_, loan)| loan.wait_ns == 0);
    assert_eq!(unseen.count(), 0);
}
