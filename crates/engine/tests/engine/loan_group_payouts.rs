//! What groups of leveraged positions are paid when their market resolves (P4.6.6, P15.7), whatever came before.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tradewind_engine::audit::Auditor;
use tradewind_engine::ledger::line;
use tradewind_engine::outcome::loans::{pays, Pledge};
use tradewind_engine::outcome::Loan;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::event::{loan_cause, Event, EventKind, LoanLossBody, LoanMovedBody, Posting};
use tradewind_engine::wire::record::Record;

use crate::loan_groups::{cancel_quotes, hedged, proposed};
use crate::loan_marks::quote;
use crate::loans::*;
use crate::outcome_books::on;
use crate::resolution::finalise;
use crate::support::*;

/// Around 0.4, 0.35 and 0.25.
const PRICES: [(i64, i64); 3] = [(395, 405), (345, 355), (245, 255)];

/// What a group is paid and owes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Account {
    paid: i64,
    owed: i64,
    /// Σ of what each position of its own could not pay.
    lost_apart: i64,
}

/// Accounts of all groups if an outcome wins, by owner's account and sub-account: computed without the engine's groups.
fn accounts(world: &World, winner: u8) -> BTreeMap<(u32, u8), Account> {
    let mut found: BTreeMap<(u32, u8), Account> = BTreeMap::new();
    for ((account, _), loan) in world.engine.loans() {
        let paid = if pays(loan.place(), winner) { loan.shares } else { 0 };
        let group = found.entry((account, loan.sub)).or_default();
        group.paid += paid;
        group.owed += loan.debt;
        group.lost_apart += (loan.debt - paid).max(0);
    }
    found
}

fn told<T: Record>(world: &World, kind: EventKind) -> Vec<(u32, T)> {
    let events = world.events();
    let wanted = events.iter().filter(|event| event.0 == kind);
    wanted.map(|event| (event.1.account, event.1.body_as())).collect()
}

/// One step of a history: what, of whom, which outcome, how many lots, how far from the middle.
type Deal = (u8, u8, u8, i64, i64);

fn step(world: &mut World, market: u32, (what, who, outcome, lots, away): Deal) {
    let owner = [ALICE, BOB, CAROL][usize::from(who)];
    let (bid, ask) = PRICES[usize::from(outcome)];
    let price = ((bid + ask) / 2 + away).clamp(1, 999);
    let leverage_e2 = 100 + (lots as u32 / 10) % 3_000;
    let request = OpenLeveraged { outcome, ..long(market, lots, price, leverage_e2) };
    let command = match what {
        0..=6 => open(owner, OpenLeveraged { max_price: (price + 20).min(999), ..request }),
        7..=11 => open(owner, OpenLeveraged { side: 1, max_price: (1_020 - price).clamp(1, 999), ..request }),
        12 => by(owner, Kind::CloseLeveraged).with(&CloseLeveraged {
            market,
            outcome,
            side: (lots % 2) as u8,
            lots: lots / 3,
            ..CloseLeveraged::zero()
        }),
        13 => place(owner, on(market, outcome, side::BUY, price, lots)),
        14 => place(owner, on(market, outcome, side::SELL, price, lots)),
        _ => {
            world.advance(SECOND);
            world.tick();
            return;
        }
    };
    world.send(command);
}

/// A market of three outcomes in which the owners may take any leverage.
fn open_market() -> (World, u32) {
    let mut world = lending_world();
    let market = lent_market(&mut world, 3);
    quote(&mut world, market, PRICES);
    let flag = SetSuitability { level: 1, expiry_ns: world.now_ns + 20 * DAY, ..SetSuitability::zero() };
    for owner in [ALICE, BOB, CAROL] {
        let suitable = by(RISK, Kind::SetSuitability).with(&flag);
        world.accept(Command { account: tradewind_engine::id::account_id(&owner), ..suitable });
    }
    (world, market)
}

/// Nobody buys any more, and the market pays this outcome: the world in the moment before the first payment.
fn about_to_pay(world: &mut World, market: u32, winner: u8) {
    cancel_quotes(world, market);
    proposed(world, market, winner);
    world.accept(finalise(market));
}

fn positions_of(world: &World) -> Vec<(Pledge, Loan)> {
    world.engine.loans().map(|(pledge, loan)| (pledge, *loan)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn p4_6_6_whatever_came_before_a_group_pays_its_debts_with_all_it_is_paid_and_loses_no_more_than_positions_apart(
        deals in proptest::collection::vec((0_u8..17, 0_u8..3, 0_u8..3, 1_000_i64..200_000, -15_i64..=15), 4..40),
        winner in 0_u8..3,
    ) {
        let (mut world, market) = open_market();
        for deal in deals {
            step(&mut world, market, deal);
        }
        world.auditor.verify().unwrap();
        about_to_pay(&mut world, market, winner);
        let expected = accounts(&world, winner);
        let lent = world.engine.system_balance(line::VAULT_LOANS, 0, USDC);
        prop_assert_eq!(lent, expected.values().map(|group| group.owed).sum::<i64>());
        let (mut returned, mut lost) = (BTreeMap::<(u32, u8), i64>::new(), BTreeMap::<u32, i64>::new());
        for _ in 0..positions_of(&world).len() * 3 + 6 {
            world.advance(SECOND);
            world.tick();
            prop_assert!(!world.kinds().contains(&EventKind::LoanCharged), "the hour is not over");
            for (account, body) in told::<LoanMovedBody>(&world, EventKind::LoanMoved) {
                *returned.entry((account, body.owner_sub)).or_default() += body.returned;
            }
            for (account, body) in told::<LoanLossBody>(&world, EventKind::LoanLossCovered) {
                *lost.entry(account).or_default() += body.liquidation_fees + body.insurance + body.vault;
            }
        }
        prop_assert_eq!(world.engine.loans().count(), 0);
        for (&(account, sub), group) in &expected {
            let loss = lost.get(&account).copied().unwrap_or(0);
            prop_assert_eq!(loss, (group.owed - group.paid).max(0), "account {} of {:?}", account, group);
            prop_assert!(loss <= group.lost_apart);
            let surplus = (group.paid - group.owed).max(0);
            prop_assert_eq!(returned.get(&(account, sub)).copied().unwrap_or(0), surplus, "{:?}", group);
        }
        prop_assert_eq!(world.engine.system_balance(line::VAULT_LOANS, 0, USDC), 0);
        world.auditor.verify().unwrap();
    }
}

/// A payout is over with the Tick that begins it: its continuations take no snapshot between them.
#[test]
fn a_group_that_is_restored_before_its_payout_is_paid_as_if_it_had_not_been() {
    for winner in 0..2 {
        let (mut world, market) = hedged();
        for owner in [OPERATOR, SYSTEM] {
            world.accept(open(owner, long(market, LOTS / 2, 500, 500)));
            world.accept(open(owner, OpenLeveraged { outcome: 1, ..long(market, LOTS / 2, 510, 500) }));
        }
        about_to_pay(&mut world, market, winner);
        assert_eq!(positions_of(&world).len(), 6);
        let mut restarted = world.clone();
        for _ in 0..4 {
            restored(&mut restarted);
            for world in [&mut world, &mut restarted] {
                world.advance(SECOND);
                world.tick();
            }
            assert_eq!(restarted.batch.output.events, world.batch.output.events);
            assert_eq!(restarted.engine.snapshot(), world.engine.snapshot());
        }
        assert_eq!(world.engine.loans().count(), 0);
    }
}

/// The auditor of before the step, and the step's output with the events behind one place cut off.
fn audited_until(before: &Auditor, world: &World, events: &[Event], postings: &[Posting]) -> String {
    let found = before.clone().check(&world.batch.commands, &world.batch.results, events, postings);
    found.expect_err("it passes").to_string()
}

#[test]
fn i24_at_the_payout_nothing_goes_to_an_owner_while_another_position_of_the_group_owes() {
    let (mut world, market) = hedged();
    about_to_pay(&mut world, market, 0);
    let mut before = world.auditor.clone();
    let is_credit = |event: &(EventKind, Event)| {
        event.0 == EventKind::LoanMoved && event.1.body_as::<LoanMovedBody>().cause == loan_cause::CREDITED
    };
    for _ in 0..8 {
        before = world.auditor.clone();
        world.advance(SECOND);
        world.tick();
        if world.events().iter().any(is_credit) {
            break;
        }
    }
    // In place of what pays the other's debt: everything goes to the owner at once.
    let told = world.events();
    let at = told.iter().position(is_credit).expect("a payment");
    let (credit, paid) = (told[at].1, told[at + 1].1);
    assert_eq!(paid.kind, EventKind::LoanMoved as u16);
    let kept: LoanMovedBody = credit.body_as();
    let mut body: LoanMovedBody = paid.body_as();
    assert!(body.cause == loan_cause::SETTLED && body.returned > 0 && u32::from(paid.sub) == kept.payer);
    body.returned += kept.repaid;
    let mut forged = Event { index: credit.index, first_posting: credit.first_posting, ..paid };
    forged.body[..LoanMovedBody::SIZE].copy_from_slice(body.bytes());
    let output = &world.batch.output;
    let first = paid.first_posting as usize;
    let mut moved = output.postings[first..first + usize::from(paid.posting_count)].to_vec();
    for posting in
        moved.iter_mut().filter(|posting| posting.line == line::FREE && posting.owner == paid.account)
    {
        posting.amount += if posting.sub == paid.sub { -kept.repaid } else { kept.repaid };
    }
    let events = [&output.events[..at], &[forged], &output.events[at + 1..]].concat();
    let postings =
        [&output.postings[..credit.first_posting as usize], &moved, &output.postings[first..]].concat();
    let said = audited_until(&before, &world, &events, &postings);
    assert!(said.contains("I24") && said.contains("gets") && said.contains("while its pledge"), "{said}");
}

#[test]
fn i10_a_position_below_its_own_margin_is_not_sold_while_its_group_is_sound() {
    let (mut world, market) = hedged();
    let is_mark = |event: &Event| event.kind == EventKind::OutcomeMarked as u16 && event.market == market;
    world.accept(cancel_all(BOB, market));
    world.accept(place(CAROL, on(market, 0, side::BUY, 494, LOTS)));
    world.accept(place(BOB, on(market, 0, side::SELL, 498, LOTS)));
    let pledge = (0, PLEDGE + 1);
    let (mut before, mut health) = (world.auditor.clone(), None);
    for _ in 0..10 {
        (before, health) = (world.auditor.clone(), world.engine.loan_health(pledge));
        world.advance(SECOND);
        world.tick();
        if world.batch.output.events.iter().any(is_mark) {
            break;
        }
    }
    let (valued, _) = health.expect("it has a mark");
    assert!(!valued.is_healthy(), "{valued:?}");
    let (_, held) = positions_of(&world).into_iter().find(|found| found.0 == pledge).expect("a position");
    // The sale as the engine would tell it of a position without a group.
    let body = tradewind_engine::wire::event::LoanLiquidatedBody {
        outcome: held.outcome,
        owner_sub: 0,
        reserved: 0,
        ramp_ppm: 1_000_000,
        mark: valued.mark,
        lots_held: valued.lots,
        value: valued.value,
        debt: held.debt,
        maintenance: valued.maintenance as i64,
        lots: 1,
        limit: 500,
    };
    let output = &world.batch.output;
    let at = output.events.iter().position(is_mark).expect("marks");
    let like = output.events[at];
    let mut forged = Event { sub: pledge.1, account: 0, ..like };
    forged.kind = EventKind::LoanLiquidated as u16;
    forged.body = [0; 72];
    forged.body[..body.bytes().len()].copy_from_slice(body.bytes());
    let events = [&output.events[..at], &[forged], &output.events[at + 1..]].concat();
    let said = audited_until(&before, &world, &events, &output.postings);
    assert!(said.contains("I10") && said.contains("is sold with"), "{said}");
}
