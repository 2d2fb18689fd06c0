//! Exits of a bracket, pairs and slices where more happens than one order (P2.5.2–P2.5.7); each was a disagreement with
//! the reference model.

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{cancel_reason, CancelBody, EventKind, FiredBody};

use crate::arena::*;
use crate::leveraged::{open_sub, transfer};
use crate::support::*;

/// Rich traders; the mark is 100.00.
fn arena() -> Arena {
    let mut arena: Arena = Arena::new(4);
    (0..4).for_each(|number| arena.deposit(number, USDC, 100_000 * DOLLAR));
    arena
}

/// An order that waits for the mark.
fn by_mark(order: PlaceOrder) -> PlaceOrder {
    PlaceOrder { trigger_source: trigger_source::MARK, ..order }
}

fn exit(arena: &mut Arena, entry: u64, order: PlaceOrder) -> u64 {
    let flags = order.order_flags | order_flag::BRACKET;
    let order = PlaceOrder { order_flags: flags, linked_order: entry, ..order };
    arena.accept(place(trader(0), order)).value
}

/// Ids of the orders that fired in the last batch, with their triggers.
fn fired(arena: &Arena) -> Vec<(u64, i64)> {
    let events = arena.events().into_iter().filter(|(kind, _)| *kind == EventKind::TriggerFired);
    events.map(|(_, event)| (event.order, event.body_as::<FiredBody>().trigger_price)).collect()
}

/// The same since genesis: a price that walks fires in whatever command brings it.
fn ever_fired(arena: &Arena) -> Vec<(u64, i64)> {
    let events = arena.history.iter().filter(|event| event.kind == EventKind::TriggerFired as u16);
    events.map(|event| (event.order, event.body_as::<FiredBody>().trigger_price)).collect()
}

fn cancelled(arena: &Arena) -> Vec<(u64, u8)> {
    let events = arena.events().into_iter().filter(|(kind, _)| *kind == EventKind::OrderCancelled);
    events.map(|(_, event)| (event.order, event.body_as::<CancelBody>().reason)).collect()
}

#[test]
fn p2_5_4_a_trailing_exit_trails_from_the_price_at_which_its_entry_first_fills() {
    let mut arena = arena();
    let entry = arena.accept(buy(trader(0), PERP, 9_900, 10_000)).value;
    let exit = exit(&mut arena, entry, by_mark(trailing(PERP, side::SELL, 100, 10_000)));
    arena.price(PERP, 97.0);
    arena.accept(sell(trader(1), PERP, 9_900, 10_000));
    arena.price(PERP, 96.5);
    assert_eq!(ever_fired(&arena), [], "the stop is at 96.00");
    arena.price(PERP, 95.9);
    assert_eq!(ever_fired(&arena), [(exit, 9_600)]);
}

#[test]
fn p2_5_3_of_two_exits_that_one_price_reaches_the_lower_id_fires() {
    for take_first in [true, false] {
        let mut arena = arena();
        let entry = arena.accept(sell(trader(0), PERP, 10_000, 10_000)).value;
        let take = by_mark(take_profit(PERP, side::BUY, 10_100, 10_000));
        let lose = by_mark(stop(PERP, side::BUY, 9_900, 10_000));
        let orders = if take_first { [take, lose] } else { [lose, take] };
        let exits = orders.map(|order| exit(&mut arena, entry, order));
        arena.accept(buy(trader(1), PERP, 10_000, 10_000));
        let fired: Vec<u64> = fired(&arena).into_iter().map(|(order, _)| order).collect();
        assert_eq!(fired, [exits[0]], "take-profit first: {take_first}");
        assert!(cancelled(&arena).contains(&(exits[1], cancel_reason::LINKED)));
    }
}

#[test]
fn p2_5_4_a_trail_follows_every_price_of_a_command_that_arms_an_exit() {
    let mut arena = arena();
    arena.trade(2, 1, PERP, 9_940, 1_000);
    let entry = arena.accept(buy(trader(0), PERP, 10_000, 10_000)).value;
    let by_trades = |order| PlaceOrder { trigger_source: trigger_source::LAST_TRADE, ..order };
    exit(&mut arena, entry, by_trades(stop(PERP, side::SELL, 9_000, 10_000)));
    let trail = arena.accept(place(trader(3), by_trades(trailing(PERP, side::SELL, 40, 1_000)))).value;
    arena.accept(buy(trader(2), PERP, 9_950, 10_000));
    // 99.40 before, then 100.00 and 99.50: the stop rises to 99.60 and is passed.
    arena.accept(sell(trader(1), PERP, 9_950, 20_000));
    assert_eq!(fired(&arena), [(trail, 9_960)]);
}

#[test]
fn p2_5_2_reduce_only_orders_beyond_a_position_go_when_it_shrinks_and_stay_when_it_grows() {
    let mut arena = arena();
    arena.trade(0, 1, PERP, 10_000, 5_000);
    let reduces =
        |price| PlaceOrder { order_flags: order_flag::REDUCE_ONLY, ..limit(PERP, side::SELL, price, 10_000) };
    let orders = [10_100, 10_200].map(|price| arena.accept(place(trader(0), reduces(price))).value);
    arena.trade(0, 1, PERP, 10_000, 1_000);
    assert_eq!(cancelled(&arena), []);
    arena.accept(buy(trader(2), PERP, 9_990, 1_000));
    arena.accept(sell(trader(0), PERP, 9_990, 1_000));
    assert_eq!(cancelled(&arena), [(orders[1], cancel_reason::REDUCE_ONLY)]);
}

#[test]
fn p2_5_6_a_position_that_slices_closed_makes_room_for_one_in_another_market() {
    let mut arena = arena();
    arena.accept(open_sub(trader(0), 1, 1));
    arena.accept(transfer(trader(0), 0, 1, USDC, 50_000 * DOLLAR));
    let isolated = |command: Command| Command { sub: 1, ..command };
    arena.accept(sell(trader(1), PERP, 10_000, 10_000));
    arena.accept(isolated(buy(trader(0), PERP, 10_000, 10_000)));
    arena.accept(buy(trader(2), PERP, 10_000, 10_000));
    let slices = PlaceTwap { order_flags: order_flag::REDUCE_ONLY, ..twap(PERP, side::SELL, 10_000, 2, 5) };
    arena.accept(isolated(by(trader(0), Kind::PlaceTwap).with(&slices)));
    arena.seconds(10);
    assert_eq!(arena.engine.perps().position(0, 1, PERP).map(|position| position.lots), None);
    // An isolated sub-account has one position: an empty record must not be it.
    arena.accept(isolated(buy(trader(0), OTHER, 9_990, 1_000)));
}
