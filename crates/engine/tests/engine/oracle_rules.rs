//! The edges of P6 that no story of a whole feed reaches.

use tradewind_engine::wire::command::{Kind, PublishPrice};
use tradewind_engine::wire::Code;

use crate::prices::*;
use crate::support::*;

#[test]
fn publications_with_a_reserved_byte_or_for_no_feed_are_refused() {
    let mut world: World = World::new();
    let btc = world.valid_feed("BTC-USD", 100_000_000);
    let given = publication(&mut world, btc, 100_000_000);
    let reserved = PublishPrice { reserved: 1, ..given };
    world.refuse(publish(SOURCES[0], reserved), Code::RESERVED_NOT_ZERO);
    world.refuse(
        by(SOURCES[0], Kind::PublishPrice).with(&PublishPrice { feed: 7, ..given }),
        Code::FEED_NOT_FOUND,
    );
    world.accept(publish(SOURCES[0], given));
}
