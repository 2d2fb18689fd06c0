//! What the streams of leveraged markets stand on: principals, a covered exchange with feeds and markets, prices.

use crate::book::Book;
use crate::engine::{Engine, RULES_VERSION};
use crate::genesis::{Genesis, Grant};
use crate::id::{account_id, derive};
use crate::roles;
use crate::sequence::system_command;
use crate::wire::command::{
    asset_flag, Command, CreateMarket, Deposit, DepositVault, Kind, OpenAccount, PublishPrice, RegisterAsset,
    RegisterFeed, SetFeedSource,
};
use crate::wire::record::Record;

pub const START_NS: i64 = 1_700_000_000_000_000_000;
const YEAR_NS: i64 = 365 * 86_400 * 1_000_000_000;
pub const DOLLAR: i64 = 1_000_000;
/// Index at the beginning: 100.00, 10,000 ticks.
pub const PRICE: i64 = 100 * DOLLAR;
pub const TICKS: i64 = 10_000;
/// Publications and a Tick come this often.
const STEP_NS: i64 = 250_000_000;
/// Steps until every market is active and nothing is held any more.
pub const WARM_UP_STEPS: u32 = 520;
/// Micro-dollars in the vault.
const COVER: i64 = 900_000_000 * DOLLAR;
const SOURCES: u64 = 3;
const WEIGHTS: [u8; 3] = [34, 33, 33];

pub const SYSTEM: u64 = u64::MAX;
const OPERATOR: u64 = u64::MAX - 1;
pub const RISK: u64 = u64::MAX - 2;
const FIRST_SOURCE: u64 = u64::MAX - 8;

/// Who acts, and what was used up of client keys and source numbers.
pub struct Stage {
    domain: &'static str,
    pub now_ns: i64,
    pub price: i64,
    keys: u64,
    sequence: u64,
}

fn symbol(name: &str) -> [u8; 16] {
    let mut symbol = [0; 16];
    symbol[..name.len()].copy_from_slice(name.as_bytes());
    symbol
}

impl Stage {
    /// `domain` tells the principals of one stream from those of another.
    pub fn new(domain: &'static str) -> Self {
        Stage { domain, now_ns: START_NS, price: PRICE, keys: 0, sequence: 0 }
    }

    pub fn key(&self, index: u64) -> [u8; 32] {
        derive(self.domain, &index.to_le_bytes())
    }

    /// An engine in which the staff and the sources have their roles.
    ///
    /// # Panics
    /// Never: the genesis is sound.
    pub fn engine<B: Book>(&self) -> Engine<B> {
        let expiry_ns = START_NS + YEAR_NS;
        let grant = |index: u64, role: u8| Grant { principal: self.key(index), role, expiry_ns };
        let mut grants =
            vec![grant(SYSTEM, roles::SYSTEM), grant(OPERATOR, roles::OPERATOR), grant(RISK, roles::RISK)];
        grants.extend((0..SOURCES).map(|source| grant(FIRST_SOURCE + source, roles::ORACLE)));
        let genesis = Genesis { shard: 0, rules_version: RULES_VERSION, time_ns: START_NS, grants };
        Engine::new(&genesis).expect("the genesis of the stream is sound")
    }

    /// A command of a principal on its own account, with a fresh client key.
    pub fn by(&mut self, index: u64, kind: Kind) -> Command {
        self.keys += 1;
        let mut client_key = [1; 16];
        client_key[..8].copy_from_slice(&self.keys.to_le_bytes());
        let principal = self.key(index);
        Command { principal, account: account_id(&principal), client_key, ..Command::new(kind) }
    }

    /// Micro-dollars for an account.
    pub fn deposit(&mut self, index: u64, amount: i64, external_id: [u8; 32]) -> Command {
        let request = Deposit { asset: 1, reserved: 0, reserved2: 0, amount, external_id };
        let deposit = self.by(index, Kind::Deposit).with(&request);
        Command { principal: self.key(SYSTEM), ..deposit }
    }

    /// An account and its money.
    pub fn trader(&mut self, index: u64, amount: i64) -> [Command; 2] {
        let owner_key = self.key(index);
        let open = self.by(index, Kind::OpenAccount).with(&OpenAccount { owner_key });
        [open, self.deposit(index, amount, owner_key)]
    }

    /// Assets, a vault that covers what follows (without one B1 would halt the markets: P7.1, P9.1), and a feed with its
    /// sources and its market for each name.
    pub fn foundation(&mut self, feeds: &[String]) -> Vec<Command> {
        let mut setup = Vec::new();
        for (name, flags) in [("BTC", 0), ("USDC", asset_flag::SETTLEMENT)] {
            let request = RegisterAsset {
                symbol: symbol(name),
                initial_asset_bp: 10_000,
                maintenance_asset_bp: 10_000,
                initial_liability_bp: 10_000,
                maintenance_liability_bp: 10_000,
                asset_flags: flags,
                ..RegisterAsset::zero()
            };
            setup.push(self.by(OPERATOR, Kind::RegisterAsset).with(&request));
        }
        setup.extend(self.trader(OPERATOR, COVER));
        setup.push(self.by(OPERATOR, Kind::DepositVault).with(&DepositVault { amount: COVER }));
        for (feed, name) in (0..).zip(feeds) {
            let request = RegisterFeed {
                symbol: symbol(name),
                quorum: 2,
                interval_ms: 1_000,
                max_confidence_ppm: 10_000,
                max_deviation_bp: 200,
                fallback: u32::MAX,
                ..RegisterFeed::zero()
            };
            setup.push(self.by(RISK, Kind::RegisterFeed).with(&request));
            for (source, weight) in (FIRST_SOURCE..).zip(WEIGHTS) {
                let source = self.key(source);
                let request = SetFeedSource { feed, weight, source, ..Record::zero() };
                setup.push(self.by(RISK, Kind::SetFeedSource).with(&request));
            }
            let request = CreateMarket {
                nonce: u64::from(feed),
                market_kind: 1,
                outcome_count: 1,
                quote: 1,
                tick_size: 10_000,
                lot_size: 1_000,
                feed,
                band_bp: 5_000,
                slippage_bp: 100,
                min_notional: 1,
                max_notional: i64::from(u32::MAX) * DOLLAR,
                ..CreateMarket::zero()
            };
            setup.push(self.by(OPERATOR, Kind::CreateMarket).with(&request));
        }
        setup
    }

    /// A quarter of a second later: every source publishes this price for each of the feeds, and time is told.
    pub fn step<B: Book>(&mut self, engine: &Engine<B>, feeds: u32, price: i64) -> Vec<Command> {
        self.now_ns += STEP_NS;
        self.price = price;
        let mut commands = Vec::new();
        for feed in 0..feeds {
            for source in 0..SOURCES {
                self.sequence += 1;
                let request = PublishPrice {
                    feed,
                    value: price,
                    source_time_ns: self.now_ns,
                    source_seq: self.sequence,
                    ..Record::zero()
                };
                commands.push(self.by(FIRST_SOURCE + source, Kind::PublishPrice).with(&request));
            }
        }
        commands.push(bytemuck::pod_read_unaligned(&system_command(engine, Kind::Tick)));
        commands
    }

    /// The price `ppm` below the present one.
    pub fn below(&self, ppm: i64) -> i64 {
        self.price - self.price * ppm / 1_000_000
    }
}
