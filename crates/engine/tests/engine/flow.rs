//! Rate limits and the withdrawal queue (P2.1.3 step 7, P9.10).

use std::collections::BTreeMap;

use proptest::prelude::*;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{CollateralBody, EventKind as E};
use tradewind_engine::wire::{Code, Record};
use tradewind_engine::{Engine, FastBook};

use crate::support::*;

const MINUTE: i64 = 60 * SECOND;
/// $1 in micro-units.
const DOLLAR: i64 = 1_000_000;
const PEOPLE: [Key; 4] = [ALICE, BOB, CAROL, OPERATOR];

/// Assets BTC and USDC, USDC being the unit of account; four owners with these dollars each, a day later.
fn bank(dollars: i64) -> World {
    let mut world: World = World::bare();
    world.accept(register_asset(*b"BTC\0\0\0\0\0\0\0\0\0\0\0\0\0"));
    let usdc: RegisterAsset = register_asset(*b"USDC\0\0\0\0\0\0\0\0\0\0\0\0").payload_as();
    let usdc = RegisterAsset { asset_flags: asset_flag::SETTLEMENT, ..usdc };
    world.accept(by(OPERATOR, Kind::RegisterAsset).with(&usdc));
    for owner in PEOPLE {
        world.accept(open_account(owner));
        for asset in [BTC, USDC] {
            world.deposit(owner, asset, dollars * DOLLAR);
            world.accept(list_address(owner, asset, [0; 32]));
        }
    }
    world.advance(DAY);
    world.tick();
    world
}

fn withdraw(owner: Key, asset: u16, amount: i64) -> Command {
    let payload = RequestWithdrawal { asset, reserved: 0, reserved2: 0, amount, address_hash: [0; 32] };
    by(owner, Kind::RequestWithdrawal).with(&payload)
}

fn cancel_ticket(owner: Key, ticket: u64) -> Command {
    by(owner, Kind::CancelWithdrawal).with(&CancelWithdrawal { ticket })
}

/// An event about a withdrawal: kind, ticket, eta.
type Ticket = (E, u64, i64);

/// Those of the last batch.
fn tickets(world: &World) -> Vec<Ticket> {
    let events = world.events();
    let body = |event: &tradewind_engine::wire::Event| event.body_as::<CollateralBody>();
    let of_withdrawals = events.iter().filter(|(kind, _)| kind.name().starts_with("Withdrawal"));
    of_withdrawals.map(|(kind, event)| (*kind, body(event).ticket, body(event).eta_ns)).collect()
}

/// Ticks until something about a withdrawal happens, at most to `until_ns`; the moment and what happened.
fn next_event(world: &mut World, until_ns: i64) -> Option<(i64, Vec<Ticket>)> {
    while let Some(due_ns) = world.engine.next_due_ns().filter(|&due_ns| due_ns <= until_ns) {
        world.now_ns = world.now_ns.max(due_ns);
        world.tick();
        let events = tickets(world);
        if !events.is_empty() {
            return Some((world.now_ns, events));
        }
    }
    None
}

fn fast_orders(world: &mut World, count: usize) -> usize {
    // Far away and then gone, so that only the rate bounds them.
    let mut sent = 0;
    for _ in 0..count {
        let command = Command {
            valid_until_ns: world.now_ns,
            client_key: world.fresh_key(),
            ..by(ALICE, Kind::ListAddress).with(&ListAddress {
                asset: USDC,
                reserved: 0,
                reserved2: 0,
                address_hash: [0; 32],
            })
        };
        sent += usize::from(world.run(&[command])[0].code != Code::RATE_LIMITED as u16);
    }
    sent
}

#[test]
fn a_command_over_the_rate_is_refused_with_its_moment_and_cancels_go_on() {
    let mut world: World = World::new();
    world.advance(HOUR);
    let order = world.accept(buy(ALICE, 0, 100, 1)).value;
    assert_eq!(fast_orders(&mut world, 9_000), 8_191, "the order took the first token");
    let refusal = world.refuse(buy(ALICE, 0, 100, 1), Code::RATE_LIMITED);
    assert_eq!((refusal.bound, refusal.given), (world.now_ns + 1_000_000, world.now_ns));
    world.accept(cancel(ALICE, order));
    world.accept(cancel_all(ALICE, ALL_MARKETS));
    world.accept(buy(BOB, 0, 100, 1));
    world.advance(999_999);
    world.refuse(buy(ALICE, 0, 100, 1), Code::RATE_LIMITED);
    world.advance(1);
    world.accept(buy(ALICE, 0, 100, 1));
    world.refuse(buy(ALICE, 0, 100, 1), Code::RATE_LIMITED);
}

#[test]
fn a_refused_command_costs_a_token_and_a_foreign_signer_none() {
    let mut world: World = World::new();
    world.advance(HOUR);
    for _ in 0..9_000 {
        let forged = Command { principal: BOB, client_key: world.fresh_key(), ..buy(ALICE, 0, 100, 1) };
        assert_eq!(world.run(&[forged])[0].code, Code::UNAUTHORIZED_SIGNER as u16);
    }
    // Every one of these is refused for its own reason, and counts.
    assert_eq!(fast_orders(&mut world, 8_192), 8_192);
    world.refuse(buy(ALICE, 0, 100, 1), Code::RATE_LIMITED);
}

#[test]
fn system_is_not_limited_and_a_rate_class_of_risk_widens_the_limit() {
    let mut world: World = World::new();
    world.advance(HOUR);
    for _ in 0..9_000 {
        assert_eq!(world.run(&[cancel_all(SYSTEM, ALL_MARKETS)])[0].accepted, 1);
    }
    assert_eq!(fast_orders(&mut world, 8_200), 8_192);
    let class = |rate_class| {
        Command { principal: RISK, ..by(ALICE, Kind::SetRateClass) }
            .with(&SetRateClass { rate_class, ..Record::zero() })
    };
    world.accept(class(1));
    assert_eq!(world.kinds(), [E::RateClassSet]);
    world.accept(buy(ALICE, 0, 100, 1));
    world.refuse(class(4), Code::PARAMETER_OUT_OF_BOUNDS);
    world.refuse(Command { principal: ALICE, ..class(1) }, Code::PERMISSION_DENIED);
    let reserved = SetRateClass { reserved3: 1, ..Record::zero() };
    world.refuse(class(0).with(&reserved), Code::RESERVED_NOT_ZERO);
}

#[test]
fn rates_come_back_from_a_snapshot_as_they_were() {
    let mut world: World = World::new();
    world.advance(HOUR);
    fast_orders(&mut world, 9_000);
    let mut copy = world.clone();
    copy.engine = Engine::<FastBook>::restore(&world.engine.snapshot()).unwrap();
    assert_eq!(copy.engine.cursor_hash(), world.engine.cursor_hash());
    for one in [&mut world, &mut copy] {
        one.refuse(buy(ALICE, 0, 100, 1), Code::RATE_LIMITED);
        one.advance(MINUTE);
        one.accept(buy(ALICE, 0, 100, 1));
    }
    assert_eq!(copy.engine.cursor_hash(), world.engine.cursor_hash());
}

#[test]
fn p9_10_a_withdrawal_leaves_at_once_up_to_a_quarter_of_custody_and_queues_above() {
    // Custody of 400,000: 100,000 may leave within a day.
    let mut world = bank(100_000);
    let first = world.accept(withdraw(ALICE, USDC, 60_000 * DOLLAR)).value;
    assert_eq!(tickets(&world), [(E::WithdrawalReleased, first, world.now_ns)]);
    let second = world.accept(withdraw(BOB, USDC, 40_000 * DOLLAR)).value;
    assert_eq!(tickets(&world), [(E::WithdrawalReleased, second, world.now_ns)]);
    // The last dollar is in: one more waits until the bucket of the first two no longer counts.
    let third = world.accept(withdraw(CAROL, USDC, DOLLAR)).value;
    let free_ns = world.now_ns.div_euclid(15 * MINUTE) * 15 * MINUTE + DAY + 15 * MINUTE;
    assert_eq!(tickets(&world), [(E::WithdrawalQueued, third, free_ns)]);
    // Another asset has its own outflow.
    world.accept(withdraw(OPERATOR, BTC, DOLLAR));
    let released = std::iter::from_fn(|| next_event(&mut world, START + 9 * DAY))
        .find(|(_, events)| events.iter().any(|event| event.1 == third));
    assert_eq!(released, Some((free_ns, vec![(E::WithdrawalReleased, third, free_ns)])));
}

#[test]
fn p9_10_the_queue_is_first_in_first_out_and_a_small_one_does_not_overtake() {
    let mut world = bank(100_000);
    world.accept(withdraw(ALICE, USDC, 90_000 * DOLLAR));
    let big = world.accept(withdraw(BOB, USDC, 50_000 * DOLLAR)).value;
    let small = world.accept(withdraw(CAROL, USDC, DOLLAR)).value;
    assert_eq!(tickets(&world)[0].0, E::WithdrawalQueued, "10,000 are left, but BOB waits before");
    let (moment, events) = next_event(&mut world, START + 9 * DAY).unwrap();
    assert!(moment >= START + 2 * DAY);
    assert_eq!(events, [(E::WithdrawalReleased, big, moment), (E::WithdrawalReleased, small, moment)]);
}

#[test]
fn p9_10_cancelling_the_first_lets_the_next_go() {
    let mut world = bank(100_000);
    world.accept(withdraw(ALICE, USDC, 90_000 * DOLLAR));
    let big = world.accept(withdraw(BOB, USDC, 50_000 * DOLLAR)).value;
    let small = world.accept(withdraw(CAROL, USDC, DOLLAR)).value;
    world.refuse(cancel_ticket(CAROL, big), Code::WRONG_OWNER);
    world.accept(cancel_ticket(BOB, big));
    let now_ns = world.now_ns;
    assert_eq!(next_event(&mut world, now_ns), Some((now_ns, vec![(E::WithdrawalReleased, small, now_ns)])));
    world.refuse(cancel_ticket(CAROL, small), Code::WITHDRAWAL_NOT_CANCELLABLE);
    assert_eq!(world.free(BOB, USDC), 100_000 * DOLLAR);
    world.auditor.verify().unwrap();
}

#[test]
fn p9_10_an_account_over_its_own_cap_waits_alone() {
    // Custody of 8,000,000: 2,000,000 may leave; of one account 250,000.
    let mut world = bank(2_000_000);
    world.accept(withdraw(ALICE, USDC, 250_000 * DOLLAR));
    assert_eq!(tickets(&world)[0].0, E::WithdrawalReleased);
    let over = world.accept(withdraw(ALICE, USDC, DOLLAR)).value;
    assert_eq!(tickets(&world)[0].0, E::WithdrawalQueued);
    let behind = world.accept(withdraw(ALICE, USDC, DOLLAR)).value;
    assert_eq!(tickets(&world)[0].0, E::WithdrawalQueued);
    world.accept(withdraw(BOB, USDC, 250_000 * DOLLAR));
    assert_eq!(tickets(&world)[0].0, E::WithdrawalReleased, "nobody waits for ALICE");
    let (moment, events) = next_event(&mut world, START + 9 * DAY).unwrap();
    assert!((START + 2 * DAY..=START + 2 * DAY + 15 * MINUTE).contains(&moment));
    assert_eq!(events, [(E::WithdrawalReleased, over, moment), (E::WithdrawalReleased, behind, moment)]);
}

#[test]
fn p9_10_an_amount_above_the_whole_cap_goes_alone_a_day_later() {
    let mut world = bank(2_000_000);
    let asked_ns = world.now_ns;
    let large = world.accept(withdraw(ALICE, USDC, 250_000 * DOLLAR + 1)).value;
    assert_eq!(tickets(&world), [(E::WithdrawalQueued, large, asked_ns + DAY)]);
    assert_eq!(next_event(&mut world, asked_ns + DAY - 1), None);
    let (moment, events) = next_event(&mut world, asked_ns + DAY).unwrap();
    assert_eq!((moment, events), (asked_ns + DAY, vec![(E::WithdrawalReleased, large, asked_ns + DAY)]));
    // The account's window is full now, and so is the platform's for what the account's was.
    world.accept(withdraw(ALICE, USDC, DOLLAR));
    assert_eq!(tickets(&world)[0].0, E::WithdrawalQueued);
}

#[test]
fn p9_10_an_asset_of_unknown_worth_waits_a_day() {
    let mut world = bank(2_000_000);
    let ticket = world.accept(withdraw(ALICE, BTC, DOLLAR)).value;
    let asked_ns = world.now_ns;
    assert_eq!(tickets(&world), [(E::WithdrawalQueued, ticket, asked_ns + DAY)]);
    let released = next_event(&mut world, asked_ns + 2 * DAY);
    assert_eq!(released, Some((asked_ns + DAY, vec![(E::WithdrawalReleased, ticket, asked_ns + DAY)])));
}

#[test]
fn p7_5_a_pause_that_people_end_early_lets_the_queue_go_early() {
    let mut world = bank(100_000);
    let pause_id = world.accept(pause(ALL_MARKETS, 1, world.now_ns + 10 * HOUR)).value as u32;
    let ticket = world.accept(withdraw(ALICE, USDC, DOLLAR)).value;
    assert_eq!(tickets(&world), [(E::WithdrawalQueued, ticket, world.now_ns + 10 * HOUR)]);
    let start_ns = world.now_ns;
    assert_eq!(next_event(&mut world, start_ns + 5 * MINUTE), None);
    world.accept(resume(RESUMER_A, ALL_MARKETS, pause_id));
    world.accept(resume(RESUMER_B, ALL_MARKETS, pause_id));
    let (moment, events) = next_event(&mut world, start_ns + HOUR).unwrap();
    assert!(moment <= start_ns + 7 * MINUTE);
    assert_eq!(events, [(E::WithdrawalReleased, ticket, moment)]);
}

#[test]
fn more_tickets_than_one_command_serves_go_on_in_continuations() {
    let mut world = bank(100_000);
    world.accept(pause(ALL_MARKETS, 1, world.now_ns + HOUR));
    let queued: Vec<u64> =
        (0..50).map(|round| world.accept(withdraw(PEOPLE[round % 4], USDC, DOLLAR)).value).collect();
    world.advance(HOUR);
    world.tick();
    let released: Vec<u64> = tickets(&world)
        .into_iter()
        .filter(|(kind, _, _)| *kind == E::WithdrawalReleased)
        .map(|(_, ticket, _)| ticket)
        .collect();
    assert_eq!(released, queued);
    assert!(world.kinds().contains(&E::ContinuationRequired));
}

/// What a random owner does to the queue.
#[derive(Clone, Debug)]
enum Move {
    Withdraw { owner: usize, asset: u16, amount: i64 },
    Cancel { number: usize },
    Confirm { number: usize, ok: u8 },
    Deposit { owner: usize, asset: u16, amount: i64 },
    Pause,
    Wait(i64),
}

fn any_move() -> impl Strategy<Value = Move> {
    let amount = || prop_oneof![6 => 1..30_000_i64, 2 => 30_000..400_000_i64, 1 => 400_000..900_000_i64];
    prop_oneof![
        8 => (0..4_usize, 0..2_u16, amount())
            .prop_map(|(owner, asset, amount)| Move::Withdraw { owner, asset, amount: amount * DOLLAR }),
        1 => (0..40_usize).prop_map(|number| Move::Cancel { number }),
        3 => (0..40_usize, 0..2_u8).prop_map(|(number, ok)| Move::Confirm { number, ok }),
        1 => (0..4_usize, 0..2_u16, amount())
            .prop_map(|(owner, asset, amount)| Move::Deposit { owner, asset, amount: amount * DOLLAR }),
        1 => Just(Move::Pause),
        8 => (0..20 * HOUR).prop_map(Move::Wait),
    ]
}

/// One that left: moment, account, asset, amount, ticket, custody at that moment, when it was asked for.
#[derive(Clone, Copy, Debug)]
struct Left {
    at_ns: i64,
    account: u32,
    asset: u16,
    amount: i64,
    ticket: u64,
    custody: i64,
    asked_ns: i64,
}

/// Reads the events since the last look into what left and what waits.
fn observe(world: &World, asked: &mut BTreeMap<u64, i64>, left: &mut Vec<Left>) {
    for (kind, event) in world.events() {
        let body: CollateralBody = event.body_as();
        match kind {
            E::WithdrawalQueued => {
                asked.insert(body.ticket, event.time_ns);
            }
            E::WithdrawalReleased => {
                let asked_ns = asked.remove(&body.ticket).unwrap_or(event.time_ns);
                let custody =
                    -world.engine.system_balance(tradewind_engine::ledger::line::WORLD, 0, body.asset);
                left.push(Left {
                    at_ns: event.time_ns,
                    account: event.account,
                    asset: body.asset,
                    amount: body.amount,
                    ticket: body.ticket,
                    custody,
                    asked_ns,
                });
            }
            E::WithdrawalCancelled => {
                asked.remove(&body.ticket);
            }
            _ => {}
        }
    }
}

fn check_caps(left: &[Left]) {
    for (position, last) in left.iter().enumerate() {
        let within = |other: &&Left| other.at_ns > last.at_ns - DAY;
        let platform: Vec<&Left> =
            left[..=position].iter().filter(|other| other.asset == last.asset).filter(within).collect();
        let sum: i64 = platform.iter().map(|other| other.amount).sum();
        let alone = platform.len() == 1 && last.at_ns - last.asked_ns >= DAY;
        assert!(sum <= last.custody / 4 || alone, "{sum} of {} left: {platform:?}", last.custody);
        if last.asset == USDC {
            let own: Vec<&Left> =
                platform.into_iter().filter(|other| other.account == last.account).collect();
            let sum: i64 = own.iter().map(|other| other.amount).sum();
            let alone = own.len() == 1 && last.at_ns - last.asked_ns >= DAY;
            assert!(sum <= 250_000 * DOLLAR || alone, "account {} took {sum}", last.account);
        }
    }
    // Tickets of one account and asset leave in the order of their requests.
    for (position, last) in left.iter().enumerate() {
        let same = |other: &&Left| (other.account, other.asset) == (last.account, last.asset);
        assert!(left[..position].iter().filter(same).all(|other| other.ticket < last.ticket));
    }
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn p9_10_outflow_stays_within_the_caps_in_every_window_and_no_ticket_is_lost(
        moves in proptest::collection::vec(any_move(), 1..120)
    ) {
        let mut world = bank(500_000);
        let (mut asked, mut left, mut opened) = (BTreeMap::new(), Vec::new(), Vec::new());
        for one in moves {
            match one {
                Move::Withdraw { owner, asset, amount } => {
                    let result = world.send(withdraw(PEOPLE[owner], asset, amount));
                    opened.extend((result.accepted == 1).then_some((PEOPLE[owner], result.value)));
                }
                Move::Cancel { number } => {
                    let Some(&(owner, ticket)) = opened.get(number) else { continue };
                    world.send(cancel_ticket(owner, ticket));
                }
                Move::Confirm { number, ok } => {
                    let Some(&(_, ticket)) = opened.get(number) else { continue };
                    let confirm = ConfirmWithdrawal { ticket, ok, ..Record::zero() };
                    world.send(by(SYSTEM, Kind::ConfirmWithdrawal).with(&confirm));
                }
                Move::Deposit { owner, asset, amount } => {
                    world.deposit(PEOPLE[owner], asset, amount);
                }
                Move::Pause => {
                    let until_ns = world.now_ns + 3 * HOUR;
                    world.send(pause(ALL_MARKETS, 1, until_ns));
                }
                Move::Wait(wait_ns) => {
                    let until_ns = world.now_ns + wait_ns;
                    while next_event(&mut world, until_ns).is_some() {
                        observe(&world, &mut asked, &mut left);
                    }
                    world.now_ns = until_ns;
                    continue;
                }
            }
            observe(&world, &mut asked, &mut left);
        }
        check_caps(&left);
        // A restored engine knows the same queue.
        let restored = Engine::<FastBook>::restore(&world.engine.snapshot()).unwrap();
        prop_assert_eq!(restored.state_hash(), world.engine.state_hash());
        prop_assert_eq!(restored.next_due_ns(), world.engine.next_due_ns());
        // In the end everything that waits has left.
        let end_ns = world.now_ns + 400 * DAY;
        while next_event(&mut world, end_ns).is_some() {
            observe(&world, &mut asked, &mut left);
        }
        prop_assert!(asked.is_empty(), "{} tickets wait for ever", asked.len());
        check_caps(&left);
        prop_assert!(world.auditor.verify().is_ok());
    }
}
