//! The standard command streams over which speed and instruction counts are stated (protocol P18.1).
//!
//! Pure and seeded: the same flow gives the same commands on every machine, so that counts can be compared.

use crate::batch::Batch;
use crate::book::Book;
use crate::engine::{Engine, RULES_VERSION};
use crate::genesis::{Genesis, Grant};
use crate::hash::Set;
use crate::id::{account_id, derive};
use crate::roles;
use crate::sequence::apply_batch;
use crate::wire::command::{
    side, time_in_force, CancelOrder, Command, CreateMarket, Deposit, Kind, OpenAccount, PlaceOrder,
    RegisterAsset, ReplaceOrder, SetRateClass,
};
use crate::wire::event::{EventKind, TradeBody};
use crate::wire::record::Record;

const START_NS: i64 = 1_700_000_000_000_000_000;
const YEAR_NS: i64 = 365 * 86_400 * 1_000_000_000;
/// Mid price of the flows in ticks.
const MID: i64 = 100_000;
/// How long a client key stays live. At millions of commands per second this bounds the table, as in production
/// the 4,096 keys per account do.
const KEY_VALIDITY_NS: i64 = 50_000_000;
/// Command time that passes per batch.
const BATCH_NS: i64 = 1_000_000;

/// What a stream consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// 53 % resting places, 38 % cancels, 9 % takes; as many orders stay live as were asked for.
    Mixed,
    /// Resting places only.
    Place,
    /// Cancels of what was placed.
    Cancel,
    /// Moves to another price, without trading.
    Replace,
    /// Takes that fill against one resting order, each preceded by nothing else.
    Trade,
}

/// A small xorshift generator; statistics do not matter here, repeatability does.
#[derive(Clone, Debug)]
struct Generator(u64);

impl Generator {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Generates the commands of one flow and learns from the results which orders live.
#[derive(Clone, Debug)]
pub struct Stream {
    owners: Vec<([u8; 32], [u8; 32])>,
    generator: Generator,
    /// Order id and owner index of resting orders.
    live: Vec<(u64, u32)>,
    placed_by: Vec<Option<u32>>,
    /// Distance of resting prices from the mid, in ticks.
    depth: u64,
    next_key: u64,
    pub now_ns: i64,
}

fn key(index: u64) -> [u8; 32] {
    derive("stream", &index.to_le_bytes())
}

fn symbol(name: &str) -> [u8; 16] {
    let mut symbol = [0; 16];
    symbol[..name.len()].copy_from_slice(name.as_bytes());
    symbol
}

/// Genesis with one SYSTEM, one OPERATOR and one RISK principal.
pub fn genesis() -> Genesis {
    let grant = |index, role| Grant { principal: key(index), role, expiry_ns: START_NS + YEAR_NS };
    let grants = vec![grant(0, roles::SYSTEM), grant(1, roles::OPERATOR), grant(2, roles::RISK)];
    Genesis { shard: 0, rules_version: RULES_VERSION, time_ns: START_NS, grants }
}

impl Stream {
    /// A stream whose first commands, `setup`, are still to be applied by an engine of the caller.
    pub fn unattached(accounts: u64, depth: u64) -> Stream {
        Stream {
            owners: (0..accounts).map(|index| (key(100 + index), account_id(&key(100 + index)))).collect(),
            generator: Generator(0x1234_5678_9ABC_DEF1),
            live: Vec::new(),
            placed_by: Vec::new(),
            depth,
            next_key: 0,
            now_ns: START_NS,
        }
    }

    /// An engine with `accounts` funded accounts and `markets` spot markets, and the stream that trades on the first.
    pub fn new<B: Book>(accounts: u64, markets: u64, depth: u64) -> (Engine<B>, Stream) {
        let mut engine = Engine::new(&genesis()).expect("the genesis of the streams is valid");
        let mut stream = Stream::unattached(accounts, depth);
        let setup = stream.setup(markets);
        let mut batch = Batch::default();
        for part in setup.chunks(4_096) {
            batch.clear();
            apply_batch(&mut engine, bytemuck::cast_slice(part), START_NS, &mut batch)
                .expect("set-up applies");
            assert!(
                batch.results.iter().all(|result| result.accepted == 1),
                "the set-up of a stream was refused"
            );
        }
        (engine, stream)
    }

    fn command(&mut self, kind: Kind, principal: [u8; 32], account: [u8; 32]) -> Command {
        self.next_key += 1;
        let mut client_key = [0; 16];
        client_key[..8].copy_from_slice(&self.next_key.to_le_bytes());
        let valid_until_ns = self.now_ns + KEY_VALIDITY_NS;
        Command { principal, account, client_key, valid_until_ns, ..Command::new(kind) }
    }

    /// Two assets, an operator, `markets` spot markets, and the accounts with what they trade with.
    pub fn setup(&mut self, markets: u64) -> Vec<Command> {
        let operator = (key(1), account_id(&key(1)));
        let mut commands = Vec::new();
        for name in ["BASE", "QUOTE"] {
            let asset = RegisterAsset {
                symbol: symbol(name),
                initial_asset_bp: 10_000,
                maintenance_asset_bp: 10_000,
                initial_liability_bp: 10_000,
                maintenance_liability_bp: 10_000,
                deposit_cap: 0,
                asset_flags: 0,
                reserved: 0,
            };
            commands.push(self.command(Kind::RegisterAsset, operator.0, [0; 32]).with(&asset));
        }
        let open = OpenAccount { owner_key: operator.0 };
        commands.push(self.command(Kind::OpenAccount, operator.0, operator.1).with(&open));
        for nonce in 0..markets {
            let market = CreateMarket {
                nonce,
                market_kind: 0,
                outcome_count: 1,
                base: 0,
                quote: 1,
                market_flags: 0,
                tick_size: 10_000,
                lot_size: 1_000,
                settle_time_ns: 0,
                feed: 0,
                band_bp: 9_000,
                slippage_bp: 100,
                taker_fee_e6bp: 10_000_000,
                maker_fee_e6bp: 2_000_000,
                min_notional: 1_000_000,
                max_notional: 1_000_000_000_000,
            };
            commands.push(self.command(Kind::CreateMarket, operator.0, operator.1).with(&market));
        }
        for index in 0..self.owners.len() {
            let (owner, account) = self.owners[index];
            let open = OpenAccount { owner_key: owner };
            commands.push(self.command(Kind::OpenAccount, owner, account).with(&open));
            // A stream is faster than any client: it measures the engine, not its limits.
            let class = SetRateClass { rate_class: 3, ..Record::zero() };
            commands.push(self.command(Kind::SetRateClass, key(2), account).with(&class));
            for asset in 0..2 {
                let mut external_id = derive("stream-deposit", &(index as u64).to_le_bytes());
                external_id[31] = asset as u8;
                let amount = 100_000_000_000_000;
                let deposit = Deposit { asset, reserved: 0, reserved2: 0, amount, external_id };
                commands.push(self.command(Kind::Deposit, key(0), account).with(&deposit));
            }
        }
        commands
    }

    fn place(&mut self, order_side: u8, price: i64, lots: i64, tif: u8, owner: u32) -> Command {
        let (principal, account) = self.owners[owner as usize];
        self.placed_by.push((tif == time_in_force::GTC).then_some(owner));
        let order = PlaceOrder { side: order_side, price, lots, time_in_force: tif, ..Record::zero() };
        self.command(Kind::PlaceOrder, principal, account).with(&order)
    }

    fn resting(&mut self) -> Command {
        let owner = self.generator.below(self.owners.len() as u64) as u32;
        let order_side = self.generator.below(2) as u8;
        let distance = 1 + self.generator.below(self.depth) as i64;
        let price = if order_side == side::BUY { MID - distance } else { MID + distance };
        let lots = 10 + self.generator.below(90) as i64;
        self.place(order_side, price, lots, time_in_force::GTC, owner)
    }

    fn taking(&mut self, lots: i64) -> Command {
        let owner = self.generator.below(self.owners.len() as u64) as u32;
        let order_side = self.generator.below(2) as u8;
        let reach = 1 + self.depth as i64;
        let price = if order_side == side::BUY { MID + reach } else { MID - reach };
        self.place(order_side, price, lots, time_in_force::IOC, owner)
    }

    fn cancel(&mut self) -> Command {
        let index = self.generator.below(self.live.len() as u64) as usize;
        let (order, owner) = self.live.swap_remove(index);
        let (principal, account) = self.owners[owner as usize];
        self.placed_by.push(None);
        let request = CancelOrder { order, target_key: [0; 16] };
        Command { client_key: [0; 16], ..self.command(Kind::CancelOrder, principal, account).with(&request) }
    }

    fn replace(&mut self) -> Command {
        let index = self.generator.below(self.live.len() as u64) as usize;
        let (order, owner) = self.live[index];
        let (principal, account) = self.owners[owner as usize];
        self.placed_by.push(None);
        let total_lots = 10 + self.generator.below(90) as i64;
        let request = ReplaceOrder { order, target_key: [0; 16], price: 0, total_lots };
        self.command(Kind::ReplaceOrder, principal, account).with(&request)
    }

    /// The next `count` commands of a flow that keeps about `live` orders resting.
    pub fn batch(&mut self, flow: Flow, count: usize, live: usize) -> Vec<Command> {
        self.now_ns += BATCH_NS;
        self.placed_by.clear();
        let mut commands = Vec::with_capacity(count);
        for _ in 0..count {
            let drawn = self.generator.below(100);
            // Takes are sized so that they remove what places add beyond cancels: 15 orders of 54.5 lots in 9.
            let command = match flow {
                Flow::Place => self.resting(),
                Flow::Cancel if !self.live.is_empty() => self.cancel(),
                Flow::Replace if !self.live.is_empty() => self.replace(),
                Flow::Trade => self.taking(5),
                Flow::Mixed if drawn >= 91 => {
                    let lots = 10 + self.generator.below(162) as i64;
                    self.taking(lots)
                }
                Flow::Mixed if drawn >= 53 && self.live.len() > live / 2 => self.cancel(),
                _ => self.resting(),
            };
            commands.push(command);
        }
        commands
    }

    /// Takes over which orders of the last batch rest and which are gone.
    pub fn learn(&mut self, batch: &Batch) {
        let placed = std::mem::take(&mut self.placed_by);
        for (&position, owner) in batch.submitted.iter().zip(&placed) {
            let result = &batch.results[position as usize];
            if let Some(owner) = owner.filter(|_| result.accepted == 1) {
                self.live.push((result.value, owner));
            }
        }
        let mut gone: Set<u64> = Set::default();
        for event in batch.output.events.iter().filter(|event| event.kind == EventKind::Trade as u16) {
            let trade: TradeBody = event.body_as();
            if trade.maker_remaining == 0 {
                gone.insert(trade.maker_order);
            }
        }
        if !gone.is_empty() {
            self.live.retain(|(order, _)| !gone.contains(order));
        }
    }

    /// Orders that rest now.
    pub fn live(&self) -> usize {
        self.live.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::FastBook;

    #[test]
    fn the_mixed_flow_keeps_its_number_of_live_orders_and_is_hardly_refused() {
        let (mut engine, mut stream) = Stream::new::<FastBook>(500, 1, 500);
        let (mut batch, mut refused, mut sent) = (Batch::default(), 0, 0);
        let fill = stream.batch(Flow::Place, 5_000, 5_000);
        apply_batch(&mut engine, bytemuck::cast_slice(&fill), stream.now_ns, &mut batch).expect("applies");
        stream.learn(&batch);
        for _ in 0..40 {
            let commands = stream.batch(Flow::Mixed, 2_048, 5_000);
            batch.clear();
            apply_batch(&mut engine, bytemuck::cast_slice(&commands), stream.now_ns, &mut batch)
                .expect("applies");
            refused += batch.results.iter().filter(|result| result.accepted == 0).count();
            sent += commands.len();
            stream.learn(&batch);
        }
        assert_eq!(stream.live(), engine.sizes().0);
        assert!((2_500..10_000).contains(&stream.live()), "{} live", stream.live());
        assert!(refused * 50 < sent, "{refused} of {sent} refused");
    }
}
