//! Requests and worlds that the cases start from.

use tradewind_engine::wire::command::*;
use tradewind_engine::wire::Record;

use crate::support::*;

/// A leveraged world whose sources publish for so many seconds: two of them 100, the third one `high`.
pub fn quoted(seconds: i64, high: i64) -> World {
    let mut world = World::leveraged();
    for _ in 0..seconds {
        world.advance(SECOND);
        world.tick();
        for (source, value) in SOURCES.into_iter().zip([100_000_000, 100_000_000, high]) {
            world.quote(source, 0, value);
        }
    }
    world
}

pub fn grant(principal: Key, role: u8, expiry_ns: i64) -> Command {
    by(ADMIN_A, Kind::GrantRole).with(&GrantRole { principal, role, expiry_ns, ..Record::zero() })
}

pub fn delegate(owner: Key, to: Key, scopes: u32, expiry_ns: i64) -> Command {
    by(owner, Kind::SetDelegate).with(&SetDelegate { key: to, scopes, reserved: 0, expiry_ns })
}

pub fn transfer(owner: Key, sub: u8, to_sub: u8, asset: u16, amount: i64) -> Command {
    let payload = Transfer { to_sub, reserved: 0, asset, reserved2: 0, amount };
    Command { sub, ..by(owner, Kind::Transfer).with(&payload) }
}

pub fn link(first: Key, other: Key, linked: u8, evidence_hash: [u8; 32]) -> Command {
    let other = tradewind_engine::id::account_id(&other);
    let payload = LinkOwners { other, evidence_hash, linked, ..Record::zero() };
    Command { principal: RISK, ..by(first, Kind::LinkOwners) }.with(&payload)
}

pub fn withdraw(owner: Key, address_hash: [u8; 32], amount: i64) -> Command {
    let payload = RequestWithdrawal { asset: USDC, reserved: 0, reserved2: 0, amount, address_hash };
    by(owner, Kind::RequestWithdrawal).with(&payload)
}

pub fn released_withdrawal(world: &mut World) -> u64 {
    world.advance(DAY);
    world.accept(withdraw(ALICE, [0; 32], 5_000_000)).value
}

pub fn open_sub(world: &mut World, owner: Key, index: u8) {
    world.accept(by(owner, Kind::OpenSubAccount).with(&OpenSubAccount { index, ..Record::zero() }));
}

pub fn close(market: u32) -> Command {
    by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market, reserved: 0 })
}

pub fn gtd(expiry_ns: i64) -> Command {
    place(ALICE, PlaceOrder { time_in_force: time_in_force::GTD, expiry_ns, ..limit(0, side::BUY, 100, 1) })
}

/// A trade at 100, which is the last price of market 0.
pub fn traded(world: &mut World) {
    world.accept(buy(BOB, 0, 100, 1));
    world.accept(sell(CAROL, 0, 100, 1));
}

pub fn twap_with(world: &mut World, change: fn(&mut PlaceTwap)) -> Command {
    traded(world);
    let mut payload = twap(0, side::BUY, 100, 4, 60);
    change(&mut payload);
    by(ALICE, Kind::PlaceTwap).with(&payload)
}

/// BOB quotes 99 to 101 for ten lots: the reference is 100.
pub fn two_sided(world: &mut World) {
    world.accept(buy(BOB, 0, 99, 10));
    world.accept(sell(BOB, 0, 101, 10));
}

pub fn market_request() -> CreateMarket {
    create_market(9, 1_000, 1_000, 0, 0).payload_as()
}

pub fn changed_market(request: CreateMarket) -> Command {
    by(OPERATOR, Kind::CreateMarket).with(&request)
}

pub fn update_request() -> UpdateMarket {
    UpdateMarket { market: 0, config_version: 1, field_mask: 1, band_bp: 500, ..Record::zero() }
}

pub fn update(request: UpdateMarket) -> Command {
    by(RISK, Kind::UpdateMarket).with(&request)
}
