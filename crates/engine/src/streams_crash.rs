//! A crash of a leveraged market: many long positions with little margin, one market maker who buys, and an index that
//! falls step by step (protocol P5, issue budgets). Pure and seeded like [`crate::streams`].

use crate::batch::Batch;
use crate::book::Book;
use crate::engine::{Engine, RULES_VERSION};
use crate::genesis::{Genesis, Grant};
use crate::id::{account_id, derive};
use crate::roles;
use crate::sequence::{apply_batch, system_command};
use crate::wire::command::{
    asset_flag, side, time_in_force, Command, CreateMarket, Deposit, DepositVault, Kind, OpenAccount,
    PlaceBatch, PlaceOrder, PublishPrice, RegisterAsset, RegisterFeed, SetFeedSource, UpdateMarketRisk,
};
use crate::wire::error::Reject;
use crate::wire::event::EventKind;
use crate::wire::record::Record;

const START_NS: i64 = 1_700_000_000_000_000_000;
const YEAR_NS: i64 = 365 * 86_400 * 1_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;
const DOLLAR: i64 = 1_000_000;
/// Index at the beginning: 100.00, 10,000 ticks.
const PRICE: i64 = 100 * DOLLAR;
const TICKS: i64 = 10_000;
/// Micro-dollars in the vault.
const COVER: i64 = 900_000_000 * DOLLAR;
/// Lots of each position: 10 contracts, $1,000.
const LOTS: i64 = 10_000;
/// Publications and a Tick come this often.
const STEP_NS: i64 = SECOND_NS / 4;

/// The world of a crash and where its time stands.
pub struct Crash<B: Book> {
    pub engine: Engine<B>,
    pub now_ns: i64,
    positions: u32,
    sources: [[u8; 32]; 3],
    sequence: u64,
    keys: u64,
    price: i64,
    /// What the last commands did: one buffer for all, as a node keeps it.
    batch: Batch,
}

/// What a run of the crash did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub commands: u64,
    pub events: u64,
    /// Sales in the book, takeovers by insurance and fills of auto-deleveraging.
    pub steps: u64,
    pub flagged: u64,
}

fn key(index: u64) -> [u8; 32] {
    derive("crash", &index.to_le_bytes())
}

fn symbol(name: &str) -> [u8; 16] {
    let mut symbol = [0; 16];
    symbol[..name.len()].copy_from_slice(name.as_bytes());
    symbol
}

const SYSTEM: u64 = u64::MAX;
const OPERATOR: u64 = u64::MAX - 1;
const RISK: u64 = u64::MAX - 2;
const FIRST_SOURCE: u64 = u64::MAX - 8;
/// Accounts of the two who stand against everybody: the seller of all positions, and the buyer in the crash.
const SELLER: u64 = 0;
const BUYER: u64 = 1;
const FIRST_TRADER: u64 = 2;

impl<B: Book> Crash<B> {
    /// `positions` long positions with tenfold leverage and margins from 10 % to 16 % of their notional.
    ///
    /// # Errors
    /// What the engine answers when it stops, which is a defect.
    ///
    /// # Panics
    /// When a command of the preparation is refused, which is a defect too.
    pub fn new(positions: u32) -> Result<Self, Reject> {
        let grant =
            |index: u64, role: u8| Grant { principal: key(index), role, expiry_ns: START_NS + YEAR_NS };
        let mut grants =
            vec![grant(SYSTEM, roles::SYSTEM), grant(OPERATOR, roles::OPERATOR), grant(RISK, roles::RISK)];
        grants.extend((0..3).map(|source| grant(FIRST_SOURCE + source, roles::ORACLE)));
        let genesis = Genesis { shard: 0, rules_version: RULES_VERSION, time_ns: START_NS, grants };
        let engine = Engine::new(&genesis).expect("the genesis of the crash is sound");
        let sources = [0, 1, 2].map(|source| key(FIRST_SOURCE + source));
        let mut crash = Crash {
            engine,
            now_ns: START_NS,
            positions,
            sources,
            sequence: 0,
            keys: 0,
            price: PRICE,
            batch: Batch::default(),
        };
        crash.prepare()?;
        Ok(crash)
    }

    fn by(&mut self, index: u64, kind: Kind) -> Command {
        self.keys += 1;
        let mut client_key = [1; 16];
        client_key[..8].copy_from_slice(&self.keys.to_le_bytes());
        let principal = key(index);
        Command { principal, account: account_id(&principal), client_key, ..Command::new(kind) }
    }

    fn apply(&mut self, commands: &[Command], report: &mut Report) -> Result<(), Reject> {
        let input: Vec<u8> = commands.iter().flat_map(|command| command.bytes().to_vec()).collect();
        let batch = &mut self.batch;
        batch.clear();
        apply_batch(&mut self.engine, &input, self.now_ns, batch)?;
        let refused = batch.results.iter().find(|result| result.accepted == 0);
        assert!(refused.is_none(), "the crash is refused: {refused:?}");
        report.commands += batch.commands.len() as u64;
        report.events += batch.output.events.len() as u64;
        for event in &batch.output.events {
            let kind = EventKind::from_code(event.kind);
            let acts = [EventKind::LiquidationStepped, EventKind::BackstopTaken, EventKind::AdlExecuted];
            report.steps += u64::from(kind.is_some_and(|kind| acts.contains(&kind)));
            report.flagged += u64::from(kind == Some(EventKind::LiquidationFlagged));
        }
        Ok(())
    }

    fn prepare(&mut self) -> Result<(), Reject> {
        let mut report = Report::default();
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
        // A vault that covers the crash: without one B1 would halt the market (P7.1, P9.1).
        let cover =
            Deposit { asset: 1, reserved: 0, reserved2: 0, amount: COVER, external_id: key(OPERATOR) };
        let funded = self.by(OPERATOR, Kind::Deposit).with(&cover);
        setup.push(Command { principal: key(SYSTEM), ..funded });
        setup.push(self.by(OPERATOR, Kind::DepositVault).with(&DepositVault { amount: COVER }));
        let feed = RegisterFeed {
            symbol: symbol("BTC-USD"),
            quorum: 2,
            interval_ms: 1_000,
            max_confidence_ppm: 10_000,
            max_deviation_bp: 200,
            fallback: u32::MAX,
            ..RegisterFeed::zero()
        };
        setup.push(self.by(RISK, Kind::RegisterFeed).with(&feed));
        for (source, weight) in self.sources.into_iter().zip([34, 33, 33]) {
            let request = SetFeedSource { feed: 0, weight, source, ..Record::zero() };
            setup.push(self.by(RISK, Kind::SetFeedSource).with(&request));
        }
        let market = CreateMarket {
            market_kind: 1,
            outcome_count: 1,
            quote: 1,
            tick_size: 10_000,
            lot_size: 1_000,
            band_bp: 5_000,
            slippage_bp: 100,
            min_notional: 1,
            max_notional: i64::from(u32::MAX) * DOLLAR,
            ..CreateMarket::zero()
        };
        setup.push(self.by(OPERATOR, Kind::CreateMarket).with(&market));
        // One seller and one buyer stand against everybody.
        let risk = UpdateMarketRisk {
            config_version: 1,
            field_mask: 1 << 4,
            position_limit: i64::from(u32::MAX) * DOLLAR,
            ..Record::zero()
        };
        setup.push(self.by(RISK, Kind::UpdateMarketRisk).with(&risk));
        self.apply(&setup, &mut report)?;
        for _ in 0..520 {
            self.second_quarter(PRICE, &mut report)?;
        }
        self.open_positions(&mut report)
    }

    fn open_positions(&mut self, report: &mut Report) -> Result<(), Reject> {
        let last = FIRST_TRADER + u64::from(self.positions);
        for first in (0..last).step_by(1_000) {
            let mut commands = Vec::new();
            for index in first..(first + 1_000).min(last) {
                commands.push(self.by(index, Kind::OpenAccount).with(&OpenAccount { owner_key: key(index) }));
                let amount = match index {
                    SELLER | BUYER => i64::from(u32::MAX) * DOLLAR,
                    // $100 to $160 for $1,000, spread evenly.
                    _ => 100 * DOLLAR + (index * 7_919 % 60_000) as i64 * DOLLAR / 1_000,
                };
                let request =
                    Deposit { asset: 1, reserved: 0, reserved2: 0, amount, external_id: key(index) };
                let deposit = self.by(index, Kind::Deposit).with(&request);
                commands.push(Command { principal: key(SYSTEM), ..deposit });
            }
            self.apply(&commands, report)?;
            self.second_quarter(PRICE, report)?;
        }
        // One price for all, so that the last trade does not move the mark.
        let mut first = FIRST_TRADER;
        while first < last {
            let mut commands = Vec::new();
            // Slowly enough for the breaker that watches the growth of open interest (B7).
            let end = if first == FIRST_TRADER { first + 90 } else { first + (first / 40).clamp(2, 500) };
            let end = end.min(last);
            let offer = PlaceOrder {
                side: side::SELL,
                price: TICKS,
                lots: LOTS * (end - first) as i64,
                ..PlaceOrder::zero()
            };
            commands.push(self.by(SELLER, Kind::PlaceOrder).with(&offer));
            for index in first..end {
                let take = PlaceOrder { side: side::BUY, price: TICKS, lots: LOTS, ..PlaceOrder::zero() };
                commands.push(self.by(index, Kind::PlaceOrder).with(&take));
            }
            self.apply(&commands, report)?;
            self.second_quarter(PRICE, report)?;
            first = end;
        }
        Ok(())
    }

    /// All sources publish a price, a quarter of a second after the last time, and time is told.
    fn second_quarter(&mut self, price: i64, report: &mut Report) -> Result<(), Reject> {
        self.now_ns += STEP_NS;
        self.price = price;
        let mut commands = Vec::new();
        for source in 0..3 {
            self.sequence += 1;
            let request = PublishPrice {
                feed: 0,
                value: price,
                source_time_ns: self.now_ns,
                source_seq: self.sequence,
                ..Record::zero()
            };
            commands.push(self.by(FIRST_SOURCE + source, Kind::PublishPrice).with(&request));
        }
        commands.push(bytemuck::pod_read_unaligned(&system_command(&self.engine, Kind::Tick)));
        self.apply(&commands, report)
    }

    /// Bids of the buyer for `lots` at a price in ticks.
    ///
    /// # Errors
    /// As [`Crash::new`].
    pub fn bid(&mut self, ticks: i64, lots: i64, report: &mut Report) -> Result<(), Reject> {
        let bid = PlaceOrder { side: side::BUY, price: ticks, lots, ..PlaceOrder::zero() };
        let command = self.by(BUYER, Kind::PlaceOrder).with(&bid);
        self.apply(&[command], report)
    }

    /// The index falls by `ppm` in all, evenly over `steps` quarters of a second.
    ///
    /// # Errors
    /// As [`Crash::new`].
    pub fn fall(&mut self, ppm: i64, steps: i64, report: &mut Report) -> Result<(), Reject> {
        let from = self.price;
        for step in 1..=steps {
            self.second_quarter(from - from * ppm / 1_000_000 * step / steps, report)?;
        }
        Ok(())
    }

    /// Time goes on at the present price.
    ///
    /// # Errors
    /// As [`Crash::new`].
    pub fn wait(&mut self, steps: i64, report: &mut Report) -> Result<(), Reject> {
        self.fall(0, steps, report)
    }

    /// The commands of one step: three publications of a price `ppm` below the present one, and a Tick.
    pub fn step(&mut self, ppm: i64) -> Vec<Command> {
        self.now_ns += STEP_NS;
        self.price -= self.price * ppm / 1_000_000;
        let price = self.price;
        let mut commands: Vec<Command> = (0..3)
            .map(|source| {
                self.sequence += 1;
                let request = PublishPrice {
                    feed: 0,
                    value: price,
                    source_time_ns: self.now_ns,
                    source_seq: self.sequence,
                    ..Record::zero()
                };
                self.by(FIRST_SOURCE + source, Kind::PublishPrice).with(&request)
            })
            .collect();
        commands.push(bytemuck::pod_read_unaligned(&system_command(&self.engine, Kind::Tick)));
        commands
    }

    /// `count` sales of one lot by the seller, whose margin is checked, each to be filled by one resting order.
    pub fn takes(&mut self, count: usize) -> Vec<Command> {
        let ticks = self.price * TICKS / PRICE;
        let take = PlaceOrder {
            side: side::SELL,
            price: ticks - 10,
            lots: 100,
            time_in_force: time_in_force::IOC,
            ..PlaceOrder::zero()
        };
        (0..count).map(|_| self.by(SELLER, Kind::PlaceOrder).with(&take)).collect()
    }

    /// An atomic batch of eight bids of the buyer, far enough from the market to rest.
    pub fn batch_of_eight(&mut self) -> Vec<Command> {
        let ticks = self.price * TICKS / PRICE;
        let header = PlaceBatch { count: 8, ..Record::zero() };
        let mut commands = vec![self.by(BUYER, Kind::PlaceBatch).with(&header)];
        for place in 0..8 {
            let bid =
                PlaceOrder { side: side::BUY, price: ticks - 100 - place, lots: 100, ..PlaceOrder::zero() };
            commands.push(self.by(BUYER, Kind::BatchItem).with(&bid));
        }
        commands
    }
}
