//! Expected shortfall of a set of scenarios (protocol P9.5), in whole numbers.

/// Probabilities are in parts per billion.
pub const PPB: u64 = 1_000_000_000;
/// The level that limits and reports use: 97.5 %.
pub const LEVEL_PPB: u64 = 975_000_000;
/// Scenarios from history that a tail of 97.5 % needs, and one of 99.9 %.
pub const LEAST_DAYS: usize = 500;
pub const LEAST_DAYS_FAR_TAIL: usize = 1_000;
/// Net asset value over expected shortfall below which liquidity providers are warned, in ppm.
pub const ALERT_PPM: i128 = 1_500_000;

/// A loss in micro-units and its probability in ppb. What the probabilities leave to one is no loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    pub loss: i64,
    pub probability_ppb: u64,
}

/// Value at risk and expected shortfall in micro-units, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortfall {
    pub value_at_risk: i64,
    pub expected: i64,
}

/// `ES = (Σ_{L>VaR} pL + VaR·((1−α) − P(L>VaR)))/(1−α)`; the value at risk is the least loss that is exceeded with a
/// probability of at most 1 − α. Losses below zero count as zero.
///
/// # Errors
/// A sentence when α is not in (0, 1) or the probabilities sum to more than one.
///
/// ```
/// # use tradewind_engine::coverage::shortfall::{expected_shortfall, Scenario};
/// let scenarios = [(100, 20_000_000), (50, 30_000_000)];
/// let scenarios = scenarios.map(|(loss, probability_ppb)| Scenario { loss, probability_ppb });
/// assert_eq!(expected_shortfall(&scenarios, 950_000_000).unwrap().expected, 70);
/// assert_eq!(expected_shortfall(&scenarios, 975_000_000).unwrap().expected, 90);
/// ```
pub fn expected_shortfall(scenarios: &[Scenario], level_ppb: u64) -> Result<Shortfall, String> {
    if level_ppb == 0 || level_ppb >= PPB {
        return Err(format!("level {level_ppb} ppb is not between 0 and 1"));
    }
    let total: u128 = scenarios.iter().map(|scenario| u128::from(scenario.probability_ppb)).sum();
    if total > u128::from(PPB) {
        return Err(format!("probabilities sum to {total} ppb"));
    }
    let mut sorted: Vec<Scenario> = scenarios.to_vec();
    sorted.sort_unstable_by_key(|scenario| std::cmp::Reverse(scenario.loss.max(0)));
    let tail = i128::from(PPB - level_ppb);
    // From the largest loss down, as long as the whole weight of a loss fits into the tail.
    let (mut beyond, mut weighted, mut value_at_risk) = (0_i128, 0_i128, 0_i64);
    for group in sorted.chunk_by(|a, b| a.loss.max(0) == b.loss.max(0)) {
        let loss = group[0].loss.max(0);
        let weight: i128 = group.iter().map(|scenario| i128::from(scenario.probability_ppb)).sum();
        if beyond + weight > tail {
            value_at_risk = loss;
            break;
        }
        beyond += weight;
        weighted += weight * i128::from(loss);
    }
    let numerator = weighted + i128::from(value_at_risk) * (tail - beyond);
    let expected = ((numerator + tail - 1) / tail).min(i128::from(i64::MAX)) as i64;
    Ok(Shortfall { value_at_risk, expected })
}

/// Whether the vault's value is below one and a half times the shortfall.
pub fn is_short(nav: i64, expected: i64) -> bool {
    i128::from(nav) * 1_000_000 < i128::from(expected) * ALERT_PPM
}

/// The parametric tail `clamp(1 − (1−ρ)/max(N,2), 0.05, 1)` in ppm: for comparison, it decides nothing.
pub fn parametric_tail_ppm(outcome_count: u32, rho_ppm: u32) -> u32 {
    let independent = 1_000_000 - rho_ppm.min(1_000_000);
    (1_000_000 - independent / outcome_count.max(2)).clamp(50_000, 1_000_000)
}
