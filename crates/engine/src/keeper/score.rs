//! The score of a keeper (protocol P13.2), in integers: counts in 1e-9, scores in ppm.

/// One success or fault, in the unit of the stored counts.
pub const ONE_E9: u64 = 1_000_000_000;
/// Below this score a keeper is suspended.
pub const SUSPEND_BELOW_PPM: u32 = 800_000;
/// From this score on a suspended keeper comes back.
pub const REINSTATE_FROM_PPM: u32 = 850_000;
/// Below this score the keeper's health is worth an alert (P13.5).
pub const ALERT_BELOW_PPM: u32 = 900_000;

/// Weight of the past against the newest action.
const DECAY: (u64, u64) = (99, 100);
/// Successes and trials that a fresh keeper starts with: score 0.9.
const PRIOR_SUCCESSES: u64 = 18;
const PRIOR_TRIALS: u64 = 20;

/// Decayed counts of successes and faults, in 1e-9; neither exceeds 100 (the sum of 0.99^i).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    pub successes_e9: u64,
    pub faults_e9: u64,
}

impl Score {
    /// `(18 + s) / (20 + s + f)` in ppm, rounded to the nearest.
    pub fn ppm(&self) -> u32 {
        let above = u128::from(PRIOR_SUCCESSES * ONE_E9 + self.successes_e9);
        let below = u128::from(PRIOR_TRIALS * ONE_E9 + self.successes_e9 + self.faults_e9);
        ((above * 1_000_000 + below / 2) / below) as u32
    }

    /// One more action: `s ← 0.99·s + [ok]`, `f ← 0.99·f + [fault]`.
    #[must_use]
    pub fn after(self, ok: bool) -> Score {
        let decayed = |count: u64| count * DECAY.0 / DECAY.1;
        Score {
            successes_e9: decayed(self.successes_e9) + if ok { ONE_E9 } else { 0 },
            faults_e9: decayed(self.faults_e9) + if ok { 0 } else { ONE_E9 },
        }
    }

    /// A day of suspension: the faults count half. A suspended keeper cannot act, so that nothing else could ever
    /// bring its score back.
    #[must_use]
    pub fn after_a_day_suspended(self) -> Score {
        Score { faults_e9: self.faults_e9 / 2, ..self }
    }

    /// What an appeal restores: the most faults with which the score is 0.85.
    #[must_use]
    pub fn pardoned(self) -> Score {
        let above = u128::from(PRIOR_SUCCESSES * ONE_E9 + self.successes_e9);
        let trials = above * 1_000_000 / u128::from(REINSTATE_FROM_PPM);
        let fixed = u128::from(PRIOR_TRIALS * ONE_E9 + self.successes_e9);
        let most = trials.saturating_sub(fixed) as u64;
        Score { faults_e9: self.faults_e9.min(most), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p13_2_golden_from_fresh() {
        let fresh = Score::default();
        assert_eq!(fresh.ppm(), 900_000);
        let one = fresh.after(false);
        assert_eq!(one.ppm(), 857_143);
        let two = one.after(false);
        assert_eq!(two.ppm(), 818_554);
        let three = two.after(false);
        assert_eq!(three.ppm(), 783_627);
        assert!(two.ppm() >= SUSPEND_BELOW_PPM && three.ppm() < SUSPEND_BELOW_PPM);
    }

    #[test]
    fn counts_stay_below_their_limit_and_a_spotless_keeper_nears_one() {
        let mut score = Score::default();
        (0..10_000).for_each(|_| score = score.after(true));
        assert!(score.successes_e9 <= 100 * ONE_E9 && score.ppm() > 983_000);
        (0..10_000).for_each(|_| score = score.after(false));
        assert!(score.faults_e9 <= 100 * ONE_E9 && score.ppm() < 151_000);
    }

    #[test]
    fn two_days_bring_back_a_keeper_with_three_faults_and_an_appeal_at_once() {
        let three = Score::default().after(false).after(false).after(false);
        let one_day = three.after_a_day_suspended();
        assert!(one_day.ppm() < REINSTATE_FROM_PPM);
        assert!(one_day.after_a_day_suspended().ppm() >= REINSTATE_FROM_PPM);
        assert_eq!(three.pardoned().ppm(), REINSTATE_FROM_PPM);
        assert_eq!(Score::default().pardoned(), Score::default());
    }
}
