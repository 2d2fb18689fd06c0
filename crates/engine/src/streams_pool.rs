//! Swaps against one pool, for counting what they cost. Pure and seeded by their number alone.

use crate::batch::Batch;
use crate::book::Book;
use crate::engine::{Engine, RULES_VERSION};
use crate::genesis::{Genesis, Grant};
use crate::id::{account_id, derive};
use crate::roles;
use crate::sequence::apply_batch;
use crate::wire::command::{
    asset_flag, side, Command, CreateMarket, CreatePool, Deposit, Kind, OpenAccount, RegisterAsset, SwapAmm,
};
use crate::wire::error::Reject;
use crate::wire::record::Record;

const START_NS: i64 = 1_700_000_000_000_000_000;
const YEAR_NS: i64 = 365 * 86_400 * 1_000_000_000;
const DOLLAR: i64 = 1_000_000;
const SYSTEM: u8 = 1;
const OPERATOR: u8 = 2;

/// A market with a funded pool.
pub struct PoolStream<B: Book> {
    pub engine: Engine<B>,
    pub now_ns: i64,
    outcome_count: u8,
    keys: u64,
}

fn key(number: u8) -> [u8; 32] {
    derive("pool", &[number])
}

impl<B: Book> PoolStream<B> {
    /// A pool of `kind`, with $100,000, in a market of `outcome_count` outcomes that ends in a year.
    ///
    /// # Errors
    /// What the engine answers when it stops, which is a defect.
    ///
    /// # Panics
    /// When a command of the preparation is refused, which is a defect too.
    pub fn new(outcome_count: u8, kind: u8) -> Result<Self, Reject> {
        let grant = |number, role| Grant { principal: key(number), role, expiry_ns: START_NS + YEAR_NS };
        let grants = vec![grant(SYSTEM, roles::SYSTEM), grant(OPERATOR, roles::OPERATOR)];
        let genesis = Genesis { shard: 0, rules_version: RULES_VERSION, time_ns: START_NS, grants };
        let engine = Engine::new(&genesis).expect("the genesis of the stream is sound");
        let mut stream = PoolStream { engine, now_ns: START_NS, outcome_count, keys: 0 };
        let setup = stream.preparation(kind);
        let mut batch = Batch::default();
        apply_batch(&mut stream.engine, bytemuck::cast_slice(&setup), START_NS, &mut batch)?;
        let refused = batch.results.iter().find(|result| result.accepted == 0);
        assert!(refused.is_none(), "the preparation is refused: {refused:?}");
        Ok(stream)
    }

    fn by(&mut self, number: u8, kind: Kind) -> Command {
        self.keys += 1;
        let mut client_key = [1; 16];
        client_key[..8].copy_from_slice(&self.keys.to_le_bytes());
        let principal = key(number);
        Command { principal, account: account_id(&key(OPERATOR)), client_key, ..Command::new(kind) }
    }

    fn preparation(&mut self, amm_kind: u8) -> Vec<Command> {
        let mut symbol = [0; 16];
        symbol[..4].copy_from_slice(b"USDC");
        let asset = RegisterAsset {
            symbol,
            initial_asset_bp: 10_000,
            maintenance_asset_bp: 10_000,
            initial_liability_bp: 10_000,
            maintenance_liability_bp: 10_000,
            asset_flags: asset_flag::SETTLEMENT,
            ..RegisterAsset::zero()
        };
        let deposit =
            Deposit { asset: 0, amount: 100_000_000 * DOLLAR, external_id: [7; 32], ..Deposit::zero() };
        let market = CreateMarket {
            market_kind: crate::market::kind::OUTCOME,
            outcome_count: self.outcome_count,
            tick_size: 1_000,
            lot_size: 1_000,
            settle_time_ns: START_NS + YEAR_NS,
            band_bp: 1_000,
            slippage_bp: 100,
            taker_fee_e6bp: 28_000_000,
            min_notional: 1,
            max_notional: 1_000_000 * DOLLAR,
            ..CreateMarket::zero()
        };
        let pool = CreatePool { market: 0, amm_kind, funding: 100_000 * DOLLAR, ..CreatePool::zero() };
        vec![
            self.by(OPERATOR, Kind::RegisterAsset).with(&asset),
            self.by(OPERATOR, Kind::OpenAccount).with(&OpenAccount { owner_key: key(OPERATOR) }),
            self.by(SYSTEM, Kind::Deposit).with(&deposit),
            self.by(OPERATOR, Kind::CreateMarket).with(&market),
            self.by(OPERATOR, Kind::CreatePool).with(&pool),
        ]
    }

    /// `count` swaps: of every three two buy for some dollars and one sells shares, over the outcomes in turn.
    pub fn swaps(&mut self, count: usize) -> Vec<Command> {
        let outcomes = usize::from(self.outcome_count);
        let swap = |number: usize| SwapAmm {
            market: 0,
            outcome: ((number / 3) % outcomes) as u8,
            side: if number % 3 == 2 { side::SELL } else { side::BUY },
            amount: (2 + (number * 7) as i64 % 40) * DOLLAR / if number % 3 == 2 { 2 } else { 1 },
            limit: 1,
            ..SwapAmm::zero()
        };
        (0..count).map(|number| self.by(OPERATOR, Kind::SwapAmm).with(&swap(number))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pool::amm_kind;
    use crate::FastBook;

    #[test]
    fn all_swaps_of_the_stream_are_accepted() {
        let lmsr = [2, 8, 64].map(|outcomes| (outcomes, amm_kind::LMSR));
        for (outcomes, kind) in lmsr.into_iter().chain([(2, amm_kind::PM_STATIC), (2, amm_kind::PM_DYNAMIC)])
        {
            let mut stream = PoolStream::<FastBook>::new(outcomes, kind).unwrap();
            let swaps = stream.swaps(300);
            let mut batch = Batch::default();
            apply_batch(&mut stream.engine, bytemuck::cast_slice(&swaps), stream.now_ns, &mut batch).unwrap();
            assert!(batch.results.iter().all(|result| result.accepted == 1), "{outcomes} {kind}");
        }
    }
}
