//! Liquidations that are as expensive as the limits of the engine allow: many markets of one sub-account, books of
//! orders of one lot, many open orders, many opponents with as many markets. Pure and seeded like
//! [`crate::streams_crash`]; what they ask is what the dearest command costs (protocol P18.1).

use crate::batch::Batch;
use crate::book::Book;
use crate::engine::Engine;
use crate::sequence::apply_batch;
use crate::streams_stage::{Stage, DOLLAR, TICKS, WARM_UP_STEPS};
use crate::wire::command::{side, Command, FundInsurance, Kind, PlaceOrder};
use crate::wire::error::Reject;
use crate::wire::record::Record;

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

/// The liquidated one; opponents follow.
const VICTIM: u64 = 0;

/// The world of a siege.
pub struct Siege<B: Book> {
    pub engine: Engine<B>,
    stage: Stage,
    shape: Shape,
    batch: Batch,
}

impl<B: Book> Siege<B> {
    /// Everything stands ready at a price of 100.00 in every market.
    ///
    /// # Errors
    /// As [`apply_batch`]; a refused command of the set-up is a defect.
    pub fn new(shape: Shape) -> Result<Self, Reject> {
        let stage = Stage::new("siege");
        let mut siege = Siege { engine: stage.engine(), stage, shape, batch: Batch::default() };
        let feeds: Vec<String> = (0..shape.markets).map(|feed| format!("F{feed}-USD")).collect();
        let listed = siege.stage.foundation(&feeds);
        siege.apply(&listed)?;
        for _ in 0..WARM_UP_STEPS {
            siege.pass(0)?;
        }
        siege.fund()?;
        siege.take_positions()?;
        siege.rest_orders()?;
        Ok(siege)
    }

    /// The present moment in nanoseconds since 1970.
    pub fn now_ns(&self) -> i64 {
        self.stage.now_ns
    }

    fn apply(&mut self, commands: &[Command]) -> Result<(), Reject> {
        self.batch.clear();
        apply_batch(&mut self.engine, bytemuck::cast_slice(commands), self.stage.now_ns, &mut self.batch)?;
        let refused = self.batch.results.iter().find(|result| result.accepted == 0);
        assert!(refused.is_none(), "the siege is refused: {refused:?}");
        Ok(())
    }

    /// Accounts and their money.
    fn fund(&mut self) -> Result<(), Reject> {
        let Shape { markets, opponents, lots, money_e3, insurance, .. } = self.shape;
        let notional = lots * TICKS * 10 * i64::from(markets);
        let mut commands = Vec::new();
        for index in VICTIM..=u64::from(opponents) {
            let amount = match index {
                VICTIM => notional / 1_000 * money_e3,
                // Not all alike: their ranks differ.
                _ => notional / i64::from(opponents) * (20 + index as i64 % 7) / 10 + 10_000 * DOLLAR,
            };
            commands.extend(self.stage.trader(index, amount));
        }
        if insurance > 0 {
            let payload = FundInsurance { asset: 1, reserved: 0, reserved2: 0, amount: insurance * DOLLAR };
            commands.push(self.stage.deposit(1, insurance * DOLLAR, [9; 32]));
            commands.push(self.stage.by(1, Kind::FundInsurance).with(&payload));
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
                commands.push(self.stage.by(opponent as u64, Kind::PlaceOrder).with(&offer));
                let take = PlaceOrder { side: side::BUY, ..offer };
                commands.push(self.stage.by(VICTIM, Kind::PlaceOrder).with(&take));
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
                commands.push(siege.stage.by(index, Kind::PlaceOrder).with(&bid));
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
        let price = self.stage.below(ppm);
        self.stage.step(&self.engine, self.shape.markets.into(), price)
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
