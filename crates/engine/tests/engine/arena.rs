//! Many accounts in leveraged markets, without fees and with exact marks: where liquidations are watched closely.
//!
//! Books are one-sided, so that the mark is the index. Every batch is checked for what liquidation promises: postings
//! sum to zero, long lots equal short lots, nobody owes anything without a position; every run can be replayed.

use std::collections::BTreeMap;

use tradewind_engine::audit::Auditor;
use tradewind_engine::sequence::{apply_batch, apply_stamped, system_command};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{CommandResult, Event, EventKind};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{id, Batch, Book, Engine, FastBook};

use crate::prices::*;
use crate::support::*;

/// The market of P1.4.4: unit 10, 10,000 ticks = 100.00; leverage 10, so that mmf is 5 %.
pub const PERP: u32 = 0;
/// A second one on another feed.
pub const OTHER: u32 = 1;
pub const DOLLAR: i64 = 1_000_000;
/// How long a passive order precedes a sale under a cascade.
pub const OFFER: i64 = 2 * SECOND;
/// Micro-dollars of one tick of price.
pub const TICK: i64 = 10_000;

pub const fn trader(number: u16) -> Key {
    let [low, high] = number.to_le_bytes();
    let mut key = [0xAA; 32];
    (key[0], key[1]) = (low, high);
    key
}

#[derive(Clone)]
pub struct Arena<B: Book = FastBook> {
    pub engine: Engine<B>,
    pub auditor: Auditor,
    pub batch: Batch,
    pub now_ns: i64,
    keys: u64,
    /// Stamped commands since genesis.
    pub log: Vec<Command>,
    /// Events of liquidation and of triggers since genesis.
    pub history: Vec<Event>,
    /// Index in micro-dollars by feed.
    pub prices: [i64; 2],
    publishing: bool,
}

impl<B: Book> Arena<B> {
    /// `count` traders with accounts 0..count, nothing in them; both markets active at 100.00.
    pub fn new(count: u16) -> Self {
        Arena::covered(count, VAULT, 1_000)
    }

    /// As [`Arena::new`] with this much in the vault, and markets of this largest leverage in hundredths.
    pub fn covered(count: u16, vault: i64, max_leverage_e2: u32) -> Self {
        let mut arena = Arena {
            engine: Engine::new(&genesis()).expect("genesis is sound"),
            auditor: Auditor::new(&genesis()),
            batch: Batch::default(),
            now_ns: START,
            keys: 0,
            log: Vec::new(),
            history: Vec::new(),
            prices: [100 * DOLLAR; 2],
            publishing: true,
        };
        for (symbol, flags) in [("BTC", 0), ("USDC", asset_flag::SETTLEMENT)] {
            let request = RegisterAsset {
                symbol: crate::prices::symbol(symbol),
                initial_asset_bp: if flags == 0 { 8_000 } else { 10_000 },
                maintenance_asset_bp: if flags == 0 { 9_000 } else { 10_000 },
                initial_liability_bp: 12_000 - if flags == 0 { 0 } else { 2_000 },
                maintenance_liability_bp: 11_000 - if flags == 0 { 0 } else { 1_000 },
                asset_flags: flags,
                ..RegisterAsset::zero()
            };
            arena.accept(by(OPERATOR, Kind::RegisterAsset).with(&request));
        }
        for number in 0..count {
            arena.accept(open_account(trader(number)));
        }
        arena.accept(open_account(OPERATOR));
        if vault != 0 {
            arena.cover(vault);
        }
        for name in ["BTC", "ETH"] {
            let feed = arena.accept(register_feed(feed_request(name))).value as u32;
            for (source, weight) in SOURCES.into_iter().zip(WEIGHTS) {
                arena.accept(set_source(feed, source, weight));
            }
        }
        for nonce in 0..2 {
            let request = CreateMarket {
                nonce,
                market_kind: 1,
                outcome_count: 1,
                base: BTC,
                quote: USDC,
                tick_size: TICK,
                lot_size: 1_000,
                feed: nonce as u32,
                band_bp: 1_000,
                slippage_bp: 100,
                min_notional: 1,
                max_notional: 1_000_000_000_000_000,
                ..CreateMarket::zero()
            };
            arena.accept(by(OPERATOR, Kind::CreateMarket).with(&request));
            if max_leverage_e2 != 1_000 {
                let market = nonce as u32;
                let risk = UpdateMarketRisk {
                    market,
                    config_version: 1,
                    field_mask: 1,
                    max_leverage_e2,
                    ..UpdateMarketRisk::zero()
                };
                arena.accept(by(RISK, Kind::UpdateMarketRisk).with(&risk));
            }
        }
        arena.seconds(130);
        arena
    }

    pub fn run(&mut self, commands: &[Command]) -> Vec<CommandResult> {
        let input: Vec<u8> = commands.iter().flat_map(|command| command.bytes().to_vec()).collect();
        self.batch.clear();
        apply_batch(&mut self.engine, &input, self.now_ns, &mut self.batch)
            .expect("the engine does not stop");
        self.log.extend_from_slice(&self.batch.commands);
        let fires = EventKind::TriggerFired as u16;
        let ours = |event: &&Event| (0x0405..0x0440).contains(&event.kind) || event.kind == fires;
        self.history.extend(self.batch.output.events.iter().filter(ours));
        self.verify();
        let output = &self.batch.output;
        let checked =
            self.auditor.check(&self.batch.commands, &self.batch.results, &output.events, &output.postings);
        checked.unwrap_or_else(|violation| panic!("{violation}"));
        self.batch.submitted.iter().map(|&index| self.batch.results[index as usize]).collect()
    }

    pub fn send(&mut self, mut command: Command) -> CommandResult {
        if command.client_key == [0; 16] {
            self.keys += 1;
            command.client_key = [0xCC; 16];
            command.client_key[..8].copy_from_slice(&self.keys.to_le_bytes());
        }
        self.run(&[command])[0]
    }

    #[track_caller]
    pub fn accept(&mut self, command: Command) -> CommandResult {
        let result = self.send(command);
        let code = Code::from_number(result.code);
        assert_eq!(
            result.accepted, 1,
            "refused with {code:?}, bound {}, given {}",
            result.bound, result.given
        );
        result
    }

    #[track_caller]
    pub fn refuse(&mut self, command: Command, code: Code) -> CommandResult {
        let before = self.engine.state_hash();
        let result = self.send(command);
        let (bound, given) = (result.bound, result.given);
        assert_eq!(Code::from_number(result.code), Some(code), "bound {bound}, given {given}");
        assert_eq!(self.engine.state_hash(), before, "a reject with {code:?} changed the state");
        result
    }

    pub fn deposit(&mut self, number: u16, asset: u16, amount: i64) {
        self.keys += 1;
        let mut external_id = [0; 32];
        external_id[..8].copy_from_slice(&self.keys.to_le_bytes());
        self.accept(deposit(trader(number), asset, amount, external_id));
    }

    /// The operator brings money and puts it into the vault.
    pub fn cover(&mut self, amount: i64) {
        self.keys += 1;
        let mut external_id = [0xFE; 32];
        external_id[..8].copy_from_slice(&self.keys.to_le_bytes());
        self.accept(deposit(OPERATOR, USDC, amount, external_id));
        self.accept(by(OPERATOR, Kind::DepositVault).with(&DepositVault { amount }));
    }

    /// Every source publishes, time is told.
    pub fn publish_all(&mut self) {
        for feed in 0..2 {
            for source in SOURCES {
                let request = publication_at(self, feed, self.prices[feed as usize]);
                self.accept(publish(source, request));
            }
        }
    }

    pub fn tick(&mut self) -> CommandResult {
        let command: Command = bytemuck::pod_read_unaligned(&system_command(&self.engine, Kind::Tick));
        self.run(&[command])[0]
    }

    /// Publications stop or go on.
    pub fn publishing(&mut self, on: bool) {
        self.publishing = on;
    }

    pub fn seconds(&mut self, count: i64) {
        for _ in 0..count {
            self.now_ns += SECOND;
            if self.publishing {
                self.publish_all();
            }
            self.tick();
        }
    }

    /// The index of a feed goes to `dollars` in steps of 0.4 % every quarter of a second, so that no source ever looks
    /// like an outlier; the mark follows.
    pub fn price(&mut self, feed: u32, dollars: f64) {
        let wanted = (dollars * 1e6).round() as i64;
        while self.prices[feed as usize] != wanted {
            let present = self.prices[feed as usize];
            let reach = present * 4 / 1_000;
            self.prices[feed as usize] = wanted.clamp(present - reach, present + reach);
            self.now_ns += SECOND / 4;
            self.publish_all();
            self.tick();
        }
        assert_eq!(self.mark(feed), wanted / TICK);
    }

    pub fn mark(&self, market: u32) -> i64 {
        self.engine.perps().of_market(market).expect("a leveraged market").mark
    }

    /// Signed lots and cost.
    pub fn position(&self, number: u16, market: u32) -> (i64, i64) {
        self.engine
            .perps()
            .position(u32::from(number), 0, market)
            .map_or((0, 0), |position| (position.lots, position.cost))
    }

    pub fn margin(&self, number: u16) -> (i128, i128) {
        self.engine.maintenance_of(u32::from(number), 0).expect("a known account")
    }

    pub fn free(&self, number: u16) -> i64 {
        self.engine.balance(&id::account_id(&trader(number)), 0, USDC, 0).expect("a known account")
    }

    pub fn pool(&self, line: u8) -> i64 {
        self.engine.system_balance(line, 0, USDC)
    }

    /// `lots` from `seller` to `buyer` at a price in ticks.
    pub fn trade(&mut self, buyer: u16, seller: u16, market: u32, price: i64, lots: i64) {
        self.accept(sell(trader(seller), market, price, lots));
        self.accept(buy(trader(buyer), market, price, lots));
    }

    pub fn events(&self) -> Vec<(EventKind, Event)> {
        let kind = |event: &Event| EventKind::from_code(event.kind).expect("a known kind");
        self.batch.output.events.iter().map(|event| (kind(event), *event)).collect()
    }

    pub fn kinds(&self) -> Vec<EventKind> {
        self.events().into_iter().map(|(kind, _)| kind).collect()
    }

    /// Bodies of a kind in the last batch with the account of their header.
    pub fn bodies<R: Record>(&self, kind: EventKind) -> Vec<(u32, R)> {
        let found = |(of, event): (EventKind, Event)| (of == kind).then(|| (event.account, event.body_as()));
        self.events().into_iter().filter_map(found).collect()
    }

    fn verify(&self) {
        let output = &self.batch.output;
        for event in &output.events {
            let mut sums = BTreeMap::new();
            let first = event.first_posting as usize;
            for posting in &output.postings[first..first + event.posting_count as usize] {
                *sums.entry(posting.asset).or_insert(0_i128) += i128::from(posting.amount);
            }
            assert!(sums.values().all(|&sum| sum == 0), "{:?} of {:#x}", sums, event.kind);
        }
        let mut lots = BTreeMap::new();
        for position in self.engine.perps().sorted() {
            let (long, short) = lots.entry(position.market).or_insert((0_i64, 0_i64));
            *long += position.lots.max(0);
            *short += position.lots.min(0);
        }
        for (market, (long, short)) in lots {
            assert_eq!(long, -short, "long and short of market {market}");
            assert_eq!(self.engine.perps().of_market(market).map(|perp| perp.open_interest), Some(long));
        }
    }

    /// Nobody owes anything without a position that secures it; the fund's account excepted.
    pub fn verify_solvent(&self, traders: u16) {
        for number in 0..traders {
            let holds = [PERP, OTHER].iter().any(|&market| self.position(number, market).0 != 0);
            assert!(holds || self.free(number) >= 0, "{number} owes {}", self.free(number));
        }
    }

    /// The same log on another book, and cut at `at` with a snapshot in between, gives the same state.
    pub fn verify_replay<C: Book>(&self, at: usize) {
        let mut other: Engine<C> = Engine::new(&genesis()).expect("genesis is sound");
        let mut batch = Batch::default();
        let (head, tail) = self.log.split_at(at.min(self.log.len()));
        apply_stamped(&mut other, head.iter().copied(), &mut batch).expect("replay goes on");
        if other.pending_token().is_none() {
            let snapshot = other.snapshot();
            other = Engine::restore(&snapshot).expect("its own snapshot");
            assert_eq!(other.snapshot(), snapshot);
        }
        apply_stamped(&mut other, tail.iter().copied(), &mut batch).expect("replay goes on");
        assert_eq!(other.state_hash(), self.engine.state_hash(), "cut at {at} of {}", self.log.len());
        assert_eq!(other.next_due_ns(), self.engine.next_due_ns());
    }
}

pub fn liquidate(by_key: Key, target: u16, market: u32) -> Command {
    let payload = Liquidate {
        target: id::account_id(&trader(target)),
        market,
        target_sub: 0,
        reserved: 0,
        reserved2: 0,
    };
    by(by_key, Kind::Liquidate).with(&payload)
}

pub fn complete(target: u16, market: u32) -> Command {
    let payload = Liquidate {
        target: id::account_id(&trader(target)),
        market,
        target_sub: 0,
        reserved: 0,
        reserved2: 0,
    };
    by(SYSTEM, Kind::CompleteLiquidation).with(&payload)
}

/// A publication of the arena's present time.
pub fn publication_at<B: Book>(arena: &mut Arena<B>, feed: u32, value: i64) -> PublishPrice {
    arena.keys += 1;
    let (source_time_ns, source_seq) = (arena.now_ns, arena.keys);
    PublishPrice { feed, value, source_time_ns, source_seq, ..Record::zero() }
}
