//! Worst cases of single markets (protocol P9.1). Micro-units.

/// `max_k max(0, liabilities to users if outcome k − collateral held for the market)`. Complete sets come to zero.
/// The subsidy still at risk of a pool is the same with what the pool owes and holds.
pub fn outcomes(liabilities: impl IntoIterator<Item = i64>, collateral: i64) -> i64 {
    let shortfalls = liabilities.into_iter().map(|owed| owed.saturating_sub(collateral));
    shortfalls.max().unwrap_or(0).max(0)
}

/// A loan that is secured by claims: what they pay if one outcome wins, and the margin beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loan {
    pub debt: i64,
    pub value_if_won: i64,
    pub margin: i64,
}

/// What the lender loses if the outcome wins for which these loans were valued.
pub fn loans(loans: impl IntoIterator<Item = Loan>) -> i64 {
    let losses = loans
        .into_iter()
        .map(|loan| (i128::from(loan.debt) - i128::from(loan.value_if_won) - i128::from(loan.margin)).max(0));
    losses.sum::<i128>().min(i128::from(i64::MAX)) as i64
}

/// Moves of the mark in per cent that a leveraged market is tried with.
pub const STRESS_PCT: [i64; 8] = [-30, -20, -10, -5, 5, 10, 20, 30];

/// A leveraged position: signed lots, and the equity that stands behind it at the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stressed {
    pub lots: i64,
    pub equity: i64,
}

/// The largest over the grid of `Σ max(0, −E)` (P9.1). Mark in ticks, unit in micro-quote per tick and lot.
pub fn leveraged(positions: &[Stressed], mark: i64, unit: i64) -> i64 {
    let at = |pct: i64| {
        // In hundredths of a tick, so that no move is rounded.
        let lost = positions.iter().map(|position| {
            let value =
                i128::from(position.lots).saturating_mul(i128::from(mark)).saturating_mul(i128::from(unit));
            let equity =
                (i128::from(position.equity) * 100).saturating_add(value.saturating_mul(i128::from(pct)));
            equity.saturating_neg().max(0)
        });
        lost.fold(0_i128, i128::saturating_add)
    };
    let worst = STRESS_PCT.iter().map(|&pct| at(pct)).max().unwrap_or(0);
    ((worst.saturating_add(99)) / 100).min(i128::from(i64::MAX)) as i64
}
