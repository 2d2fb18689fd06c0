//! What P10.3.3 and issue 4 ask of the makers' kernels: one trade or many, prices that sum to 1, and exact sales.

use proptest::prelude::*;
use tradewind_engine::amm::micro::{Ask, Lmsr, Pm};

const SHARE: i64 = 1_000_000;

/// An LMSR whose quantities lie within 5·b of each other: its prices stay between 1e-6 and 1.
fn pools() -> impl Strategy<Value = (i64, Vec<i64>)> {
    (10 * SHARE..1_000_000 * SHARE, proptest::collection::vec(0_i64..5_000, 2..9)).prop_map(|(b, parts)| {
        let quantities = parts.into_iter().map(|part| (i128::from(b) * i128::from(part) / 1_000) as i64);
        (b, quantities.collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn an_lmsr_trade_costs_the_same_in_two_parts(
        (b, mut quantities) in pools(), outcome in 0_usize..8, first in 1_i64..1_000, second in 1_i64..1_000,
    ) {
        let outcome = outcome % quantities.len();
        let shares = [first, second].map(|part| (i128::from(b) * i128::from(part) / 1_000) as i64);
        let whole = Lmsr { b, quantities: &quantities }.trade(outcome, Ask::Buy(shares[0] + shares[1])).unwrap();
        let one = Lmsr { b, quantities: &quantities }.trade(outcome, Ask::Buy(shares[0])).unwrap();
        quantities[outcome] += shares[0];
        let two = Lmsr { b, quantities: &quantities }.trade(outcome, Ask::Buy(shares[1])).unwrap();
        // Three roundings, each with the guard of P10.2.1.
        let room = 4 + whole.cost / (1 << 38) + b / (1 << 44);
        prop_assert!((one.cost + two.cost - whole.cost).abs() <= room, "{one:?} {two:?} {whole:?}");
        prop_assert!((one.after_ppb - two.before_ppb).abs() <= 1 && (two.after_ppb - whole.after_ppb).abs() <= 1);
    }

    #[test]
    fn the_prices_of_an_lmsr_sum_to_one_and_follow_the_traded_outcome(
        (b, mut quantities) in pools(), outcome in 0_usize..8, part in 1_i64..1_000,
    ) {
        let outcome = outcome % quantities.len();
        let shares = (i128::from(b) * i128::from(part) / 1_000) as i64;
        let traded = Lmsr { b, quantities: &quantities }.trade(outcome, Ask::Buy(shares)).unwrap();
        quantities[outcome] += shares;
        let mut prices = vec![0; quantities.len()];
        Lmsr { b, quantities: &quantities }.prices_ppb(&mut prices).unwrap();
        let count = prices.len() as i64;
        prop_assert!((prices.iter().sum::<i64>() - 1_000_000_000).abs() <= count);
        prop_assert!((prices[outcome] - traded.after_ppb).abs() <= 1);
        prop_assert!(traded.after_ppb >= traded.before_ppb);
        // One outcome alone costs as the general trade does.
        quantities[outcome] -= shares;
        let mut delta = vec![0; quantities.len()];
        delta[outcome] = shares;
        let general = Lmsr { b, quantities: &quantities }.cost(&delta).unwrap();
        prop_assert!((general - traded.cost).abs() <= 1, "{general} {traded:?}");
    }

    #[test]
    fn a_pm_trade_costs_the_same_in_two_parts_and_the_two_prices_sum_to_one(
        liquidity in 10 * SHARE..1_000_000 * SHARE, price in 50_000_000_i64..950_000_000,
        first in 1_i64..500, second in 1_i64..500,
    ) {
        let pool = Pm::at_price(liquidity, price).unwrap();
        let shares = [first, second].map(|part| (i128::from(liquidity) * i128::from(part) / 1_000) as i64);
        let whole = pool.trade_x(Ask::Buy(shares[0] + shares[1])).unwrap();
        let one = pool.trade_x(Ask::Buy(shares[0])).unwrap();
        let between = Pm { x: pool.x + one.cost - shares[0], y: pool.y + one.cost, ..pool };
        let two = between.trade_x(Ask::Buy(shares[1])).unwrap();
        let room = 4 + whole.cost / (1 << 38) + liquidity / (1 << 44);
        prop_assert!((one.cost + two.cost - whole.cost).abs() <= room, "{one:?} {two:?} {whole:?}");
        prop_assert!((pool.price_ppb() + pool.mirrored().price_ppb() - 1_000_000_000).abs() <= 1);
    }

    #[test]
    fn an_exact_sale_is_the_sale_of_its_shares(
        (b, quantities) in pools(), outcome in 0_usize..8, part in 1_i64..900,
        price in 50_000_000_i64..950_000_000,
    ) {
        let outcome = outcome % quantities.len();
        let pool = Lmsr { b, quantities: &quantities };
        // Some part of all that the outcome could ever bring.
        let most = pool.trade(outcome, Ask::Sell(3 * b)).unwrap().cost;
        let money = (i128::from(most) * i128::from(part) / 1_000) as i64;
        if money >= 1_000 {
            let sale = pool.trade(outcome, Ask::Earn(money)).unwrap();
            let same = pool.trade(outcome, Ask::Sell(sale.shares)).unwrap();
            let room = 2 + money / 1_000_000_000;
            prop_assert!(sale.cost == money && (money..=money + room).contains(&same.cost), "{sale:?} {same:?}");
        }
        let pm = Pm::at_price(b, price).unwrap();
        let money = (i128::from(pm.y) * i128::from(part) / 1_000) as i64;
        let sale = pm.trade_x(Ask::Earn(money.max(1))).unwrap();
        let same = pm.trade_x(Ask::Sell(sale.shares)).unwrap();
        prop_assert!((sale.cost..=sale.cost + 2 + money / 1_000_000_000).contains(&same.cost), "{sale:?} {same:?}");
    }
}
