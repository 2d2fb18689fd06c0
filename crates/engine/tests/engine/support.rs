//! A world to act in: an engine with principals, assets, funded accounts and markets, audited at every step.

use proptest::prelude::*;
use tradewind_engine::audit::Auditor;
use tradewind_engine::sequence::{apply_batch, system_command};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{ActionBody, CommandResult, Event, EventKind};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{id, roles, Batch, Book, Engine, FastBook, Genesis, Grant, RULES_VERSION};

pub type Key = [u8; 32];

pub const fn key(number: u8) -> Key {
    [number; 32]
}

pub const SYSTEM: Key = key(1);
pub const OPERATOR: Key = key(2);
pub const EMERGENCY: Key = key(3);
pub const RESUMER_A: Key = key(4);
pub const RESUMER_B: Key = key(5);
pub const ADMIN_A: Key = key(6);
pub const ADMIN_B: Key = key(7);
pub const RISK: Key = key(8);
pub const ALICE: Key = key(0xA1);
pub const BOB: Key = key(0xB2);
pub const CAROL: Key = key(0xC3);
/// Owners with funded accounts, in handle order 0..=2; OPERATOR has handle 3, SYSTEM (mirror) 4.
pub const OWNERS: [Key; 5] = [ALICE, BOB, CAROL, OPERATOR, SYSTEM];

pub const BTC: u16 = 0;
pub const USDC: u16 = 1;
pub const SECOND: i64 = 1_000_000_000;
pub const HOUR: i64 = 3_600 * SECOND;
pub const DAY: i64 = 24 * HOUR;
pub const EMERGENCY_B: Key = key(0x16);
pub const GOVERNOR: Key = key(0x17);
pub const APPROVERS: [Key; 3] = [key(0x18), key(0x19), key(0x1A)];
/// Sources of price feeds.
pub const SOURCES: [Key; 3] = [key(0x1B), key(0x1C), key(0x1D)];
pub const KEEPERS: [Key; 3] = [key(0x1E), key(0x1F), key(0x20)];
pub const ARBITER: Key = key(0x21);
pub const TREASURER: Key = key(0x22);
/// With OPERATOR the three principals that may slash a keeper.
pub const OPERATORS_B_C: [Key; 2] = [key(0x23), key(0x24)];

/// First moment of the world.
pub const START: i64 = 1_700_000_000 * SECOND;
/// Moment at which random streams begin.
pub const BASE: i64 = START + 26 * HOUR;
pub const FUNDS: i64 = 1_000_000_000_000_000;

pub fn genesis() -> Genesis {
    let roles = [
        (SYSTEM, roles::SYSTEM),
        (OPERATOR, roles::OPERATOR),
        (EMERGENCY, roles::EMERGENCY),
        (RESUMER_A, roles::RESUMER),
        (RESUMER_B, roles::RESUMER),
        (ADMIN_A, roles::ROLE_ADMIN),
        (ADMIN_B, roles::ROLE_ADMIN),
        (RISK, roles::RISK),
        (EMERGENCY_B, roles::EMERGENCY),
        (GOVERNOR, roles::GOVERNOR),
        (APPROVERS[0], roles::APPROVER),
        (APPROVERS[1], roles::APPROVER),
        (APPROVERS[2], roles::APPROVER),
        (SOURCES[0], roles::ORACLE),
        (SOURCES[1], roles::ORACLE),
        (SOURCES[2], roles::ORACLE),
        (KEEPERS[0], roles::KEEPER),
        (KEEPERS[1], roles::KEEPER),
        (KEEPERS[2], roles::KEEPER),
        (ARBITER, roles::ARBITER),
        (TREASURER, roles::TREASURER),
        (OPERATORS_B_C[0], roles::OPERATOR),
        (OPERATORS_B_C[1], roles::OPERATOR),
    ];
    let grants = roles.map(|(principal, role)| Grant { principal, role, expiry_ns: START + 300 * DAY });
    Genesis { shard: 3, rules_version: RULES_VERSION, time_ns: START, grants: grants.to_vec() }
}

/// An engine whose every batch passes the auditor.
#[derive(Clone)]
pub struct World<B: Book = FastBook> {
    pub engine: Engine<B>,
    pub auditor: Auditor,
    pub batch: Batch,
    pub now_ns: i64,
    pub keys: u64,
    /// Ids of the orders that were accepted, in their order: what small order numbers of random commands mean.
    pub orders: Vec<u64>,
}

impl<B: Book> World<B> {
    /// Only what genesis grants.
    pub fn bare() -> Self {
        World {
            engine: Engine::new(&genesis()).expect("genesis is sound"),
            auditor: Auditor::new(&genesis()),
            batch: Batch::default(),
            now_ns: START,
            keys: 0,
            orders: Vec::new(),
        }
    }

    /// Two assets, five funded accounts, market 0 (unit 10, fees 28 and 10 bp) and market 1 (unit 1, no fees).
    pub fn new() -> Self {
        let mut world = World::bare();
        for symbol in [*b"BTC\0\0\0\0\0\0\0\0\0\0\0\0\0", *b"USDC\0\0\0\0\0\0\0\0\0\0\0\0"] {
            world.accept(register_asset(symbol));
        }
        for owner in OWNERS {
            world.accept(open_account(owner));
            for asset in [BTC, USDC] {
                world.deposit(owner, asset, FUNDS);
                for number in 0..2 {
                    world.accept(list_address(owner, asset, [number; 32]));
                }
            }
        }
        world.accept(create_market(0, 10_000, 1_000, 28_000_000, 10_000_000));
        world.accept(create_market(1, 1_000, 1_000, 0, 0));
        world
    }

    /// A key that was not used before, so that the command is not a repetition.
    pub fn fresh_key(&mut self) -> [u8; 16] {
        self.keys += 1;
        let mut bytes = [0xEE; 16];
        bytes[..8].copy_from_slice(&self.keys.to_le_bytes());
        bytes
    }

    pub fn deposit(&mut self, owner: Key, asset: u16, amount: i64) -> CommandResult {
        let mut external_id = [0; 32];
        external_id[..16].copy_from_slice(&self.fresh_key());
        self.accept(deposit(owner, asset, amount, external_id))
    }

    /// The command with an order number below 2^21 replaced by the id of that accepted order.
    fn resolve(&self, command: &Command) -> Command {
        let named = |number: u64| match usize::try_from(number) {
            Ok(number) if (1..=self.orders.len()).contains(&number) => self.orders[number - 1],
            _ => number,
        };
        match Kind::from_code(command.kind, command.op) {
            Some(Kind::CancelOrder) => {
                let payload: CancelOrder = command.payload_as();
                named_order(command, |command| {
                    command.with(&CancelOrder { order: named(payload.order), ..payload })
                })
            }
            Some(Kind::PlaceOrder) if command.payload_as::<PlaceOrder>().linked_order != 0 => {
                let payload: PlaceOrder = command.payload_as();
                command.with(&PlaceOrder { linked_order: named(payload.linked_order), ..payload })
            }
            Some(Kind::ReplaceOrder) => {
                let payload: ReplaceOrder = command.payload_as();
                named_order(command, |command| {
                    command.with(&ReplaceOrder { order: named(payload.order), ..payload })
                })
            }
            _ => *command,
        }
    }

    /// As [`World::run_raw`], with order numbers in place of ids.
    pub fn run(&mut self, commands: &[Command]) -> Vec<CommandResult> {
        let commands: Vec<Command> = commands.iter().map(|command| self.resolve(command)).collect();
        let results = self.run_raw(&commands);
        for (command, result) in commands.iter().zip(&results) {
            let kind = Kind::from_code(command.kind, command.op);
            let placed = matches!(kind, Some(Kind::PlaceOrder | Kind::PlaceTwap));
            if placed && result.accepted == 1 && result.duplicate == 0 {
                self.orders.push(result.value);
            }
        }
        results
    }

    /// Applies commands as one batch at the world's time and audits it; results of the submitted commands.
    pub fn run_raw(&mut self, commands: &[Command]) -> Vec<CommandResult> {
        let input: Vec<u8> = commands.iter().flat_map(|command| command.bytes().to_vec()).collect();
        self.batch.clear();
        apply_batch(&mut self.engine, &input, self.now_ns, &mut self.batch)
            .expect("the engine does not stop");
        let output = &self.batch.output;
        let checked =
            self.auditor.check(&self.batch.commands, &self.batch.results, &output.events, &output.postings);
        checked.unwrap_or_else(|violation| {
            let events = output.events.iter().filter(|event| event.seq == violation.seq);
            let story: Vec<_> = events
                .map(|event| (EventKind::from_code(event.kind), event.market, event.account, event.sub))
                .collect();
            panic!("{violation}, events {story:?}")
        });
        self.batch.submitted.iter().map(|&index| self.batch.results[index as usize]).collect()
    }

    /// Sends one command, with a fresh client key unless it has one.
    pub fn send(&mut self, mut command: Command) -> CommandResult {
        if command.client_key == [0; 16] {
            command.client_key = self.fresh_key();
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

    /// The command must be refused with this code and change no bit of business state.
    #[track_caller]
    pub fn refuse(&mut self, command: Command, code: Code) -> CommandResult {
        let before = self.engine.state_hash();
        let result = self.send(command);
        assert_eq!(
            Code::from_number(result.code),
            Some(code),
            "bound {}, given {}",
            result.bound,
            result.given
        );
        assert_eq!((result.accepted, result.event_count), (0, 0));
        assert_eq!(self.engine.state_hash(), before, "a reject with {code:?} changed the state");
        result
    }

    pub fn tick(&mut self) -> CommandResult {
        let command: Command = bytemuck::pod_read_unaligned(&system_command(&self.engine, Kind::Tick));
        self.run(&[command])[0]
    }

    pub fn advance(&mut self, by_ns: i64) {
        self.now_ns += by_ns;
    }

    /// Time passes in steps of at most an hour, each with its Ticks.
    pub fn wait(&mut self, by_ns: i64) {
        let end = self.now_ns + by_ns;
        while self.now_ns < end {
            self.advance((end - self.now_ns).min(HOUR));
            self.tick();
        }
    }

    /// Has governance carry a command out: proposal, three approvals, its time-lock, execution.
    #[track_caller]
    pub fn govern(&mut self, inner: Command, config_version: u32) -> CommandResult {
        let action = self.accept(propose(inner, config_version)).value;
        let eta_ns = self.events()[0].1.body_as::<ActionBody>().eta_ns;
        for approver in APPROVERS {
            self.accept(by(approver, Kind::ApproveAction).with(&OneAction { action }));
        }
        self.wait(eta_ns - self.now_ns);
        self.accept(by(ALICE, Kind::ExecuteAction).with(&OneAction { action }))
    }

    /// Events of the last batch with their kinds.
    pub fn events(&self) -> Vec<(EventKind, Event)> {
        let kind = |event: &Event| EventKind::from_code(event.kind).expect("a known kind");
        self.batch.output.events.iter().map(|event| (kind(event), *event)).collect()
    }

    pub fn kinds(&self) -> Vec<EventKind> {
        self.events().into_iter().map(|(kind, _)| kind).collect()
    }

    pub fn free(&self, owner: Key, asset: u16) -> i64 {
        self.engine.balance(&id::account_id(&owner), 0, asset, 0).expect("a known account")
    }

    pub fn held(&self, owner: Key, asset: u16) -> i64 {
        self.engine.balance(&id::account_id(&owner), 0, asset, 1).expect("a known account")
    }
}

/// Writes a payload and keeps the damage behind it, if there is any.
fn named_order(command: &Command, write: impl FnOnce(Command) -> Command) -> Command {
    let mut changed = write(*command);
    let used = Kind::from_code(command.kind, command.op).expect("a known kind").payload_size();
    changed.payload[used..].copy_from_slice(&command.payload[used..]);
    changed
}

/// An envelope of an owner who acts for himself.
pub fn by(owner: Key, kind: Kind) -> Command {
    Command { shard: 3, principal: owner, account: id::account_id(&owner), ..Command::new(kind) }
}

/// GOVERNOR proposes a command.
pub fn propose(inner: Command, config_version: u32) -> Command {
    let mut payload = [0; PROPOSAL_SIZE];
    payload.copy_from_slice(&inner.payload[..PROPOSAL_SIZE]);
    by(GOVERNOR, Kind::ProposeAction).with(&ProposeAction {
        action_kind: inner.kind,
        action_op: inner.op,
        reserved: 0,
        config_version,
        payload,
    })
}

pub fn register_asset(symbol: [u8; 16]) -> Command {
    let payload = RegisterAsset {
        symbol,
        initial_asset_bp: 10_000,
        maintenance_asset_bp: 10_000,
        initial_liability_bp: 10_000,
        maintenance_liability_bp: 10_000,
        deposit_cap: 0,
        asset_flags: 0,
        reserved: 0,
    };
    by(OPERATOR, Kind::RegisterAsset).with(&payload)
}

pub fn open_account(owner: Key) -> Command {
    by(owner, Kind::OpenAccount).with(&OpenAccount { owner_key: owner })
}

pub fn deposit(owner: Key, asset: u16, amount: i64, external_id: [u8; 32]) -> Command {
    let payload = Deposit { asset, reserved: 0, reserved2: 0, amount, external_id };
    Command { principal: SYSTEM, ..by(owner, Kind::Deposit).with(&payload) }
}

/// Usable for withdrawals a day later, which random streams are.
pub fn list_address(owner: Key, asset: u16, address_hash: [u8; 32]) -> Command {
    by(owner, Kind::ListAddress).with(&ListAddress { asset, reserved: 0, reserved2: 0, address_hash })
}

pub fn create_market(
    nonce: u64,
    tick_size: i64,
    lot_size: i64,
    taker_fee_e6bp: u32,
    maker_fee_e6bp: u32,
) -> Command {
    by(OPERATOR, Kind::CreateMarket).with(&CreateMarket {
        nonce,
        outcome_count: 1,
        base: BTC,
        quote: USDC,
        tick_size,
        lot_size,
        band_bp: 9_000,
        slippage_bp: 100,
        taker_fee_e6bp,
        maker_fee_e6bp,
        min_notional: 1,
        max_notional: 1_000_000_000_000,
        ..CreateMarket::zero()
    })
}

pub fn limit(market: u32, side: u8, price: i64, lots: i64) -> PlaceOrder {
    PlaceOrder { market, side, price, lots, ..PlaceOrder::zero() }
}

/// A stop at the market that watches the last trade.
pub fn stop(market: u32, side: u8, trigger_price: i64, lots: i64) -> PlaceOrder {
    PlaceOrder {
        order_type: order_type::STOP,
        trigger_price,
        trigger_source: trigger_source::LAST_TRADE,
        ..limit(market, side, 0, lots)
    }
}

pub fn take_profit(market: u32, side: u8, trigger_price: i64, lots: i64) -> PlaceOrder {
    PlaceOrder { order_type: order_type::TAKE_PROFIT, ..stop(market, side, trigger_price, lots) }
}

pub fn trailing(market: u32, side: u8, trail: i64, lots: i64) -> PlaceOrder {
    PlaceOrder { order_type: order_type::TRAILING_STOP, trail, ..stop(market, side, 0, lots) }
}

pub fn iceberg(market: u32, side: u8, price: i64, lots: i64, display_lots: i64) -> PlaceOrder {
    PlaceOrder { order_type: order_type::ICEBERG, display_lots, ..limit(market, side, price, lots) }
}

pub fn twap(market: u32, side: u8, lots: i64, slices: u16, interval_s: u32) -> PlaceTwap {
    PlaceTwap { market, side, lots, slices, interval_s, ..PlaceTwap::zero() }
}

pub fn place(owner: Key, order: PlaceOrder) -> Command {
    by(owner, Kind::PlaceOrder).with(&order)
}

pub fn buy(owner: Key, market: u32, price: i64, lots: i64) -> Command {
    place(owner, limit(market, side::BUY, price, lots))
}

pub fn sell(owner: Key, market: u32, price: i64, lots: i64) -> Command {
    place(owner, limit(market, side::SELL, price, lots))
}

pub fn cancel(owner: Key, order: u64) -> Command {
    by(owner, Kind::CancelOrder).with(&CancelOrder { order, target_key: [0; 16] })
}

pub fn replace(owner: Key, order: u64, price: i64, total_lots: i64) -> Command {
    by(owner, Kind::ReplaceOrder).with(&ReplaceOrder { order, target_key: [0; 16], price, total_lots })
}

pub fn cancel_all(owner: Key, market: u32) -> Command {
    by(owner, Kind::CancelAll).with(&CancelAll { market, sub: ALL, side: ALL, reserved: 0 })
}

pub fn pause(market: u32, level: u8, until_ns: i64) -> Command {
    let mut reason = [0; 48];
    reason[..4].copy_from_slice(b"test");
    let payload = PauseMarket { market, level, categories: 0, reserved: 0, until_ns, reason };
    by(EMERGENCY, Kind::PauseMarket).with(&payload)
}

/// As [`pause`], by anyone, with a level and a mask of categories.
pub fn masked_pause(who: Key, market: u32, (level, categories): (u8, u8), until_ns: i64) -> Command {
    let plain = pause(market, level, until_ns);
    let payload = PauseMarket { categories, ..plain.payload_as() };
    Command { principal: who, ..plain.with(&payload) }
}

/// Two EMERGENCY principals freeze.
pub fn freeze(world: &mut World, market: u32, until_ns: i64) -> u32 {
    world.accept(pause(market, 3, until_ns));
    world.accept(masked_pause(EMERGENCY_B, market, (3, 0), until_ns)).value as u32
}

fn breaker_request(who: Key, kind: Kind, market: u32, breaker: u8) -> Command {
    let mut reason = [0; 48];
    reason[..4].copy_from_slice(b"test");
    by(who, kind).with(&Breaker { market, breaker, reason, ..Breaker::zero() })
}

pub fn trip_breaker(who: Key, market: u32, breaker: u8) -> Command {
    breaker_request(who, Kind::TripBreaker, market, breaker)
}

pub fn close_breaker(who: Key, market: u32, breaker: u8) -> Command {
    breaker_request(who, Kind::CloseBreaker, market, breaker)
}

/// First settings of a breaker; those that stay 0 keep their defaults.
pub fn configure(market: u32, breaker: u8, change: impl FnOnce(&mut ConfigureBreaker)) -> Command {
    let mut payload = ConfigureBreaker { market, breaker, config_version: 1, ..ConfigureBreaker::zero() };
    change(&mut payload);
    by(RISK, Kind::ConfigureBreaker).with(&payload)
}

pub fn resume(by_key: Key, market: u32, pause_id: u32) -> Command {
    by(by_key, Kind::ResumeMarket).with(&ResumeMarket { market, pause_id })
}

/// What a random run does next: a command, or time that passes before the next batch.
#[derive(Clone)]
pub enum Step {
    Send(Box<Command>),
    Wait(i64),
}

/// One line a step, so that a shrunk failure can be read.
impl std::fmt::Debug for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let command = match self {
            Step::Wait(wait_ns) => return write!(formatter, "Wait({wait_ns})"),
            Step::Send(command) => command,
        };
        let (who, key, until) = (command.principal[0], command.client_key[0], command.valid_until_ns);
        match Kind::from_code(command.kind, command.op) {
            Some(Kind::PlaceOrder) => {
                write!(formatter, "{who:X} key {key} until {until} {:?}", command.payload_as::<PlaceOrder>())
            }
            Some(Kind::ReplaceOrder) => {
                write!(
                    formatter,
                    "{who:X} key {key} until {until} {:?}",
                    command.payload_as::<ReplaceOrder>()
                )
            }
            Some(kind) => write!(formatter, "{who:X} key {key} {} {:?}", kind.name(), &command.payload[..24]),
            None => write!(formatter, "kind {:#x}", command.kind),
        }
    }
}

fn owner() -> impl Strategy<Value = Key> {
    prop_oneof![6 => Just(ALICE), 6 => Just(BOB), 4 => Just(CAROL), 1 => Just(OPERATOR), 2 => Just(SYSTEM)]
}

fn market() -> impl Strategy<Value = u32> {
    prop_oneof![12 => Just(0_u32), 6 => Just(1_u32), 1 => 2..4_u32]
}

fn hostile_i64() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(0_i64),
        Just(-1),
        Just(1),
        Just(i64::MAX),
        Just(i64::MIN),
        Just(i64::from(i32::MAX)),
        Just(1 << 40),
        Just((1 << 40) + 1),
        Just(4_000_000_000_000_000_000),
        any::<i64>(),
    ]
}

fn price() -> impl Strategy<Value = i64> {
    prop_oneof![30 => 95..106_i64, 6 => 40..180_i64, 1 => hostile_i64()]
}

fn lots() -> impl Strategy<Value = i64> {
    prop_oneof![30 => 1..40_i64, 3 => 1_000..100_000_i64, 1 => hostile_i64()]
}

fn order_id() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 1..60_u64, 10 => 60..400_u64, 1 => any::<u64>()]
}

fn placing() -> impl Strategy<Value = Command> {
    let form = (
        prop_oneof![10 => Just(order_type::LIMIT), 2 => Just(order_type::MARKET), 1 => Just(9_u8)],
        prop_oneof![12 => Just(0_u8), 3 => Just(1_u8), 3 => Just(2_u8), 4 => Just(3_u8), 1 => Just(7_u8)],
        prop_oneof![10 => Just(0_u16), 2 => Just(order_flag::POST_ONLY), 1 => any::<u16>()],
        0..5_u8,
        prop_oneof![8 => 0..200 * SECOND, 1 => hostile_i64()],
        proptest::bool::weighted(0.7),
    );
    (owner(), market(), 0..2_u8, price(), lots(), form).prop_map(
        |(owner, market, side, price, lots, form)| {
            let (order_type, time_in_force, order_flags, self_trade_prevention, expiry, passive) = form;
            // Most limit orders are passive, so that books grow deep enough for sweeps.
            let shift = if passive { 12 - 24 * i64::from(side == side::BUY) } else { 0 };
            let price = price.saturating_add(shift);
            let priced = order_type != order_type::MARKET || expiry % 16 == 0;
            let time_in_force =
                if order_type == order_type::MARKET { time_in_force | 1 } else { time_in_force };
            let gtd = time_in_force == time_in_force::GTD;
            place(
                owner,
                PlaceOrder {
                    order_type,
                    time_in_force,
                    order_flags,
                    self_trade_prevention,
                    price: if priced { price } else { 0 },
                    expiry_ns: if gtd { BASE.saturating_add(expiry) } else { 0 },
                    ..limit(market, side, price, lots)
                },
            )
        },
    )
}

/// Orders that wait, come in parts or hang together.
fn special() -> impl Strategy<Value = Command> {
    let form = (
        prop_oneof![4 => 2..7_u8, 1 => Just(order_type::LIMIT), 1 => Just(order_type::MARKET)],
        prop_oneof![8 => Just(trigger_source::LAST_TRADE), 1 => 0..4_u8],
        prop_oneof![6 => 90..111_i64, 1 => hostile_i64()],
        prop_oneof![8 => 1..12_i64, 1 => hostile_i64()],
        prop_oneof![3 => Just(0_u64), 2 => order_id()],
        prop_oneof![8 => Just(0_u16), 1 => any::<u16>()],
        prop_oneof![6 => Just(0_u8), 1 => 0..4_u8],
    );
    let order = (owner(), market(), 0..2_u8, price(), lots(), form);
    order.prop_map(|(owner, market, side, price, lots, form)| {
        let (order_type, trigger_source, trigger_price, small, linked_order, flags, time_in_force) = form;
        let waits = (order_type::STOP..=order_type::TRAILING_STOP).contains(&order_type);
        let trails = order_type == order_type::TRAILING_STOP;
        let link = if linked_order == 0 { 0 } else { order_flag::OCO };
        let at_market = waits && order_type != order_type::STOP_LIMIT && small % 3 != 0;
        place(
            owner,
            PlaceOrder {
                order_type,
                time_in_force,
                trigger_source: if waits { trigger_source } else { 0 },
                trigger_price: if waits && !trails { trigger_price } else { 0 },
                trail: if trails { small } else { 0 },
                display_lots: if order_type == order_type::ICEBERG { small } else { 0 },
                linked_order,
                order_flags: link | flags,
                price: if at_market || order_type == order_type::MARKET { 0 } else { price },
                expiry_ns: if time_in_force == time_in_force::GTD {
                    BASE.saturating_add(small.saturating_mul(SECOND))
                } else {
                    0
                },
                ..limit(market, side, price, lots)
            },
        )
    })
}

/// Time-sliced orders, and headers and items of batches.
fn in_parts() -> impl Strategy<Value = Command> {
    let slices = (1..6_u16, 1..4_u32, prop_oneof![3 => Just(0_i64), 1 => price()]);
    prop_oneof![
        4 => (owner(), market(), 0..2_u8, lots(), slices).prop_map(
            |(owner, market, side, lots, (slices, interval_s, limit))| {
                let payload = PlaceTwap { limit, ..twap(market, side, lots, slices, interval_s) };
                by(owner, Kind::PlaceTwap).with(&payload)
            }
        ),
        2 => (0..3_u8).prop_map(|count| {
            by(ALICE, Kind::PlaceBatch).with(&PlaceBatch { count, ..PlaceBatch::zero() })
        }),
        3 => (market(), 0..2_u8, price(), lots()).prop_map(|(market, side, price, lots)| {
            by(ALICE, Kind::BatchItem).with(&limit(market, side, price, lots))
        }),
    ]
}

fn changing() -> impl Strategy<Value = Command> {
    let by_key = || prop_oneof![1 => Just([0_u8; 16]), 1 => any::<u8>().prop_map(|n| [n; 16])];
    prop_oneof![
        10 => (owner(), order_id(), by_key()).prop_map(|(owner, order, target_key)| {
            let order = if target_key[0] % 4 == 1 { 0 } else { order };
            by(owner, Kind::CancelOrder).with(&CancelOrder { order, target_key })
        }),
        10 => (owner(), order_id(), price(), lots())
            .prop_map(|(owner, order, price, total)| replace(owner, order, price, total)),
        1 => (owner(), market(), prop_oneof![Just(ALL), 0..3_u8], prop_oneof![Just(ALL), 0..3_u8]).prop_map(
            |(owner, market, sub, side)| {
                let market = if market == 3 { ALL_MARKETS } else { market };
                by(owner, Kind::CancelAll).with(&CancelAll { market, sub, side, reserved: 0 })
            }
        ),
        1 => (owner(), prop_oneof![Just(0_u32), 5..20_u32, any::<u32>()]).prop_map(|(owner, window_s)| {
            by(owner, Kind::SetCancelAllAfter).with(&SetCancelAllAfter { window_s, reserved: 0 })
        }),
    ]
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 1..FUNDS, 4 => 1..5_000_000_i64, 1 => hostile_i64()]
}

fn money() -> impl Strategy<Value = Command> {
    let small_id = || (0..2_u8).prop_map(|n| [n; 32]);
    prop_oneof![
        (owner(), 0..3_u16, amount(), any::<u64>()).prop_map(|(owner, asset, amount, id)| {
            let mut external_id = [7; 32];
            external_id[..8].copy_from_slice(&(id % 64).to_le_bytes());
            deposit(owner, asset, amount, external_id)
        }),
        (owner(), 0..2_u8, 0..3_u8, 0..3_u16, amount()).prop_map(|(owner, sub, to_sub, asset, amount)| {
            let payload = Transfer { to_sub, reserved: 0, asset, reserved2: 0, amount };
            Command { sub, ..by(owner, Kind::Transfer).with(&payload) }
        }),
        (owner(), 0..3_u8).prop_map(|(owner, index)| {
            let payload = OpenSubAccount { index, margin_mode: 0, reserved: 0, reserved2: 0 };
            by(owner, Kind::OpenSubAccount).with(&payload)
        }),
        (owner(), 0..2_u16, small_id(), any::<bool>()).prop_map(|(owner, asset, address_hash, list)| {
            let kind = if list { Kind::ListAddress } else { Kind::UnlistAddress };
            by(owner, kind).with(&ListAddress { asset, reserved: 0, reserved2: 0, address_hash })
        }),
        (owner(), 0..2_u16, amount(), small_id()).prop_map(|(owner, asset, amount, address_hash)| {
            let payload = RequestWithdrawal { asset, reserved: 0, reserved2: 0, amount, address_hash };
            by(owner, Kind::RequestWithdrawal).with(&payload)
        }),
        (owner(), 1..5_u64).prop_map(|(owner, ticket)| {
            by(owner, Kind::CancelWithdrawal).with(&CancelWithdrawal { ticket })
        }),
        (1..6_u64, 0..2_u8).prop_map(|(ticket, ok)| {
            let payload = ConfirmWithdrawal { ticket, ok, ..ConfirmWithdrawal::zero() };
            by(SYSTEM, Kind::ConfirmWithdrawal).with(&payload)
        }),
    ]
}

fn governing() -> impl Strategy<Value = Command> {
    let paused = || prop_oneof![1 => Just(0_u32), 1 => Just(1_u32), 2 => Just(ALL_MARKETS)];
    let governor =
        || prop_oneof![3 => Just(EMERGENCY), 3 => Just(RESUMER_A), 3 => Just(RESUMER_B), 1 => Just(ALICE)];
    prop_oneof![
        5 => (governor(), paused(), 0..4_u8, 1..400_i64).prop_map(|(who, market, level, seconds)| {
            let mask = if level == 0 { 1 << (seconds % 8) } else { 0 };
            masked_pause(who, market, (level, mask), BASE + seconds * SECOND)
        }),
        6 => (governor(), paused(), 1..4_u32)
            .prop_map(|(who, market, pause_id)| { resume(who, market, pause_id) }),
        1 => (0..3_u32, 1..3_u32, any::<u32>(), prop_oneof![0..28_000_000_u32, 0..200_000_000_u32]).prop_map(|(market, version, mask, fee)| {
            let payload = UpdateMarket {
                market,
                config_version: version,
                field_mask: mask % 80,
                band_bp: 9_000,
                slippage_bp: 100,
                taker_fee_e6bp: fee,
                maker_fee_e6bp: fee / 3,
                min_notional: 1,
                max_notional: 1_000_000_000_000,
            };
            by(RISK, Kind::UpdateMarket).with(&payload)
        }),
        1 => (0..12_u8).prop_map(|chance| {
            let market = if chance == 0 { 1 } else { 9 };
            by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market, reserved: 0 })
        }),
        2 => (any::<bool>(), 0..2_u8, prop_oneof![Just(roles::ROLE_ADMIN), 0..20_u8], 0..400_i64).prop_map(
            |(grant, to, role, days)| {
                let kind = if grant { Kind::GrantRole } else { Kind::RevokeRole };
                let payload = GrantRole {
                    principal: key(0xD0 + to),
                    role,
                    expiry_ns: START + days * DAY,
                    ..GrantRole::zero()
                };
                by(ADMIN_A, kind).with(&payload)
            }
        ),
        4 => (any::<bool>(), any::<bool>(), 4..6_u8).prop_map(|(suspend, first, to)| {
            let kind = if suspend { Kind::SuspendPrincipal } else { Kind::ReinstatePrincipal };
            let principal = if to == 5 { CAROL } else { key(0xD0 + to) };
            by(if first { ADMIN_A } else { ADMIN_B }, kind).with(&SuspendPrincipal { principal })
        }),
        1 => (owner(), 0..3_u8, 0..9_u32, 0..500_i64).prop_map(|(owner, delegate, scopes, seconds)| {
            let expiry_ns = BASE + seconds * SECOND;
            by(owner, Kind::SetDelegate).with(&SetDelegate {
                key: key(0xE0 + delegate),
                scopes,
                reserved: 0,
                expiry_ns,
            })
        }),
        1 => (market(), prop_oneof![Just(EMERGENCY), Just(ALICE)]).prop_map(|(market, who)| {
            let payload = CancelAll { market, sub: ALL, side: ALL, reserved: 0 };
            Command { principal: who, account: [0; 32], ..by(who, Kind::CancelAll).with(&payload) }
        }),
        3 => Just(by(SYSTEM, Kind::Tick)),
        2 => (0..4_u8, paused(), 0..11_u8, 1..4_u32, prop_oneof![3 => Just(0_i64), 1 => 100..2_100_i64]).prop_map(
            |(what, market, breaker, version, threshold)| match what {
                0 => trip_breaker(EMERGENCY, market, breaker),
                1 => close_breaker(RESUMER_A, market, breaker),
                2 => close_breaker(RESUMER_B, market, breaker),
                _ => configure(market, breaker, |payload| {
                    (payload.config_version, payload.threshold, payload.halt_s) = (version, threshold, 60);
                }),
            }
        ),
        1 => Just(by(SYSTEM, Kind::Checkpoint)),
        1 => Just(by(SYSTEM, Kind::Snapshot)),
        1 => Just(by(SYSTEM, Kind::ActivateRules).with(&ActivateRules { rules_version: RULES_VERSION, reserved: 0 })),
        1 => (0..4_u64, 1..3_i64).prop_map(|(nonce, lot)| create_market(nonce, 1_000, lot * 500, 5_000_000, 0)),
        1 => (0..4_u8).prop_map(|letter| register_asset([b'A' + letter; 16])),
        1 => (0..3_u8).prop_map(|owner| open_account(key(0x70 + owner))),
        1 => any::<u64>().prop_map(|token| by(SYSTEM, Kind::Continue).with(&Continue { token })),
    ]
}

/// Keepers and governance, mostly sensible; the world has no staking asset unless a run registers one.
fn institutions() -> impl Strategy<Value = Command> {
    let keeper = || prop_oneof![6 => Just(ALICE), 1 => Just(BOB)];
    let staff = || prop_oneof![3 => Just(OPERATOR), 3 => Just(OPERATORS_B_C[0]), 1 => Just(ARBITER), 1 => Just(ALICE)];
    let token = RegisterAsset {
        asset_flags: asset_flag::STAKE,
        ..register_asset(*b"MMT\0\0\0\0\0\0\0\0\0\0\0\0\0").payload_as()
    };
    let approver = || prop_oneof![Just(APPROVERS[0]), Just(APPROVERS[1]), Just(APPROVERS[2]), Just(GOVERNOR)];
    let evidence = || prop_oneof![4 => Just([1_u8; 32]), 1 => Just([0_u8; 32])];
    prop_oneof![
        3 => Just(by(OPERATOR, Kind::RegisterAsset).with(&token)),
        3 => (owner(), 2..4_u16, any::<u64>()).prop_map(|(owner, asset, id)| {
            let mut external_id = [8; 32];
            external_id[..8].copy_from_slice(&id.to_le_bytes());
            deposit(owner, asset, 5_000_000_000, external_id)
        }),
        5 => (keeper(), prop_oneof![4 => Just(16_u32), 1 => 0..40_u32], prop_oneof![Just(1_000_000_000_i64), amount()]).prop_map(
            |(owner, capabilities, stake)| {
                by(owner, Kind::RegisterKeeper).with(&RegisterKeeper { capabilities, reserved: 0, stake })
            }
        ),
        5 => (keeper(), 0..3_usize, prop_oneof![3 => 1..1_000_000_i64, 1 => amount()]).prop_map(|(owner, which, amount)| {
            let kinds = [Kind::StakeKeeper, Kind::UnstakeKeeper, Kind::WithdrawKeeperStake];
            by(owner, kinds[which]).with(&KeeperStake { amount })
        }),
        1 => (staff(), keeper(), any::<bool>()).prop_map(|(who, keeper, remove)| {
            let kind = if remove { Kind::RemoveKeeper } else { Kind::ReinstateKeeper };
            by(who, kind).with(&KeeperTarget { keeper: id::account_id(&keeper) })
        }),
        5 => (staff(), keeper(), evidence(), prop_oneof![6 => Just(4_u8), 1 => 0..6_u8], prop_oneof![6 => Just(50_000_u32), 1 => 0..120_000_u32]).prop_map(
            |(who, keeper, evidence, fault, ppm)| {
                let keeper = id::account_id(&keeper);
                let terms = SlashKeeper { keeper, evidence, fault, ppm, ..Record::zero() };
                by(who, Kind::SlashKeeper).with(&terms)
            }
        ),
        3 => (keeper(), staff(), 0..4_u64, 0..2_u8, any::<bool>()).prop_map(
            |(keeper, who, slash, uphold, decides)| {
                let terms = SlashAppeal { slash, uphold: if decides { uphold } else { 0 }, ..Record::zero() };
                match decides {
                    true => by(who, Kind::DecideAppeal).with(&terms),
                    false => by(keeper, Kind::AppealSlash).with(&terms),
                }
            }
        ),
        2 => (keeper(), 0..6_u8, market()).prop_map(|(owner, action, market)| {
            by(owner, Kind::KeeperAct).with(&KeeperAct { action, market, ..Record::zero() })
        }),
        4 => (0..2_u32, 1..3_u32, 0..10_000_u16, 0..3_u32).prop_map(|(market, config_version, band_bp, version)| {
            let update = UpdateMarket { market, config_version, field_mask: 1, band_bp, ..Record::zero() };
            propose(by(RISK, Kind::UpdateMarket).with(&update), version)
        }),
        2 => (64..67_u32, 0..3_u32, 0..40_i64).prop_map(|(parameter, config_version, value)| {
            let request = SetParameter { parameter, config_version, value };
            propose(by(RISK, Kind::SetParameter).with(&request), config_version)
        }),
        6 => (approver(), 1..4_u64, 0..8_u8).prop_map(|(who, action, verb)| {
            let kind = match verb {
                0 => Kind::CancelAction,
                1 => Kind::ExecuteAction,
                _ => Kind::ApproveAction,
            };
            by(who, kind).with(&OneAction { action })
        }),
        2 => (0..4_u64, 0..3_u8, prop_oneof![4 => Just(roles::RISK), 1 => 0..17_u8]).prop_map(|(offer, verb, authority)| match verb {
            0 => by(RISK, Kind::OfferAuthority).with(&OfferAuthority { nominee: key(0xD0), authority, ..Record::zero() }),
            1 => by(RESUMER_A, Kind::RenounceAuthority).with(&RenounceAuthority { authority, ..Record::zero() }),
            _ => by(if offer % 2 == 0 { RISK } else { key(0xD0) }, Kind::AcceptAuthority).with(&OneOffer { offer }),
        }),
        1 => (owner(), 0..5_u8, -1..400_i64).prop_map(|(owner, level, days)| {
            let request = SetSuitability { level, expiry_ns: START + days * DAY, ..Record::zero() };
            Command { principal: RISK, ..by(owner, Kind::SetSuitability).with(&request) }
        }),
    ]
}

/// A command of any kind, most of them sensible, with fields that are now and then hostile.
pub fn any_command() -> impl Strategy<Value = Command> {
    let body = prop_oneof![
        45 => placing().boxed(),
        14 => special().boxed(),
        6 => in_parts().boxed(),
        20 => changing().boxed(),
        12 => money().boxed(),
        8 => governing().boxed(),
        20 => institutions().boxed(),
    ];
    let key_bytes = prop_oneof![1 => any::<u8>().prop_map(|n| [n; 16]), 9 => any::<[u8; 16]>()];
    let envelope = (
        key_bytes,
        prop_oneof![30 => Just(None), 1 => owner().prop_map(Some), 1 => (0..3_u8).prop_map(|n| Some(key(0xE0 + n)))],
        prop_oneof![40 => Just(0_i64), 1 => hostile_i64(), 1 => (0..400 * SECOND).prop_map(|after| BASE + after)],
        prop_oneof![20 => Just(0_u8), 2 => 1..4_u8, 1 => any::<u8>()],
        prop_oneof![60 => Just(None), 1 => (0..192_usize, any::<u8>()).prop_map(Some)],
    );
    (body, envelope).prop_map(|(mut command, (client_key, principal, valid_until_ns, sub, damage))| {
        command.client_key = client_key;
        command.principal = principal.unwrap_or(command.principal);
        command.valid_until_ns = valid_until_ns;
        command.sub = if command.sub == 0 { sub } else { command.sub };
        if let Some((offset, byte)) = damage {
            bytemuck::bytes_of_mut(&mut command)[offset] = byte;
        }
        command
    })
}

/// A random run.
pub fn any_steps(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![16 => 0..3 * SECOND, 4 => 0..100 * SECOND, 1 => 0..2 * DAY];
    let step = prop_oneof![
        12 => any_command().prop_map(|command| Step::Send(Box::new(command))),
        1 => wait.prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, length)
}

/// Cases of a property; the variable PROPTEST_CASES asks for more (the nightly job).
pub fn config(cases: u32) -> ProptestConfig {
    let standard = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { standard.cases } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..standard }
}
