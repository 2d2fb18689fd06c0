//! Pauses: levels, masks, who may set and end them, and what they leave possible (P7.5, P7.6).

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{EventKind as E, PauseBody};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{Engine, FastBook};

use crate::arena::{trader, PERP};
use crate::support::*;

const TRADING: u8 = 1;
const LIQUIDATION: u8 = 2;
const ORACLE: u8 = 4;
const WITHDRAWAL: u8 = 8;
const DEPOSIT: u8 = 16;
const ADMIN: u8 = 32;

fn last_pause(world: &World) -> PauseBody {
    world.events().last().expect("an event").1.body_as()
}

fn withdrawal(owner: Key) -> Command {
    let request = RequestWithdrawal {
        asset: USDC,
        reserved: 0,
        reserved2: 0,
        amount: 5_000_000,
        address_hash: [0; 32],
    };
    by(owner, Kind::RequestWithdrawal).with(&request)
}

/// A world whose withdrawal addresses may be used.
fn old_world() -> World {
    let mut world = World::new();
    world.advance(DAY);
    world
}

fn restored(world: &mut World) {
    let bytes = world.engine.snapshot();
    world.engine = Engine::<FastBook>::restore(&bytes).expect("a sound snapshot");
    assert_eq!(world.engine.snapshot(), bytes, "a snapshot of a restored engine is the same");
}

#[test]
fn p7_5_freeze_takes_two_emergency_principals_and_stops_even_cancels() {
    let mut world: World = World::new();
    let order = world.accept(buy(ALICE, 0, 90, 5)).value;
    world.accept(pause(ALL_MARKETS, 3, START + HOUR));
    assert_eq!(world.kinds(), [E::PausePending]);
    assert_eq!(last_pause(&world).until_ns, START + 600 * SECOND, "the second person has 600 s");
    world.accept(buy(ALICE, 0, 90, 1));
    world.refuse(pause(ALL_MARKETS, 3, START + HOUR), Code::SELF_APPROVAL);
    restored(&mut world);
    world.accept(masked_pause(EMERGENCY_B, ALL_MARKETS, (3, 0), START + HOUR));
    assert_eq!(world.kinds(), [E::PauseSet]);
    let refused = world.refuse(cancel(ALICE, order), Code::FROZEN);
    assert_eq!((refused.bound, refused.given), (START + HOUR, 3));
    world.refuse(cancel_all(ALICE, ALL_MARKETS), Code::FROZEN);
    world.refuse(buy(ALICE, 0, 90, 1), Code::FROZEN);
    world.refuse(replace(ALICE, order, 91, 5), Code::FROZEN);
    world.refuse(deposit(ALICE, USDC, 1, [1; 32]), Code::FROZEN);
    world.refuse(withdrawal(ALICE), Code::FROZEN);
}

#[test]
fn p7_5_the_second_person_of_a_freeze_must_come_in_time_and_ask_for_the_same() {
    let mut world: World = World::new();
    world.accept(pause(0, 3, START + HOUR));
    world.advance(600 * SECOND + 1);
    world.accept(masked_pause(EMERGENCY_B, 0, (3, 0), START + HOUR));
    assert_eq!(world.kinds(), [E::PausePending], "too late: this is a new first person");
    world.accept(masked_pause(EMERGENCY, 0, (3, TRADING), START + HOUR));
    assert_eq!(world.kinds(), [E::PausePending], "another mask is another request");
    world.accept(masked_pause(EMERGENCY_B, 0, (3, TRADING), START + 2 * HOUR));
    assert_eq!(world.kinds(), [E::PauseSet]);
    assert_eq!(last_pause(&world).until_ns, START + HOUR, "both agreed to the earlier end only");
}

#[test]
fn p7_5_a_freeze_lasts_a_day_falls_back_to_full_and_is_renewed_by_two() {
    let mut world: World = World::new();
    let order = world.accept(buy(ALICE, 0, 90, 5)).value;
    let id = freeze(&mut world, 0, START + 24 * HOUR);
    world.advance(23 * HOUR);
    freeze(&mut world, 0, START + 47 * HOUR);
    world.advance(2 * HOUR);
    world.refuse(cancel(ALICE, order), Code::FROZEN);
    restored(&mut world);
    world.advance(22 * HOUR);
    world.tick();
    assert_eq!(world.kinds(), [E::TimeAdvanced, E::PauseSet]);
    assert_eq!(last_pause(&world).level, 2);
    world.refuse(buy(ALICE, 0, 90, 1), Code::PAUSED);
    world.accept(cancel(ALICE, order));
    world.refuse(resume(RESUMER_A, 0, id), Code::INVALID_TRANSITION);
    world.accept(resume(RESUMER_A, 0, id + 1));
    world.accept(resume(RESUMER_B, 0, id + 1));
    world.accept(buy(ALICE, 0, 90, 1));
}

#[test]
fn a_freeze_of_one_market_leaves_the_others_alone() {
    let mut world: World = World::new();
    let (here, there) = (world.accept(buy(ALICE, 0, 90, 5)).value, world.accept(buy(ALICE, 1, 90, 5)).value);
    freeze(&mut world, 0, START + HOUR);
    world.refuse(cancel(ALICE, here), Code::FROZEN);
    world.refuse(cancel_all(ALICE, 0), Code::FROZEN);
    world.accept(cancel(ALICE, there));
    world.accept(buy(ALICE, 1, 90, 5));
    world.accept(cancel_all(ALICE, ALL_MARKETS));
    assert_eq!(world.engine.sizes().0, 1, "the frozen order stays");
    world.accept(deposit(ALICE, USDC, 1, [1; 32]));
}

#[test]
fn p7_6_each_category_stops_what_it_names_and_nothing_else() {
    let tries: [(u8, fn() -> Command); 5] = [
        (TRADING, || buy(ALICE, 0, 90, 1)),
        (WITHDRAWAL, || withdrawal(ALICE)),
        (DEPOSIT, || deposit(ALICE, USDC, 1, [9; 32])),
        (ADMIN, || register_asset([b'Z'; 16])),
        (ORACLE, || by(SOURCES[0], Kind::PublishPrice).with(&PublishPrice { feed: 77, ..Record::zero() })),
    ];
    for (mask, _) in tries {
        let mut world = old_world();
        world.accept(masked_pause(EMERGENCY, ALL_MARKETS, (0, mask), START + 2 * DAY));
        for (category, build) in tries {
            let result = world.send(build());
            let paused = Code::from_number(result.code) == Some(Code::PAUSED);
            assert_eq!(paused, category == mask, "mask {mask}, command of category {category}");
        }
        restored(&mut world);
    }
}

#[test]
fn p7_6_a_mask_switches_off_liquidation_only_with_full_and_two_persons() {
    let mut world: World = World::new();
    let ask = |who, level| masked_pause(who, ALL_MARKETS, (level, LIQUIDATION), START + HOUR);
    for level in [0, 1] {
        world.refuse(ask(EMERGENCY, level), Code::PARAMETER_OUT_OF_BOUNDS);
    }
    world.accept(ask(EMERGENCY, 2));
    assert_eq!(world.kinds(), [E::PausePending]);
    world.accept(ask(EMERGENCY_B, 2));
    assert_eq!(world.kinds(), [E::PauseSet]);
    assert_eq!(last_pause(&world).categories, LIQUIDATION);
    let liquidate = Liquidate { target: by(ALICE, Kind::Tick).account, ..Record::zero() };
    world.refuse(by(SYSTEM, Kind::Liquidate).with(&liquidate), Code::PAUSED);
}

#[test]
fn p7_6_a_pause_is_tightened_by_one_and_eased_by_two_others() {
    let mut world: World = World::new();
    world.accept(pause(0, 1, START + HOUR));
    let id = world.accept(masked_pause(EMERGENCY_B, 0, (2, 0), START + HOUR)).value as u32;
    world.refuse(pause(0, 1, START + HOUR), Code::INVALID_TRANSITION);
    world.refuse(masked_pause(EMERGENCY, 0, (0, TRADING), START + HOUR), Code::INVALID_TRANSITION);
    world.accept(resume(RESUMER_A, 0, id));
    world.refuse(resume(RESUMER_A, 0, id), Code::SELF_APPROVAL);
    world.advance(600 * SECOND + 1);
    world.accept(resume(RESUMER_B, 0, id));
    assert_eq!(world.kinds(), [E::ResumePending], "the first approval has lapsed");
    world.accept(resume(RESUMER_A, 0, id));
    assert_eq!(world.kinds(), [E::Resumed]);
    world.refuse(resume(RESUMER_A, 0, id), Code::INVALID_TRANSITION);
    world.refuse(resume(RESUMER_A, 9, id), Code::MARKET_NOT_FOUND);
}

#[test]
fn a_replace_by_client_key_in_a_paused_market_is_paused() {
    let mut world: World = World::new();
    world.accept(Command { client_key: [5; 16], ..buy(ALICE, 0, 90, 3) });
    world.accept(pause(0, 1, START + HOUR));
    let request = ReplaceOrder { order: 0, target_key: [5; 16], price: 91, total_lots: 0 };
    world.refuse(by(ALICE, Kind::ReplaceOrder).with(&request), Code::PAUSED);
    let missing = ReplaceOrder { order: 0, target_key: [6; 16], price: 91, total_lots: 0 };
    world.refuse(by(ALICE, Kind::ReplaceOrder).with(&missing), Code::ORDER_NOT_FOUND);
    world.accept(by(ALICE, Kind::CancelOrder).with(&CancelOrder { order: 0, target_key: [5; 16] }));
}

#[test]
fn a_replace_to_any_number_of_lots_is_judged_while_only_reductions_pass() {
    // Trader 0 is long of 10,000 lots at 110.
    let mut arena = crate::liquidation::golden();
    let (owner, market) = (trader(0), PERP);
    let order = arena.accept(sell(owner, market, 11_050, 5_000)).value;
    arena.accept(pause(market, 1, arena.now_ns + HOUR));
    for lots in [i64::MIN, -1] {
        arena.refuse(replace(owner, order, 11_050, lots), Code::REPLACE_BELOW_FILLED);
    }
    for lots in [10_001, i64::MAX] {
        arena.refuse(replace(owner, order, 11_050, lots), Code::PAUSED);
    }
    arena.accept(replace(owner, order, 11_050, 10_000));
}

#[test]
fn a_queued_withdrawal_whose_time_a_pause_moves_says_so() {
    let mut world = old_world();
    world.accept(pause(ALL_MARKETS, 1, START + DAY + HOUR));
    world.accept(withdrawal(ALICE));
    assert_eq!(world.kinds(), [E::WithdrawalQueued]);
    world.accept(pause(ALL_MARKETS, 2, START + DAY + 2 * HOUR));
    world.advance(HOUR);
    world.tick();
    assert_eq!(world.kinds(), [E::WithdrawalRescheduled]);
}

#[test]
fn p7_6_emergency_shutdown_is_a_full_pause_of_the_platform_for_an_hour_that_does_not_end_by_itself() {
    let mut world: World = World::new();
    let order = world.accept(buy(ALICE, 0, 90, 5)).value;
    let id = world.accept(pause(ALL_MARKETS, 2, START + HOUR)).value as u32;
    world.refuse(buy(ALICE, 1, 90, 1), Code::PAUSED);
    world.accept(cancel(ALICE, order));
    world.advance(HOUR + SECOND);
    world.tick();
    world.refuse(buy(ALICE, 1, 90, 1), Code::PAUSED);
    world.accept(resume(RESUMER_A, ALL_MARKETS, id));
    world.accept(resume(RESUMER_B, ALL_MARKETS, id));
    world.accept(buy(ALICE, 1, 90, 1));
}

#[test]
fn closing_a_paused_market_forgets_its_pause() {
    let mut world: World = World::new();
    world.accept(pause(1, 1, START + HOUR));
    world.accept(by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market: 1, reserved: 0 }));
    world.advance(2 * HOUR);
    world.tick();
    assert!(!world.kinds().contains(&E::Resumed));
    world.refuse(buy(ALICE, 1, 90, 1), Code::MARKET_NOT_ACTIVE);
    world.accept(buy(ALICE, 0, 90, 1));
}
