//! Liquidations that are as expensive as the limits of the engine allow: many markets of one sub-account, books of
//! orders of one lot, many open orders, many opponents with as many markets. Pure and seeded like
//! [`crate::streams_crash`]; what they ask is what the dearest command costs (protocol P18.1).

use crate::batch::Batch;
use crate::book::Book;
use crate::engine::{Engine, RULES_VERSION};
use crate::genesis::{Genesis, Grant};
use crate::id::{account_id, derive};
use crate::roles;
use crate::sequence::{apply_batch, system_command};
use crate::wire::command::{
    asset_flag, side, Command, CreateMarket, Deposit, DepositVault, FundInsurance, Kind, OpenAccount,
    PlaceOrder, PublishPrice, RegisterAsset, RegisterFeed, SetFeedSource,
};
use crate::wire::error::Reject;
use crate::wire::record::Record;

const START_NS: i64 = 1_700_000_000_000_000_000;
const YEAR_NS: i64 = 365 * 86_400 * 1_000_000_000;
const DOLLAR: i64 = 1_000_000;
const PRICE: i64 = 100 * DOLLAR;
const TICKS: i64 = 10_000;
/// Micro-dollars in the vault.
const COVER: i64 = 900_000_000 * DOLLAR;
/// Publications and a Tick come this often.
const STEP_NS: i64 = 250_000_000;
const SOURCES: u64 = 3;

/// What makes the liquidation expensive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Markets in which the liquidated one, and everybody against it, has a position: at most 50.
    pub markets: u16,
    /// Those who stand against it, each with a part of every position.
    pub opponents: u16,
    /// Orders of one lot that each of them bids in every market, at most 200.
    pub bids: u16,
    /// Open orders of the liquidated one in every market, at most 200 and 1,000 in all.
    pub orders: u16,
    /// Lots of each of its positions.
    pub lots: i64,
    /// Its money, in thousandths of the notional of its positions.
    pub money_e3: i64,
    /// Dollars of insurance.
    pub insurance: i64,
}

const SYSTEM: u64 = u64::MAX;
const OPERATOR: u64 = u64::MAX - 1;
const RISK: u64 = u64::MAX - 2;
const FIRST_SOURCE: u64 = u64::MAX - 8;
/// The liquidated one; opponents follow.
const VICTIM: u64 = 0;

fn key(index: u64) -> [u8; 32] {
    derive("siege", &index.to_le_bytes())
}

fn symbol(name: &str) -> [u8; 16] {
    let mut symbol = [0; 16];
    symbol[..name.len()].copy_from_slice(name.as_bytes());
    symbol
}

/// The world of a siege and where its time stands.
pub struct Siege<B: Book> {
    pub engine: Engine<B>,
    pub now_ns: i64,
    shape: Shape,
    keys: u64,
    sequence: u64,
    price: i64,
    batch: Batch,
}

impl<B: Book> Siege<B> {
    /// Everything stands ready at a price of 100.00 in every market.
    ///
    /// # Errors
    /// As [`apply_batch`]; a refused command of the set-up is a defect.
    pub fn new(shape: Shape) -> Result<Self, Reject> {
        let grant =
            |index: u64, role: u8| Grant { principal: key(index), role, expiry_ns: START_NS + YEAR_NS };
        let mut grants =
            vec![grant(SYSTEM, roles::SYSTEM), grant(OPERATOR, roles::OPERATOR), grant(RISK, roles::RISK)];
        grants.extend((0..SOURCES).map(|source| grant(FIRST_SOURCE + source, roles::ORACLE)));
        let genesis = Genesis { shard: 0, rules_version: RULES_VERSION, time_ns: START_NS, grants };
        let mut siege = Siege {
            engine: Engine::new(&genesis).expect("the genesis of the siege is sound"),
            now_ns: START_NS,
            shape,
            keys: 0,
            sequence: 0,
            price: PRICE,
            batch: Batch::default(),
        };
        siege.list()?;
        for _ in 0..520 {
            siege.pass(0)?;
        }
        siege.fund()?;
        siege.take_positions()?;
        siege.rest_orders()?;
        Ok(siege)
    }

    fn by(&mut self, index: u64, kind: Kind) -> Command {
        self.keys += 1;
        let mut client_key = [1; 16];
        client_key[..8].copy_from_slice(&self.keys.to_le_bytes());
        let principal = key(index);
        Command { principal, account: account_id(&principal), client_key, ..Command::new(kind) }
    }

    fn apply(&mut self, commands: &[Command]) -> Result<(), Reject> {
        self.batch.clear();
        apply_batch(&mut self.engine, bytemuck::cast_slice(commands), self.now_ns, &mut self.batch)?;
        let refused = self.batch.results.iter().find(|result| result.accepted == 0);
        assert!(refused.is_none(), "the siege is refused: {refused:?}");
        Ok(())
    }

    /// Assets, feeds and markets.
    fn list(&mut self) -> Result<(), Reject> {
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
        setup.push(self.by(OPERATOR, Kind::OpenAccount).with(&OpenAccount { owner_key: key(OPERATOR) }));
        // A vault that covers the fall: without one B1 would halt the markets (P7.1, P9.1).
        let cover =
            Deposit { asset: 1, reserved: 0, reserved2: 0, amount: COVER, external_id: key(OPERATOR) };
        let funded = self.by(OPERATOR, Kind::Deposit).with(&cover);
        setup.push(Command { principal: key(SYSTEM), ..funded });
        setup.push(self.by(OPERATOR, Kind::DepositVault).with(&DepositVault { amount: COVER }));
        for feed in 0..u32::from(self.shape.markets) {
            let request = RegisterFeed {
                symbol: symbol(&format!("F{feed}-USD")),
                quorum: 2,
                interval_ms: 1_000,
                max_confidence_ppm: 10_000,
                max_deviation_bp: 200,
                fallback: u32::MAX,
                ..RegisterFeed::zero()
            };
            setup.push(self.by(RISK, Kind::RegisterFeed).with(&request));
            for (source, weight) in (0..SOURCES).zip([34, 33, 33]) {
                let source = key(FIRST_SOURCE + source);
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
        self.apply(&setup)
    }

    /// Accounts and their money.
    fn fund(&mut self) -> Result<(), Reject> {
        let Shape { markets, opponents, lots, money_e3, insurance, .. } = self.shape;
        let notional = lots * TICKS * 10 * i64::from(markets);
        let mut commands = Vec::new();
        for index in VICTIM..=u64::from(opponents) {
            commands.push(self.by(index, Kind::OpenAccount).with(&OpenAccount { owner_key: key(index) }));
            let amount = match index {
                VICTIM => notional / 1_000 * money_e3,
                // Not all alike: their ranks differ.
                _ => notional / i64::from(opponents) * (20 + index as i64 % 7) / 10 + 10_000 * DOLLAR,
            };
            let request = Deposit { asset: 1, reserved: 0, reserved2: 0, amount, external_id: key(index) };
            let deposit = self.by(index, Kind::Deposit).with(&request);
            commands.push(Command { principal: key(SYSTEM), ..deposit });
        }
        if insurance > 0 {
            let payload = FundInsurance { asset: 1, reserved: 0, reserved2: 0, amount: insurance * DOLLAR };
            let request = Deposit {
                asset: 1,
                reserved: 0,
                reserved2: 0,
                amount: insurance * DOLLAR,
                external_id: [9; 32],
            };
            let deposit = self.by(1, Kind::Deposit).with(&request);
            commands.push(Command { principal: key(SYSTEM), ..deposit });
            commands.push(self.by(1, Kind::FundInsurance).with(&payload));
        }
        self.apply(&commands)
    }

    /// The victim buys everything from the opponents.
    fn take_positions(&mut self) -> Result<(), Reject> {
        let Shape { markets, opponents, lots, .. } = self.shape;
        for market in 0..u32::from(markets) {
            let mut commands = Vec::new();
            for opponent in 1..=i64::from(opponents) {
                let lots =
                    lots * opponent / i64::from(opponents) - lots * (opponent - 1) / i64::from(opponents);
                let offer = PlaceOrder { market, side: side::SELL, price: TICKS, lots, ..PlaceOrder::zero() };
                commands.push(self.by(opponent as u64, Kind::PlaceOrder).with(&offer));
                let take = PlaceOrder { side: side::BUY, ..offer };
                commands.push(self.by(VICTIM, Kind::PlaceOrder).with(&take));
            }
            self.apply(&commands)?;
            self.pass(0)?;
        }
        Ok(())
    }

    /// The opponents' bids of one lot, and what the victim leaves open.
    fn rest_orders(&mut self) -> Result<(), Reject> {
        let Shape { markets, opponents, bids, orders, .. } = self.shape;
        for market in 0..u32::from(markets) {
            let mut commands = Vec::new();
            let mut bid = |siege: &mut Self, index: u64, price: i64| {
                let bid = PlaceOrder { market, side: side::BUY, price, lots: 1, ..PlaceOrder::zero() };
                commands.push(siege.by(index, Kind::PlaceOrder).with(&bid));
            };
            for order in 0..i64::from(bids) {
                for opponent in 1..=u64::from(opponents) {
                    bid(self, opponent, 9_600 - order % 50);
                }
            }
            for order in 0..i64::from(orders) {
                bid(self, VICTIM, 6_000 + order);
            }
            self.apply(&commands)?;
            self.pass(0)?;
        }
        Ok(())
    }

    /// The commands of one step: every source publishes for every feed a price `ppm` below the present one; time is told.
    pub fn step(&mut self, ppm: i64) -> Vec<Command> {
        self.now_ns += STEP_NS;
        self.price -= self.price * ppm / 1_000_000;
        let mut commands = Vec::new();
        for feed in 0..u32::from(self.shape.markets) {
            for source in 0..SOURCES {
                self.sequence += 1;
                let request = PublishPrice {
                    feed,
                    value: self.price,
                    source_time_ns: self.now_ns,
                    source_seq: self.sequence,
                    ..Record::zero()
                };
                commands.push(self.by(FIRST_SOURCE + source, Kind::PublishPrice).with(&request));
            }
        }
        commands.push(bytemuck::pod_read_unaligned(&system_command(&self.engine, Kind::Tick)));
        commands
    }

    fn pass(&mut self, ppm: i64) -> Result<(), Reject> {
        let commands = self.step(ppm);
        self.apply(&commands)
    }

    /// Lots that the victim still holds, of all markets.
    pub fn left(&self) -> i64 {
        let victim = 1;
        let perps = self.engine.perps();
        let lots = |market| perps.position(victim, 0, market).map_or(0, |position| position.lots.abs());
        (0..u32::from(self.shape.markets)).map(lots).sum()
    }
}
