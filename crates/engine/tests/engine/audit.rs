//! A control that was never seen to fire is not a control: each invariant of the auditor goes red on a recorded
//! batch that was falsified to break it.

use tradewind_engine::audit::{Auditor, Violation};
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::*;
use tradewind_engine::wire::Record;
use tradewind_engine::{Batch, FastBook};

use crate::support::*;

/// The last batch of a world and the auditor as it stood before it.
pub struct Recording {
    pub before: Auditor,
    pub commands: Vec<Command>,
    pub results: Vec<CommandResult>,
    pub events: Vec<Event>,
    pub postings: Vec<Posting>,
}

impl Recording {
    pub fn of(world: &mut World, command: Command) -> Self {
        Recording::of_run(world, |world| {
            world.accept(command);
        })
    }

    /// The batch of whatever `run` makes the world do last.
    pub fn of_run(world: &mut World, run: impl FnOnce(&mut World)) -> Self {
        let before = world.auditor.clone();
        run(world);
        Recording::of_batch(before, &world.batch)
    }

    /// A batch and the auditor as it stood before it.
    pub fn of_batch(before: Auditor, batch: &Batch) -> Self {
        Recording {
            before,
            commands: batch.commands.clone(),
            results: batch.results.clone(),
            events: batch.output.events.clone(),
            postings: batch.output.postings.clone(),
        }
    }

    pub fn check(&self) -> Result<(), Violation> {
        self.before.clone().check(&self.commands, &self.results, &self.events, &self.postings)
    }

    /// The recording is sound; after the change the named invariant is broken.
    #[track_caller]
    pub fn breaks(mut self, invariant: &str, change: impl FnOnce(&mut Recording)) {
        assert_eq!(self.check(), Ok(()));
        change(&mut self);
        match self.check() {
            Ok(()) => panic!("{invariant} did not go red"),
            Err(violation) => {
                assert_eq!(violation.invariant, invariant, "{violation}");
                assert!(!violation.detail.is_empty());
            }
        }
    }

    /// Changes the body of the first event of a kind.
    pub fn edit<B: Record>(&mut self, kind: EventKind, change: impl FnOnce(&mut B)) {
        let event =
            self.events.iter_mut().find(|event| event.kind == kind as u16).expect("an event of the kind");
        let mut body: B = event.body_as();
        change(&mut body);
        event.body[..B::SIZE].copy_from_slice(body.bytes());
    }

    /// The first event of a kind.
    pub fn of_kind(&self, kind: EventKind) -> Event {
        *self.events.iter().find(|event| event.kind == kind as u16).expect("an event of the kind")
    }

    /// Forgets the events of a kind, which have no postings, of a batch of one command.
    pub fn drop_events(&mut self, kind: EventKind) {
        let before = self.events.len();
        self.events.retain(|event| event.kind != kind as u16);
        assert!(self.events.len() < before, "no event of the kind");
        self.renumber();
    }

    /// Adds an event behind the others of a batch of one command.
    pub fn push_event(&mut self, kind: EventKind, body: &impl Record) {
        let mut event = *self.events.last().expect("an event");
        (event.kind, event.body, event.posting_count) = (kind as u16, [0; 72], 0);
        event.body[..body.bytes().len()].copy_from_slice(body.bytes());
        self.events.push(event);
        self.renumber();
    }

    fn renumber(&mut self) {
        self.events.iter_mut().enumerate().for_each(|(index, event)| event.index = index as u16);
        self.results[0].event_count = self.events.len() as u32;
    }

    pub fn posting(&mut self, line: u8, asset: u16) -> &mut Posting {
        let wanted = |posting: &&mut Posting| posting.line == line && posting.asset == asset;
        self.postings.iter_mut().find(wanted).expect("a posting on the line")
    }
}

/// ALICE sells ten at 101 and CAROL ten more; BOB bids at 99.
fn quoted() -> (World, u64, u64) {
    let mut world: World = World::new();
    let first = world.accept(sell(ALICE, 0, 101, 10)).value;
    let second = world.accept(sell(CAROL, 0, 101, 10)).value;
    world.accept(buy(BOB, 0, 99, 10));
    (world, first, second)
}

fn trade() -> Recording {
    let (mut world, _, _) = quoted();
    Recording::of(&mut world, buy(BOB, 0, 101, 4))
}

fn transfer_to_sub_1() -> Recording {
    let mut world: World = World::new();
    world.accept(by(ALICE, Kind::OpenSubAccount).with(&OpenSubAccount { index: 1, ..Record::zero() }));
    let payload = Transfer { to_sub: 1, reserved: 0, asset: USDC, reserved2: 0, amount: 5 };
    Recording::of(&mut world, by(ALICE, Kind::Transfer).with(&payload))
}

fn deposit_of_five() -> Recording {
    Recording::of(&mut World::new(), deposit(ALICE, USDC, 5, [0x55; 32]))
}

fn resting_order() -> Recording {
    let (mut world, _, _) = quoted();
    Recording::of(&mut world, sell(BOB, 0, 101, 3))
}

#[test]
fn i01_postings_of_an_event_that_do_not_sum_to_zero() {
    deposit_of_five().breaks("I01", |r| r.posting(0, USDC).amount += 1);
    trade().breaks("I01", |r| r.posting(0x83, USDC).amount -= 1);
    trade().breaks("I01", |r| r.posting(0, BTC).asset = USDC);
    deposit_of_five().breaks("I01", |r| r.events[0].posting_count = 1);
    deposit_of_five().breaks("I01", |r| {
        let copy = r.postings[0];
        r.postings.push(copy);
    });
}

#[test]
fn i02_custody_that_differs_from_what_came_in_and_went_out() {
    deposit_of_five()
        .breaks("I02", |r| r.edit(EventKind::Deposited, |body: &mut CollateralBody| body.amount = 6));
    deposit_of_five().breaks("I02", |r| r.posting(0, USDC).owner += 1);
    deposit_of_five().breaks("I02", |r| r.posting(0x80, USDC).line = 0x8E);
}

#[test]
fn i03_a_line_below_zero() {
    transfer_to_sub_1().breaks("I03", |r| {
        r.edit(EventKind::Transferred, |body: &mut CollateralBody| body.amount = 2 * FUNDS);
        for posting in &mut r.postings {
            posting.amount = posting.amount.signum() * 2 * FUNDS;
        }
    });
    deposit_of_five().breaks("I03", |r| r.posting(0, USDC).line = 0x40);
    deposit_of_five().breaks("I03", |r| {
        r.posting(0x80, USDC).amount = i64::MIN;
        r.posting(0, USDC).amount = i64::MAX;
    });
}

#[test]
fn i06_a_crossed_book_a_jumped_queue_and_a_fill_out_of_turn() {
    resting_order()
        .breaks("I06", |r| r.edit(EventKind::OrderAccepted, |body: &mut OrderBody| body.price = 99));
    resting_order()
        .breaks("I06", |r| r.edit(EventKind::OrderAccepted, |body: &mut OrderBody| body.priority = 1));
    let (mut world, _, second) = quoted();
    Recording::of(&mut world, buy(BOB, 0, 101, 4)).breaks("I06", |r| {
        r.edit(EventKind::Trade, |body: &mut TradeBody| {
            body.maker_order = second;
            body.maker_account = 2;
        });
    });
    trade().breaks("I06", |r| r.edit(EventKind::Trade, |body: &mut TradeBody| body.price = 100));
}

#[test]
fn i06_a_replacement_that_keeps_its_priority_against_the_rule() {
    let (mut world, first, _) = quoted();
    Recording::of(&mut world, replace(ALICE, first, 101, 8)).breaks("I06", |r| {
        r.edit(EventKind::OrderReplaced, |body: &mut OrderBody| body.priority += 100);
    });
    let (mut world, first, _) = quoted();
    let kept = world.events().len();
    assert_eq!(kept, 1);
    Recording::of(&mut world, replace(ALICE, first, 102, 8)).breaks("I06", |r| {
        r.edit(EventKind::OrderReplaced, |body: &mut OrderBody| body.priority = 1);
    });
}

#[test]
fn i06_a_trade_with_oneself() {
    let mut recording = trade();
    recording.events.iter_mut().for_each(|event| event.account = 0);
    recording.postings.iter_mut().filter(|posting| posting.line < 0x80).for_each(|posting| posting.owner = 0);
    let violation = recording.check().expect_err("ALICE buys from ALICE");
    assert_eq!(violation.invariant, "I06", "{violation}");
}

#[test]
fn i07_held_money_that_differs_from_the_reserves_of_open_orders() {
    resting_order()
        .breaks("I07", |r| r.edit(EventKind::OrderAccepted, |body: &mut OrderBody| body.reserve += 1));
    resting_order().breaks("I07", |r| {
        r.posting(0, BTC).amount -= 1;
        r.posting(1, BTC).amount += 1;
    });
    resting_order().breaks("I07", |r| r.posting(0, BTC).owner = 0);
    let (mut world, first, _) = quoted();
    Recording::of(&mut world, cancel(ALICE, first)).breaks("I07", |r| {
        r.edit(EventKind::OrderCancelled, |body: &mut CancelBody| body.released -= 1);
    });
}

#[test]
fn i11_fees_that_are_not_what_the_rates_say_or_go_elsewhere() {
    trade().breaks("I11", |r| r.edit(EventKind::Trade, |body: &mut TradeBody| body.taker_fee += 1));
    trade().breaks("I11", |r| r.edit(EventKind::Trade, |body: &mut TradeBody| body.maker_fee -= 1));
    trade().breaks("I11", |r| r.edit(EventKind::Trade, |body: &mut TradeBody| body.notional += 1));
    trade().breaks("I11", |r| {
        r.posting(0x83, USDC).amount -= 1;
        r.posting(0x88, USDC).amount += 1;
    });
    trade().breaks("I11", |r| r.posting(0x83, USDC).line = 0x8B);
}

#[test]
fn i18_sequence_time_and_headers_out_of_step() {
    trade().breaks("I18", |r| r.commands[0].seq += 1);
    trade().breaks("I18", |r| r.commands[0].time_ns -= 1);
    trade().breaks("I18", |r| r.commands[0].shard += 1);
    trade().breaks("I18", |r| r.results[0].seq -= 1);
    trade().breaks("I18", |r| r.results[0].first_event += 1);
    trade().breaks("I18", |r| r.results[0].event_count += 1);
    trade().breaks("I18", |r| r.events[1].seq += 1);
    trade().breaks("I18", |r| r.events[1].time_ns += 1);
    trade().breaks("I18", |r| r.events[1].index = 0);
    trade().breaks("I18", |r| r.events[0].version = 2);
    trade().breaks("I18", |r| {
        r.results.pop();
    });
}

#[test]
fn i18_another_command_accepted_inside_a_continuation() {
    let mut world: World = World::new();
    for _ in 0..60 {
        world.accept(sell(ALICE, 1, 100, 1));
    }
    Recording::of(&mut world, buy(BOB, 1, 100, 60)).breaks("I18", |r| {
        r.commands[1].payload[0] ^= 1;
    });
}

#[test]
fn i19_a_reject_with_events() {
    trade().breaks("I19", |r| {
        r.results[0].accepted = 0;
        r.results[0].code = 2_501;
    });
    trade().breaks("I19", |r| r.results[0].duplicate = 1);
    trade().breaks("I19", |r| r.results[0].code = 1);
    trade().breaks("I19", |r| r.events.push(r.events[0]));
}

#[test]
fn i20_more_orders_than_the_bound() {
    let mut world: World = World::new();
    for _ in 0..200 {
        world.accept(buy(SYSTEM, 0, 99, 1));
    }
    // The mirror may hold more; whoever is not SYSTEM may not.
    let recording = Recording::of(&mut world, buy(SYSTEM, 0, 99, 1));
    recording.check().expect("SYSTEM is not bounded");
    let mut without = genesis();
    without.grants[0].principal = key(0x99);
    let (mut strict, mut outcome) = (Auditor::new(&without), Ok(()));
    let mut again: World = World::bare();
    for command in history(201) {
        again.accept(command);
        let output = &again.batch.output;
        outcome = strict.check(&again.batch.commands, &again.batch.results, &output.events, &output.postings);
    }
    assert_eq!(outcome.expect_err("201 orders").invariant, "I20");
}

/// Commands that open SYSTEM's account, a market and `orders` orders.
fn history(orders: usize) -> Vec<Command> {
    let mut commands = vec![
        register_asset(*b"BTC\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        register_asset(*b"USDC\0\0\0\0\0\0\0\0\0\0\0\0"),
        open_account(OPERATOR),
        open_account(SYSTEM),
        deposit(SYSTEM, USDC, FUNDS, [1; 32]),
        create_market(0, 10_000, 1_000, 0, 0),
    ];
    commands.extend((0..orders).map(|_| buy(SYSTEM, 0, 99, 1)));
    commands
}

#[test]
fn i20_more_fills_than_one_command_may_make() {
    let mut world: World = World::new();
    for _ in 0..49 {
        world.accept(sell(ALICE, 1, 100, 1));
    }
    Recording::of(&mut world, buy(BOB, 1, 100, 49)).breaks("I20", |r| {
        // The continuation's fill is written under the first command.
        r.events.retain(|event| event.kind != EventKind::ContinuationRequired as u16);
        let seq = r.commands[0].seq;
        for (index, event) in r.events.iter_mut().enumerate() {
            (event.seq, event.index) = (seq, index as u16);
        }
        r.commands.truncate(1);
        r.results.truncate(1);
        r.results[0].event_count = r.events.len() as u32;
    });
}

#[test]
fn i25_an_order_accepted_while_the_market_or_the_platform_is_paused() {
    for scope in [0, ALL_MARKETS] {
        let mut paused: World = World::new();
        let mut open = paused.clone();
        paused.accept(pause(scope, 1, START + HOUR));
        open.tick();
        let recording = Recording::of(&mut open, buy(ALICE, 0, 99, 1));
        let mut auditor = paused.auditor.clone();
        let Recording { commands, results, events, postings, .. } = recording;
        let violation = auditor.check(&commands, &results, &events, &postings).expect_err("paused");
        assert_eq!(violation.invariant, "I25", "{violation}");
    }
}

#[test]
fn i26_facts_that_contradict_each_other() {
    trade().breaks("I26", |r| r.edit(EventKind::Trade, |body: &mut TradeBody| body.maker_remaining += 1));
    trade().breaks("I26", |r| r.edit(EventKind::Trade, |body: &mut TradeBody| body.maker_account = 3));
    trade().breaks("I26", |r| r.edit(EventKind::Trade, |body: &mut TradeBody| body.maker_order = 12345));
    resting_order().breaks("I26", |r| r.events[0].order = 1);
    resting_order().breaks("I26", |r| r.events[0].market = 9);
    resting_order().breaks("I26", |r| r.events[0].kind = 0x7777);
    // The taker neither rests nor ends.
    resting_order()
        .breaks("I26", |r| r.edit(EventKind::OrderAccepted, |body: &mut OrderBody| body.resting = 0));
    let (mut world, first, _) = quoted();
    Recording::of(&mut world, cancel(ALICE, first)).breaks("I26", |r| {
        r.edit(EventKind::OrderCancelled, |body: &mut CancelBody| body.filled_lots = 1);
    });
}

#[test]
fn i26_records_that_exist_twice() {
    let mut world: World = World::new();
    world.accept(deposit(ALICE, USDC, 5, [0x55; 32]));
    Recording::of(&mut world, deposit(ALICE, USDC, 5, [0x56; 32])).breaks("I26", |r| {
        r.edit(EventKind::Deposited, |body: &mut CollateralBody| body.reference = [0x55; 32]);
    });
    Recording::of(&mut World::new(), open_account(key(0x60))).breaks("I26", |r| r.events[0].account = 0);
    Recording::of(&mut World::new(), open_account(key(0x60))).breaks("I26", |r| {
        r.edit(EventKind::AccountOpened, |body: &mut AccountBody| body.owner_key = key(0x61));
    });
    Recording::of(&mut World::new(), create_market(5, 1_000, 1_000, 0, 0)).breaks("I26", |r| {
        r.edit(EventKind::MarketCreated, |body: &mut MarketBody| body.unit = 2);
    });
    let close = by(OPERATOR, Kind::CloseMarket).with(&CloseMarket { market: 0, reserved: 0 });
    Recording::of(&mut World::new(), close).breaks("I26", |r| {
        r.edit(EventKind::MarketClosing, |body: &mut StatusBody| body.status = 4);
    });
    let mut world: World = World::new();
    world.accept(sell(ALICE, 0, 101, 10));
    Recording::of(&mut world, close).breaks("I26", |r| {
        // The market closes around an order that is still open.
        r.events.retain(|event| event.kind != EventKind::OrderCancelled as u16);
        r.events.iter_mut().enumerate().for_each(|(index, event)| event.index = index as u16);
        r.results[0].event_count -= 1;
        r.postings.clear();
    });
}

#[test]
fn the_first_violation_is_final() {
    let mut recording = trade();
    let sound = recording.check();
    assert_eq!(sound, Ok(()));
    let mut auditor = recording.before.clone();
    recording.commands[0].seq += 1;
    let first =
        auditor.check(&recording.commands, &recording.results, &recording.events, &recording.postings);
    recording.commands[0].seq -= 1;
    let again =
        auditor.check(&recording.commands, &recording.results, &recording.events, &recording.postings);
    assert!(first.is_err());
    assert_eq!(first, again);
}

#[test]
fn an_auditor_that_takes_over_a_restored_engine_goes_on_where_the_first_would() {
    let (mut world, first, _) = quoted();
    world.accept(buy(BOB, 0, 101, 4));
    let restored = tradewind_engine::Engine::<FastBook>::restore(&world.engine.snapshot()).unwrap();
    let mut taken = Auditor::from_engine(&restored).unwrap();
    assert_eq!(taken.seq(), world.auditor.seq());
    assert_eq!(taken.levels(0, side::SELL), world.auditor.levels(0, side::SELL));
    let recording = Recording::of(&mut world, cancel(ALICE, first));
    let Recording { commands, results, events, postings, .. } = recording;
    assert_eq!(taken.check(&commands, &results, &events, &postings), Ok(()));
    assert_eq!(taken.open_orders(), world.auditor.open_orders());
}
