//! A world to act in: an engine with principals, assets, funded accounts and markets, audited at every step.

mod commands;
mod random;

pub use commands::*;
pub use random::*;
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
/// The panel of a resolution, ARBITER first.
pub const ARBITERS: [Key; 5] = [ARBITER, key(0x25), key(0x26), key(0x27), key(0x28)];
pub const TREASURER: Key = key(0x22);
/// With OPERATOR the three principals that may slash a keeper.
pub const OPERATORS_B_C: [Key; 2] = [key(0x23), key(0x24)];

/// First moment of the world.
pub const START: i64 = 1_700_000_000 * SECOND;
/// Moment at which random streams begin.
pub const BASE: i64 = START + 26 * HOUR;
pub const FUNDS: i64 = 1_000_000_000_000_000;
/// What the operator puts into the vault of a leveraged world.
pub const VAULT: i64 = 900_000_000_000_000;

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
        (ARBITERS[1], roles::ARBITER),
        (ARBITERS[2], roles::ARBITER),
        (ARBITERS[3], roles::ARBITER),
        (ARBITERS[4], roles::ARBITER),
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

    /// A vault that covers whatever leveraged markets of a test may lose (P9.1): without one B1 halts them.
    pub fn fund_vault(&mut self) {
        self.deposit(OPERATOR, USDC, VAULT);
        self.accept(by(OPERATOR, Kind::DepositVault).with(&DepositVault { amount: VAULT }));
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
