//! Market makers in integer micro (P10.2): who rounding favours, and what is refused.

use proptest::prelude::*;
use tradewind_engine::amm::micro::{Lmsr, Pm, MAX_B_MICRO, MIN_B_MICRO};
use tradewind_engine::amm::{pm, simpson};
use tradewind_engine::wire::Code;

const SHARE: i64 = 1_000_000;

#[test]
fn kernels_refuse_what_they_cannot_compute() {
    assert_eq!(simpson::integrate(|_| 1.0, 0.0, 1.0, 99), Err(Code::INVALID_SEGMENTS));
    assert_eq!(simpson::integrate(|_| 1.0, 1.0, 1.0, 100), Err(Code::INVALID_BOUNDS));
    let jump = |x: f64| if x < 0.333 { 1.0 } else { 0.0 };
    assert_eq!(simpson::integrate(jump, 0.0, 1.0, 100), Err(Code::CONVERGENCE_FAILED));
    assert_eq!(pm::solve_score(f64::NAN, 0.0), Err(Code::NOT_A_NUMBER));
    assert_eq!(pm::solve_score(9.0, 0.0), Err(Code::POOL_DOMAIN_EXCEEDED));
    let pool = Lmsr { b: SHARE, quantities: &[0, 701 * SHARE] };
    assert_eq!(pool.cost(&[1, 0]), Err(Code::POOL_DOMAIN_EXCEEDED));
}

#[test]
fn ten_thousand_tiny_round_trips_never_gain() {
    let mut quantities = [3 * SHARE, 0, 70 * SHARE];
    let mut pool = Pm::at_price(50 * SHARE, 320_000_000).expect("a price");
    for round in 0..10_000 {
        let shares = 1 + round % 7;
        let paid = lmsr_buy(10 * SHARE, &mut quantities, 0, shares);
        assert!(lmsr_buy(10 * SHARE, &mut quantities, 0, -shares) >= -paid, "round {round}");
        let (amount, before) = (1 + round % 5, pool);
        let bought = pm_buy_x(&mut pool, amount);
        assert!(pm_sell_x(&mut pool, bought) <= amount, "round {round}");
        assert!(pool.x >= before.x && pool.y >= before.y, "round {round}");
    }
    assert_eq!(quantities, [3 * SHARE, 0, 70 * SHARE]);
}

/// Cost of shares, which the pool then has sold.
fn lmsr_buy(b: i64, quantities: &mut [i64], outcome: usize, shares: i64) -> i64 {
    lmsr_try_buy(b, quantities, outcome, shares).expect("in the domain")
}

/// The same; what would leave the domain (quantities more than 700 b apart) is refused and moves nothing.
fn lmsr_try_buy(b: i64, quantities: &mut [i64], outcome: usize, shares: i64) -> Result<i64, Code> {
    let mut delta = vec![0; quantities.len()];
    delta[outcome] = shares;
    let cost = Lmsr { b, quantities }.cost(&delta)?;
    quantities[outcome] += shares;
    Ok(cost)
}

fn pm_buy_x(pool: &mut Pm, amount: i64) -> i64 {
    let bought = pool.buy_x(amount).expect("in the domain").out;
    *pool = Pm { x: pool.x + amount - bought, y: pool.y + amount, ..*pool };
    bought
}

fn pm_sell_x(pool: &mut Pm, shares: i64) -> i64 {
    let cash = pool.cash_for_x(shares).expect("in the domain");
    *pool = Pm { x: pool.x + shares - cash, y: pool.y - cash, ..*pool };
    cash
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn lmsr_sequences_that_end_where_they_began_never_gain(
        b in MIN_B_MICRO..MAX_B_MICRO,
        start in proptest::collection::vec(-50_000_000_i64..50_000_000, 2..9),
        steps in proptest::collection::vec((0_usize..8, -40_000_000_i64..40_000_000), 1..12),
    ) {
        let mut quantities: Vec<i64> = start.iter().map(|&part| part / 50 * (b / SHARE).min(1_000)).collect();
        let first = quantities.clone();
        let mut paid = 0_i64;
        for (outcome, shares) in steps {
            let outcome = outcome % quantities.len();
            paid += lmsr_buy(b, &mut quantities, outcome, shares);
        }
        for outcome in 0..quantities.len() {
            let shares = first[outcome] - quantities[outcome];
            if shares != 0 {
                paid += lmsr_buy(b, &mut quantities, outcome, shares);
            }
        }
        prop_assert!(paid >= 0, "gained {}", -paid);
    }

    #[test]
    fn shares_for_a_spend_cost_at_most_the_spend(
        b in MIN_B_MICRO..MAX_B_MICRO,
        outcomes in 2_usize..65,
        spend in 0_i64..1_000_000_000_000,
    ) {
        let quantities = vec![0; outcomes];
        let pool = Lmsr { b, quantities: &quantities };
        if let Ok(shares) = pool.shares_for_cost(outcomes - 1, spend) {
            let mut delta = vec![0; outcomes];
            delta[outcomes - 1] = shares;
            // The cost is rounded up once more.
            prop_assert!(pool.cost(&delta).expect("in the domain") <= spend + 1);
        }
    }

    #[test]
    fn the_makers_loss_is_at_most_its_funding(
        b in MIN_B_MICRO..1_000 * MIN_B_MICRO,
        trades in proptest::collection::vec((0_usize..5, 1_i64..300_000_000), 1..20),
    ) {
        let funding = Lmsr::funding(b, 5).expect("in bounds");
        let mut quantities = vec![0; 5];
        let mut income = 0_i64;
        for (outcome, shares) in trades {
            match lmsr_try_buy(b, &mut quantities, outcome, shares) {
                Ok(cost) => income += cost,
                Err(code) => prop_assert_eq!(code, Code::POOL_DOMAIN_EXCEEDED),
            }
        }
        let worst = quantities.iter().max().expect("five outcomes") - income;
        prop_assert!(worst <= funding, "loses {worst} of {funding}");
    }

    #[test]
    fn pm_trips_never_gain_and_the_residual_stays_the_pools(
        liquidity in SHARE..1_000_000 * SHARE,
        price in 20_000_000_i64..980_000_000,
        parts in proptest::collection::vec((any::<bool>(), 1_i64..1_000_000), 1..8),
    ) {
        let mut pool = Pm::at_price(liquidity, price).expect("a price");
        for (sell_first, part) in parts {
            let amount = (i128::from(liquidity) * i128::from(part) / 1_000_000).max(1) as i64;
            let first = pool;
            if sell_first {
                let Ok(out) = pool.swap_x_in(amount) else { continue };
                pool = Pm { x: pool.x + amount, y: pool.y - out.out, ..pool };
                let back = pool.swap_y_in(out.out).expect("back").out;
                prop_assert!(back <= amount);
                pool = Pm { x: pool.x - back, y: pool.y + out.out, ..pool };
            } else {
                let Ok(bought) = pool.buy_x(amount) else { continue };
                pool = Pm { x: pool.x + amount - bought.out, y: pool.y + amount, ..pool };
                let cash = pool.cash_for_x(bought.out).expect("back");
                prop_assert!(cash <= amount, "{cash} for {amount}");
                pool = Pm { x: pool.x + bought.out - cash, y: pool.y - cash, ..pool };
            }
            prop_assert!(pool.x >= first.x - 1 && pool.y >= first.y - 1);
            // The guard covers what f64 can be wrong by, so the pool has at least what the curve asks for.
            prop_assert!(pool.residual() >= -(liquidity as f64) * 2.0_f64.powi(-46), "{}", pool.residual());
        }
    }
}
