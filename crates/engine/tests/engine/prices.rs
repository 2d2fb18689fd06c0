//! Feeds and publications for tests of everything that needs a price.

use tradewind_engine::oracle::{feed_kind, NO_FEED};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::CommandResult;
use tradewind_engine::wire::Record;
use tradewind_engine::Book;

use crate::support::*;

pub const WEIGHTS: [u8; 3] = [34, 33, 33];

pub fn symbol(text: &str) -> [u8; 16] {
    let mut symbol = [0; 16];
    symbol[..text.len()].copy_from_slice(text.as_bytes());
    symbol
}

/// Defaults of P6: quorum 2, one second, 1 %, 200 bp, no fallback.
pub fn feed_request(text: &str) -> RegisterFeed {
    RegisterFeed {
        symbol: symbol(text),
        feed_kind: feed_kind::ASSET,
        quorum: 2,
        interval_ms: 1_000,
        max_confidence_ppm: 10_000,
        max_deviation_bp: 200,
        fallback: NO_FEED,
        ..RegisterFeed::zero()
    }
}

pub fn register_feed(request: RegisterFeed) -> Command {
    by(RISK, Kind::RegisterFeed).with(&request)
}

pub fn update_feed(request: RegisterFeed) -> Command {
    by(RISK, Kind::UpdateFeed).with(&request)
}

pub fn set_source(feed: u32, source: Key, weight: u8) -> Command {
    by(RISK, Kind::SetFeedSource).with(&SetFeedSource { feed, weight, source, ..Record::zero() })
}

/// A publication of the world's present time; every sequence number is larger than the ones before.
pub fn publication<B: Book>(world: &mut World<B>, feed: u32, value: i64) -> PublishPrice {
    world.fresh_key();
    PublishPrice { feed, value, source_time_ns: world.now_ns, source_seq: world.keys, ..Record::zero() }
}

pub fn publish(source: Key, request: PublishPrice) -> Command {
    by(source, Kind::PublishPrice).with(&request)
}

/// Tick of a perpetual market of [`World::leveraged`]: 0.01 of the quote asset.
pub const TICK: i64 = 10_000;

/// A leveraged market of BTC in USDC, unit 10.
pub fn perpetual(nonce: u64, feed: u32) -> Command {
    let spot: CreateMarket = create_market(nonce, TICK, 1_000, 0, 0).payload_as();
    by(OPERATOR, Kind::CreateMarket).with(&CreateMarket {
        market_kind: tradewind_engine::market::kind::PERPETUAL,
        feed,
        ..spot
    })
}

impl<B: Book> World<B> {
    /// As [`World::new`] with USDC as the settlement asset, and instead of spot markets the feed 0 and the leveraged
    /// market 0 on it, both fresh.
    pub fn leveraged() -> Self {
        let mut world = World::bare();
        world.accept(register_asset(symbol("BTC")));
        let usdc: RegisterAsset = register_asset(symbol("USDC")).payload_as();
        let usdc = RegisterAsset { asset_flags: asset_flag::SETTLEMENT, ..usdc };
        world.accept(by(OPERATOR, Kind::RegisterAsset).with(&usdc));
        for owner in OWNERS {
            world.accept(open_account(owner));
            world.deposit(owner, USDC, FUNDS);
        }
        let feed = world.open_feed(feed_request("BTC-USD"));
        world.accept(perpetual(0, feed));
        world
    }

    /// A feed of the three sources, without a price yet.
    pub fn open_feed(&mut self, request: RegisterFeed) -> u32 {
        let feed = self.accept(register_feed(request)).value as u32;
        for (source, weight) in SOURCES.into_iter().zip(WEIGHTS) {
            self.accept(set_source(feed, source, weight));
        }
        feed
    }

    /// One source publishes, now.
    #[track_caller]
    pub fn quote(&mut self, source: Key, feed: u32, value: i64) -> CommandResult {
        let request = publication(self, feed, value);
        self.accept(publish(source, request))
    }

    /// All three sources publish the same value, now.
    #[track_caller]
    pub fn quote_all(&mut self, feed: u32, value: i64) {
        for source in SOURCES {
            self.quote(source, feed, value);
        }
    }

    /// Seconds in which all sources publish this value, each with its Tick.
    #[track_caller]
    pub fn keep_quoting(&mut self, feed: u32, value: i64, seconds: i64) {
        for _ in 0..seconds {
            self.advance(SECOND);
            self.tick();
            self.quote_all(feed, value);
        }
    }

    /// A feed that is VALID at this value: a minute has passed.
    #[track_caller]
    pub fn valid_feed(&mut self, text: &str, value: i64) -> u32 {
        let feed = self.open_feed(feed_request(text));
        self.quote_all(feed, value);
        self.keep_quoting(feed, value, 61);
        feed
    }

    /// Seconds in which nobody publishes, each with its Tick.
    pub fn wait_seconds(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.advance(SECOND);
            self.tick();
        }
    }

    pub fn feed_state(&self, feed: u32) -> u8 {
        self.engine.feeds().get(feed).expect("a known feed").state()
    }

    pub fn index(&self, feed: u32) -> i64 {
        self.engine.feeds().get(feed).expect("a known feed").index
    }
}
