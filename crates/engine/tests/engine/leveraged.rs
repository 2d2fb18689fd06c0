//! A world of leveraged markets: USDC settles, BTC and ETH are collateral with feeds, two perpetual markets are active.

use tradewind_engine::halts::breaker::id;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::EventKind;
use tradewind_engine::wire::Record;
use tradewind_engine::Book;

use crate::prices::*;
use crate::support::*;

/// Market on BTC: tick 0.01, lot 0.001, unit 10 (P1.4.4); index 100.00 = 10,000 ticks; fees 5 and 2 bp.
pub const PERP: u32 = 0;
/// Market on ETH: tick 0.001, lot 0.01, unit 10; index 20.000 = 20,000 ticks; no fees.
pub const PERP_ETH: u32 = 1;
pub const ETH: u16 = 2;
pub const BTC_FEED: u32 = 0;
pub const ETH_FEED: u32 = 1;
/// Micro-USDC per whole unit.
pub const BTC_PRICE: i64 = 100_000_000;
pub const ETH_PRICE: i64 = 20_000_000;
pub const BTC_TICKS: i64 = 10_000;
/// USDC of every owner: 1,000,000; BTC and ETH: 100.
pub const STAKE: i64 = 1_000_000_000_000;
pub const COINS: i64 = 100_000_000;

pub fn asset(symbol: &str, flags: u32, weights_bp: [u16; 4]) -> Command {
    let mut name = [0; 16];
    name[..symbol.len()].copy_from_slice(symbol.as_bytes());
    let [initial_asset_bp, maintenance_asset_bp, initial_liability_bp, maintenance_liability_bp] = weights_bp;
    by(OPERATOR, Kind::RegisterAsset).with(&RegisterAsset {
        symbol: name,
        initial_asset_bp,
        maintenance_asset_bp,
        initial_liability_bp,
        maintenance_liability_bp,
        asset_flags: flags,
        ..RegisterAsset::zero()
    })
}

pub fn collateral(asset: u16, feed: u32) -> UpdateAsset {
    UpdateAsset {
        asset,
        initial_asset_bp: 8_000,
        maintenance_asset_bp: 9_000,
        initial_liability_bp: 12_000,
        maintenance_liability_bp: 11_000,
        feed,
        ..UpdateAsset::zero()
    }
}

/// A market of the settlement asset on a feed; `nonce` tells the creator's markets apart.
pub fn perpetual(
    nonce: u64,
    base: u16,
    feed: u32,
    tick_size: i64,
    lot_size: i64,
    fees: (u32, u32),
) -> Command {
    by(OPERATOR, Kind::CreateMarket).with(&CreateMarket {
        nonce,
        market_kind: 1,
        outcome_count: 1,
        base,
        quote: USDC,
        tick_size,
        lot_size,
        feed,
        band_bp: 1_000,
        slippage_bp: 100,
        taker_fee_e6bp: fees.0,
        maker_fee_e6bp: fees.1,
        min_notional: 1_000_000,
        max_notional: 1_000_000_000_000,
        ..CreateMarket::zero()
    })
}

pub fn close_position(owner: Key, market: u32, lots: i64, limit: i64) -> Command {
    by(owner, Kind::ClosePosition).with(&ClosePosition { market, reserved: 0, lots, limit })
}

pub fn adjust_margin(owner: Key, sub: u8, market: u32, amount: i64) -> Command {
    let payload = AdjustMargin { market, reserved: 0, amount };
    Command { sub, ..by(owner, Kind::AdjustMargin).with(&payload) }
}

pub fn transfer(owner: Key, sub: u8, to_sub: u8, asset: u16, amount: i64) -> Command {
    let payload = Transfer { to_sub, reserved: 0, asset, reserved2: 0, amount };
    Command { sub, ..by(owner, Kind::Transfer).with(&payload) }
}

/// Opens sub-account `index` in mode CROSS (0) or ISOLATED (1).
pub fn open_sub(owner: Key, index: u8, margin_mode: u8) -> Command {
    by(owner, Kind::OpenSubAccount).with(&OpenSubAccount { index, margin_mode, reserved: 0, reserved2: 0 })
}

pub fn one_market(who: Key, kind: Kind, market: u32) -> Command {
    by(who, kind).with(&OneMarket { market, reserved: 0 })
}

impl<B: Book> World<B> {
    /// Five owners with USDC and coins, two active perpetual markets whose feeds are VALID. ALICE, BOB and CAROL have an
    /// isolated sub-account 1 with 20,000 USDC and a cross sub-account 2 with 50,000.
    pub fn exchange() -> Self {
        let mut world = World::bare();
        world.accept(asset("BTC", 0, [8_000, 9_000, 12_000, 11_000]));
        world.accept(asset("USDC", asset_flag::SETTLEMENT, [10_000; 4]));
        world.accept(asset("ETH", 0, [8_000, 9_000, 12_000, 11_000]));
        for owner in OWNERS {
            world.accept(open_account(owner));
            world.deposit(owner, USDC, STAKE);
            for coin in [BTC, ETH] {
                world.deposit(owner, coin, COINS);
            }
            world.accept(list_address(owner, USDC, [0; 32]));
        }
        for owner in [ALICE, BOB, CAROL] {
            world.accept(open_sub(owner, 1, 1));
            world.accept(open_sub(owner, 2, 0));
            world.accept(transfer(owner, 0, 1, USDC, 20_000_000_000));
            world.accept(transfer(owner, 0, 2, USDC, 50_000_000_000));
        }
        assert_eq!(world.open_feed(feed_request("BTC")), BTC_FEED);
        assert_eq!(world.open_feed(feed_request("ETH")), ETH_FEED);
        world.govern(by(RISK, Kind::UpdateAsset).with(&collateral(BTC, BTC_FEED)), 0);
        world.govern(by(RISK, Kind::UpdateAsset).with(&collateral(ETH, ETH_FEED)), 0);
        world.accept(perpetual(0, BTC, BTC_FEED, 10_000, 1_000, (5_000_000, 2_000_000)));
        world.accept(perpetual(1, ETH, ETH_FEED, 1_000, 10_000, (0, 0)));
        world.loosen_breakers();
        world.fund_vault();
        for _ in 0..130 {
            world.second(BTC_PRICE, ETH_PRICE);
        }
        world
    }

    /// Breakers at their loosest and shortest, so that a random run is not halted most of the time.
    fn loosen_breakers(&mut self) {
        for (breaker, threshold) in [
            (id::PRICE_FAST, 2_000),
            (id::PRICE_SLOW, 5_000),
            (id::VOLUME, 5_000),
            (id::OPEN_INTEREST, 5_000),
        ] {
            for market in [PERP, PERP_ETH] {
                let payload = ConfigureBreaker {
                    market,
                    breaker,
                    config_version: 1,
                    threshold,
                    halt_s: 60,
                    cooldown_s: 12,
                    ..ConfigureBreaker::zero()
                };
                self.govern(by(RISK, Kind::ConfigureBreaker).with(&payload), 0);
            }
        }
    }

    /// A second later: all sources publish both prices, time is told.
    #[track_caller]
    pub fn second(&mut self, btc: i64, eth: i64) {
        self.advance(SECOND);
        self.quote_all(BTC_FEED, btc);
        self.quote_all(ETH_FEED, eth);
        self.tick();
    }

    /// Seconds in which the price of BTC goes straight to `price`.
    #[track_caller]
    pub fn move_btc(&mut self, price: i64, seconds: i64) {
        let from = self.index(BTC_FEED);
        for step in 1..=seconds {
            self.second(from + (price - from) * step / seconds, ETH_PRICE);
        }
    }

    /// A cost line, micro-USDC.
    pub fn cost(&self, owner: Key, sub: u8) -> i64 {
        self.engine.balance(&tradewind_engine::id::account_id(&owner), sub, USDC, 2).expect("a known account")
    }

    /// Whether the last batch holds an event of this kind.
    pub fn saw(&self, kind: EventKind) -> bool {
        self.kinds().contains(&kind)
    }
}
