//! Commands as tests write them.

use tradewind_engine::id;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::Record;

use super::*;

/// An envelope of an owner who acts for himself.
pub fn by(owner: Key, kind: Kind) -> Command {
    Command { shard: 3, principal: owner, account: id::account_id(&owner), ..Command::new(kind) }
}

/// GOVERNOR proposes a command.
pub fn propose(inner: Command, config_version: u32) -> Command {
    let mut payload = [0; PROPOSAL_SIZE];
    payload.copy_from_slice(&inner.payload[..PROPOSAL_SIZE]);
    by(GOVERNOR, Kind::ProposeAction).with(&ProposeAction {
        action_kind: inner.kind,
        action_op: inner.op,
        reserved: 0,
        config_version,
        payload,
    })
}

pub fn register_asset(symbol: [u8; 16]) -> Command {
    let payload = RegisterAsset {
        symbol,
        initial_asset_bp: 10_000,
        maintenance_asset_bp: 10_000,
        initial_liability_bp: 10_000,
        maintenance_liability_bp: 10_000,
        deposit_cap: 0,
        asset_flags: 0,
        reserved: 0,
    };
    by(OPERATOR, Kind::RegisterAsset).with(&payload)
}

pub fn open_account(owner: Key) -> Command {
    by(owner, Kind::OpenAccount).with(&OpenAccount { owner_key: owner })
}

pub fn deposit(owner: Key, asset: u16, amount: i64, external_id: [u8; 32]) -> Command {
    let payload = Deposit { asset, reserved: 0, reserved2: 0, amount, external_id };
    Command { principal: SYSTEM, ..by(owner, Kind::Deposit).with(&payload) }
}

/// Usable for withdrawals a day later, which random streams are.
pub fn list_address(owner: Key, asset: u16, address_hash: [u8; 32]) -> Command {
    by(owner, Kind::ListAddress).with(&ListAddress { asset, reserved: 0, reserved2: 0, address_hash })
}

pub fn create_market(
    nonce: u64,
    tick_size: i64,
    lot_size: i64,
    taker_fee_e6bp: u32,
    maker_fee_e6bp: u32,
) -> Command {
    by(OPERATOR, Kind::CreateMarket).with(&CreateMarket {
        nonce,
        outcome_count: 1,
        base: BTC,
        quote: USDC,
        tick_size,
        lot_size,
        band_bp: 9_000,
        slippage_bp: 100,
        taker_fee_e6bp,
        maker_fee_e6bp,
        min_notional: 1,
        max_notional: 1_000_000_000_000,
        ..CreateMarket::zero()
    })
}

pub fn limit(market: u32, side: u8, price: i64, lots: i64) -> PlaceOrder {
    PlaceOrder { market, side, price, lots, ..PlaceOrder::zero() }
}

/// A stop at the market that watches the last trade.
pub fn stop(market: u32, side: u8, trigger_price: i64, lots: i64) -> PlaceOrder {
    PlaceOrder {
        order_type: order_type::STOP,
        trigger_price,
        trigger_source: trigger_source::LAST_TRADE,
        ..limit(market, side, 0, lots)
    }
}

pub fn take_profit(market: u32, side: u8, trigger_price: i64, lots: i64) -> PlaceOrder {
    PlaceOrder { order_type: order_type::TAKE_PROFIT, ..stop(market, side, trigger_price, lots) }
}

pub fn trailing(market: u32, side: u8, trail: i64, lots: i64) -> PlaceOrder {
    PlaceOrder { order_type: order_type::TRAILING_STOP, trail, ..stop(market, side, 0, lots) }
}

pub fn iceberg(market: u32, side: u8, price: i64, lots: i64, display_lots: i64) -> PlaceOrder {
    PlaceOrder { order_type: order_type::ICEBERG, display_lots, ..limit(market, side, price, lots) }
}

pub fn twap(market: u32, side: u8, lots: i64, slices: u16, interval_s: u32) -> PlaceTwap {
    PlaceTwap { market, side, lots, slices, interval_s, ..PlaceTwap::zero() }
}

pub fn place(owner: Key, order: PlaceOrder) -> Command {
    by(owner, Kind::PlaceOrder).with(&order)
}

pub fn buy(owner: Key, market: u32, price: i64, lots: i64) -> Command {
    place(owner, limit(market, side::BUY, price, lots))
}

pub fn sell(owner: Key, market: u32, price: i64, lots: i64) -> Command {
    place(owner, limit(market, side::SELL, price, lots))
}

pub fn cancel(owner: Key, order: u64) -> Command {
    by(owner, Kind::CancelOrder).with(&CancelOrder { order, target_key: [0; 16] })
}

pub fn replace(owner: Key, order: u64, price: i64, total_lots: i64) -> Command {
    by(owner, Kind::ReplaceOrder).with(&ReplaceOrder { order, target_key: [0; 16], price, total_lots })
}

pub fn cancel_all(owner: Key, market: u32) -> Command {
    by(owner, Kind::CancelAll).with(&CancelAll { market, sub: ALL, side: ALL, reserved: 0 })
}

pub fn pause(market: u32, level: u8, until_ns: i64) -> Command {
    let mut reason = [0; 48];
    reason[..4].copy_from_slice(b"test");
    let payload = PauseMarket { market, level, categories: 0, reserved: 0, until_ns, reason };
    by(EMERGENCY, Kind::PauseMarket).with(&payload)
}

/// As [`pause`], by anyone, with a level and a mask of categories.
pub fn masked_pause(who: Key, market: u32, (level, categories): (u8, u8), until_ns: i64) -> Command {
    let plain = pause(market, level, until_ns);
    let payload = PauseMarket { categories, ..plain.payload_as() };
    Command { principal: who, ..plain.with(&payload) }
}

/// Two EMERGENCY principals freeze.
pub fn freeze(world: &mut World, market: u32, until_ns: i64) -> u32 {
    world.accept(pause(market, 3, until_ns));
    world.accept(masked_pause(EMERGENCY_B, market, (3, 0), until_ns)).value as u32
}

fn breaker_request(who: Key, kind: Kind, market: u32, breaker: u8) -> Command {
    let mut reason = [0; 48];
    reason[..4].copy_from_slice(b"test");
    by(who, kind).with(&Breaker { market, breaker, reason, ..Breaker::zero() })
}

pub fn trip_breaker(who: Key, market: u32, breaker: u8) -> Command {
    breaker_request(who, Kind::TripBreaker, market, breaker)
}

pub fn close_breaker(who: Key, market: u32, breaker: u8) -> Command {
    breaker_request(who, Kind::CloseBreaker, market, breaker)
}

/// First settings of a breaker; those that stay 0 keep their defaults.
pub fn configure(market: u32, breaker: u8, change: impl FnOnce(&mut ConfigureBreaker)) -> Command {
    let mut payload = ConfigureBreaker { market, breaker, config_version: 1, ..ConfigureBreaker::zero() };
    change(&mut payload);
    by(RISK, Kind::ConfigureBreaker).with(&payload)
}

pub fn resume(by_key: Key, market: u32, pause_id: u32) -> Command {
    by(by_key, Kind::ResumeMarket).with(&ResumeMarket { market, pause_id })
}
