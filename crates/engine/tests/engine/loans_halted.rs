//! Leveraged outcome positions under a pause: new debt is refused, closing and liquidation go on (P7.5, P17 I25).

use tradewind_engine::market::level;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::EventKind;
use tradewind_engine::wire::Code;

use crate::loans::{close, lending_world, lent_market, loan, long, open, LOTS};
use crate::outcome_books::on;
use crate::support::*;

fn paused(outcomes: u8) -> (World, u32) {
    let mut world = lending_world();
    let market = lent_market(&mut world, outcomes);
    world.accept(open(ALICE, long(market, LOTS, 500, 500)));
    let until_ns = world.now_ns + 24 * HOUR;
    world.accept(pause(market, level::PARTIAL, until_ns));
    world.refuse(open(ALICE, long(market, LOTS, 500, 500)), Code::PAUSED);
    (world, market)
}

#[test]
fn p7_5_a_leveraged_position_can_be_closed_while_its_market_only_reduces() {
    for outcomes in [2, 3] {
        let (mut world, market) = paused(outcomes);
        world.accept(close(ALICE, market, LOTS / 2, 490));
        world.accept(close(ALICE, market, 0, 490));
        assert_eq!(loan(&world, ALICE, market, 0), None);
        world.auditor.verify().expect("every invariant");
    }
}

/// A market with a position that its prices have left unsound.
fn unsound() -> (World, u32) {
    let mut world = lending_world();
    let market = lent_market(&mut world, 2);
    world.accept(open(ALICE, long(market, LOTS, 500, 500)));
    for owner in [BOB, CAROL] {
        world.accept(cancel_all(owner, market));
    }
    world.accept(place(CAROL, on(market, 0, side::BUY, 405, 10 * LOTS)));
    world.accept(place(BOB, on(market, 0, side::SELL, 415, 10 * LOTS)));
    (world, market)
}

/// Whether something is sold within two minutes.
fn is_sold(world: &mut World) -> bool {
    let mut sold = false;
    for _ in 0..120 {
        world.advance(SECOND);
        world.tick();
        sold |= world.events().iter().any(|event| event.0 == EventKind::LoanLiquidated);
    }
    world.auditor.verify().expect("every invariant");
    sold
}

#[test]
fn p7_5_what_is_unsound_is_sold_under_every_pause_but_a_freeze() {
    for pause_level in [level::PARTIAL, level::FULL] {
        for whole_platform in [false, true] {
            let (mut world, market) = unsound();
            let scope = if whole_platform { ALL_MARKETS } else { market };
            let until_ns = world.now_ns + 24 * HOUR;
            world.accept(pause(scope, pause_level, until_ns));
            assert!(is_sold(&mut world), "level {pause_level}, platform {whole_platform}");
        }
    }
    for whole_platform in [false, true] {
        let (mut world, market) = unsound();
        let until_ns = world.now_ns + HOUR;
        freeze(&mut world, if whole_platform { ALL_MARKETS } else { market }, until_ns);
        assert!(!is_sold(&mut world), "platform {whole_platform}");
        world.refuse(close(ALICE, market, 0, 405), Code::FROZEN);
    }
}
