//! A crash of a leveraged market: many long positions with little margin, one market maker who buys, and an index that
//! falls step by step (protocol P5, issue budgets). Pure and seeded like [`crate::streams`].

use crate::batch::Batch;
use crate::book::Book;
use crate::engine::Engine;
use crate::sequence::apply_batch;
use crate::streams_stage::{Stage, DOLLAR, PRICE, RISK, TICKS, WARM_UP_STEPS};
use crate::wire::command::{side, time_in_force, Command, Kind, PlaceBatch, PlaceOrder, UpdateMarketRisk};
use crate::wire::error::Reject;
use crate::wire::event::EventKind;
use crate::wire::record::Record;

/// Lots of each position: 10 contracts, $1,000.
const LOTS: i64 = 10_000;

/// The world of a crash.
pub struct Crash<B: Book> {
    pub engine: Engine<B>,
    stage: Stage,
    positions: u32,
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
        let stage = Stage::new("crash");
        let mut crash = Crash { engine: stage.engine(), stage, positions, batch: Batch::default() };
        crash.prepare()?;
        Ok(crash)
    }

    /// The present moment in nanoseconds since 1970.
    pub fn now_ns(&self) -> i64 {
        self.stage.now_ns
    }

    fn apply(&mut self, commands: &[Command], report: &mut Report) -> Result<(), Reject> {
        let input: Vec<u8> = commands.iter().flat_map(|command| command.bytes().to_vec()).collect();
        let batch = &mut self.batch;
        batch.clear();
        apply_batch(&mut self.engine, &input, self.stage.now_ns, batch)?;
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
        let mut setup = self.stage.foundation(&["BTC-USD".to_owned()]);
        // One seller and one buyer stand against everybody.
        let risk = UpdateMarketRisk {
            config_version: 1,
            field_mask: 1 << 4,
            position_limit: i64::from(u32::MAX) * DOLLAR,
            ..Record::zero()
        };
        setup.push(self.stage.by(RISK, Kind::UpdateMarketRisk).with(&risk));
        self.apply(&setup, &mut report)?;
        for _ in 0..WARM_UP_STEPS {
            self.second_quarter(PRICE, &mut report)?;
        }
        self.open_positions(&mut report)
    }

    fn open_positions(&mut self, report: &mut Report) -> Result<(), Reject> {
        let last = FIRST_TRADER + u64::from(self.positions);
        for first in (0..last).step_by(1_000) {
            let mut commands = Vec::new();
            for index in first..(first + 1_000).min(last) {
                let amount = match index {
                    SELLER | BUYER => i64::from(u32::MAX) * DOLLAR,
                    // $100 to $160 for $1,000, spread evenly.
                    _ => 100 * DOLLAR + (index * 7_919 % 60_000) as i64 * DOLLAR / 1_000,
                };
                commands.extend(self.stage.trader(index, amount));
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
            commands.push(self.stage.by(SELLER, Kind::PlaceOrder).with(&offer));
            for index in first..end {
                let take = PlaceOrder { side: side::BUY, price: TICKS, lots: LOTS, ..PlaceOrder::zero() };
                commands.push(self.stage.by(index, Kind::PlaceOrder).with(&take));
            }
            self.apply(&commands, report)?;
            self.second_quarter(PRICE, report)?;
            first = end;
        }
        Ok(())
    }

    /// All sources publish a price, a quarter of a second after the last time, and time is told.
    fn second_quarter(&mut self, price: i64, report: &mut Report) -> Result<(), Reject> {
        let commands = self.stage.step(&self.engine, 1, price);
        self.apply(&commands, report)
    }

    /// Bids of the buyer for `lots` at a price in ticks.
    ///
    /// # Errors
    /// As [`Crash::new`].
    pub fn bid(&mut self, ticks: i64, lots: i64, report: &mut Report) -> Result<(), Reject> {
        let bid = PlaceOrder { side: side::BUY, price: ticks, lots, ..PlaceOrder::zero() };
        let command = self.stage.by(BUYER, Kind::PlaceOrder).with(&bid);
        self.apply(&[command], report)
    }

    /// The index falls by `ppm` in all, evenly over `steps` quarters of a second.
    ///
    /// # Errors
    /// As [`Crash::new`].
    pub fn fall(&mut self, ppm: i64, steps: i64, report: &mut Report) -> Result<(), Reject> {
        let from = self.stage.price;
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
        let price = self.stage.below(ppm);
        self.stage.step(&self.engine, 1, price)
    }

    /// `count` sales of one lot by the seller, whose margin is checked, each to be filled by one resting order.
    pub fn takes(&mut self, count: usize) -> Vec<Command> {
        let ticks = self.stage.price * TICKS / PRICE;
        let take = PlaceOrder {
            side: side::SELL,
            price: ticks - 10,
            lots: 100,
            time_in_force: time_in_force::IOC,
            ..PlaceOrder::zero()
        };
        (0..count).map(|_| self.stage.by(SELLER, Kind::PlaceOrder).with(&take)).collect()
    }

    /// An atomic batch of eight bids of the buyer, far enough from the market to rest.
    pub fn batch_of_eight(&mut self) -> Vec<Command> {
        let ticks = self.stage.price * TICKS / PRICE;
        let header = PlaceBatch { count: 8, ..Record::zero() };
        let mut commands = vec![self.stage.by(BUYER, Kind::PlaceBatch).with(&header)];
        for place in 0..8 {
            let bid =
                PlaceOrder { side: side::BUY, price: ticks - 100 - place, lots: 100, ..PlaceOrder::zero() };
            commands.push(self.stage.by(BUYER, Kind::BatchItem).with(&bid));
        }
        commands
    }
}
