//! Random legs, closings and resolutions of verse credits (P15.10, P17.2): what is locked is the largest loss over all
//! outcomes, found by letting every one of them win.

use proptest::prelude::*;
use tradewind_engine::verse::NONE;
use tradewind_engine::wire::command::*;
use tradewind_engine::wire::Code;

use crate::credits::*;
use crate::loans::restored;
use crate::resolution::{finalise, proposal};
use crate::support::*;

/// Outcomes of the two markets of a world.
type Shape = (usize, usize);

/// Market, outcome, side, distance of the limit from the middle in ticks, tenths of contracts.
type Deed = (u8, bool, usize, u8, i64, i64);

fn world(shape: Shape, fee: bool) -> (World, u32, [u32; 2]) {
    let mut world: World = World::new();
    let verse = create_verse(&mut world, "random", NONE);
    let fee_e6bp = if fee { 28_000_000 } else { 0 };
    let markets = [shape.0, shape.1].map(|outcomes| {
        let middles = vec![1_000 / outcomes as i64; outcomes];
        quoted_until(&mut world, verse, &middles, (fee_e6bp, 2 * HOUR))
    });
    (world, verse, markets)
}

/// The leg of a deed, at a price that the books may have or not.
fn leg(markets: [u32; 2], shape: Shape, &(at, _, outcome, side, away, lots): &Deed) -> Wanted {
    let outcomes = [shape.0, shape.1][usize::from(at)];
    let middle = 1_000 / outcomes as i64;
    let fair = if side == LONG { middle } else { 1_000 - middle };
    (markets[usize::from(at)], (outcome % outcomes) as u8, side, (fair + away) as u32, lots * 100)
}

/// The codes with which a random request may be answered; everything else is a defect.
fn is_expected(code: Option<Code>) -> bool {
    matches!(
        code,
        None | Some(
            Code::CREDIT_INSUFFICIENT
                | Code::SLIPPAGE_EXCEEDED
                | Code::ALREADY_EXISTS
                | Code::INSUFFICIENT_SHARES
                | Code::POSITION_NOT_FOUND
                | Code::PRICE_TOO_HIGH
                | Code::PRICE_TOO_LOW
        )
    )
}

fn run(world: &mut World, verse: u32, markets: [u32; 2], shape: Shape, deeds: &[Vec<Deed>]) {
    for group in deeds {
        let wanted: Vec<Wanted> = group.iter().map(|deed| leg(markets, shape, deed)).collect();
        let command = match group[0] {
            (_, true, ..) => {
                let (market, outcome, side, price, lots) = wanted[0];
                // A closing asks for at least what a leg like it would bring.
                let least = price.saturating_sub(24).clamp(1, 999);
                closing(verse, market, (outcome, side, least, lots))
            }
            _ => lock(verse, &wanted),
        };
        let before = (world.engine.state_hash(), sums(world, verse));
        let result = world.send(command);
        let code = Code::from_number(result.code).filter(|_| result.accepted == 0);
        assert!(is_expected(code), "{command:?} is answered with {code:?}");
        let (available, locked, _) = sums(world, verse);
        assert!(available >= 0 && locked >= 0);
        if code.is_some() {
            assert_eq!((world.engine.state_hash(), sums(world, verse)), before);
        }
        world.auditor.verify().expect("every invariant");
    }
}

/// What each pair of winners leaves of a credit, for every pair.
fn left_by_winners(world: &World, verse: u32, markets: [u32; 2], shape: Shape) -> Vec<i64> {
    let mut left = Vec::new();
    for first in 0..shape.0 as u8 {
        for second in 0..shape.1 as u8 {
            let mut ended = world.clone();
            ended.wait(2 * HOUR);
            for (market, winner) in markets.into_iter().zip([first, second]) {
                ended.accept(proposal(CAROL, market, winner));
            }
            ended.wait(3 * HOUR);
            for market in markets {
                ended.accept(finalise(market));
                let result = ended.send(settling(verse, market));
                let code = Code::from_number(result.code).filter(|_| result.accepted == 0);
                assert!(matches!(code, None | Some(Code::POSITION_NOT_FOUND)), "{code:?}");
            }
            let (available, locked, total) = sums(&ended, verse);
            assert_eq!((locked, available), (0, total), "nothing is locked behind the end");
            ended.auditor.verify().expect("every invariant");
            left.push(total);
        }
    }
    left
}

fn any_deed() -> impl Strategy<Value = Deed> {
    (0..2_u8, prop::bool::weighted(0.3), 0..6_usize, 0..2_u8, -14..15_i64, 1..200_i64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn p15_10_what_is_locked_is_what_the_worst_outcome_costs(
        shape in (2..5_usize, 2..4_usize),
        fee in any::<bool>(),
        amount in 1..120_i64,
        deeds in prop::collection::vec(prop::collection::vec(any_deed(), 1..4), 1..14),
    ) {
        let (mut world, verse, markets) = world(shape, fee);
        world.accept(deposit_credit(verse, amount * DOLLAR));
        run(&mut world, verse, markets, shape, &deeds);
        restored(&mut world);
        let (available, locked, total) = sums(&world, verse);
        let left = left_by_winners(&world, verse, markets, shape);
        let worst = left.iter().copied().min().expect("every market has outcomes");
        prop_assert_eq!(total - worst, locked, "the worst of {:?}", &left);
        // Withdrawing what is available changes nothing about that: the loss stays covered.
        if available > 0 {
            world.accept(money(Kind::WithdrawCredit, verse, available));
        }
        if locked > 0 {
            let poorer = left_by_winners(&world, verse, markets, shape);
            let expected: Vec<i64> = left.iter().map(|left| left - available).collect();
            prop_assert_eq!(poorer, expected);
        }
    }

    #[test]
    fn t22_legs_in_several_commands_never_lock_less_than_in_one(
        outcomes in 2..6_usize,
        fee in any::<bool>(),
        sides in prop::collection::vec((0..2_u8, 1..150_i64), 1..4),
    ) {
        let shape = (outcomes, 2);
        let (mut world, verse, markets) = world(shape, fee);
        world.accept(deposit_credit(verse, 500 * DOLLAR));
        let wanted: Vec<Wanted> = sides
            .iter()
            .enumerate()
            // Of two outcomes one leg says everything.
            .take(if outcomes == 2 { 1 } else { outcomes.min(3) })
            .map(|(outcome, &(side, lots))| leg(markets, shape, &(0, false, outcome, side, 12, lots)))
            .collect();
        let mut apart = world.clone();
        world.accept(lock(verse, &wanted));
        for one in &wanted {
            apart.accept(lock(verse, &[*one]));
        }
        let ((_, together, _), (_, singly, _)) = (sums(&world, verse), sums(&apart, verse));
        prop_assert!(singly >= together, "{singly} in several, {together} in one");
        for outcome in 0..outcomes as u8 {
            prop_assert_eq!(
                credited(&world, verse, markets[0], outcome),
                credited(&apart, verse, markets[0], outcome)
            );
        }
    }
}
