//! What governance has set of the fees, where a fill finds it. Derived from governance, no state of its own.

use super::{Incentives, Profile, DEFAULT_REBATE_PCT, MAX_REWARD_PCT};
use crate::governance::parameters::Parameter;
use crate::governance::Governance;
use crate::wire::error::Reject;

/// Commands per second that count as a whole load of the shard, unless governance says otherwise (P8.3).
pub const DEFAULT_CAPACITY: i64 = 50_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub rebate_pct: u32,
    pub profile: Profile,
    /// Commands per second.
    pub capacity: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { rebate_pct: DEFAULT_REBATE_PCT, profile: Profile::Standard, capacity: DEFAULT_CAPACITY }
    }
}

impl Settings {
    pub fn of(governance: &Governance) -> Self {
        Settings {
            rebate_pct: governance.value(Parameter::MakerRebatePct) as u32,
            profile: match governance.value(Parameter::PostEmission) {
                0 => Profile::Standard,
                _ => Profile::PostEmission,
            },
            capacity: governance.value(Parameter::ShardCapacity),
        }
    }

    /// The invariant of P8.7 with a parameter at a new value. Referrals do not exist; the volume reward counts with
    /// the most that it may ever be.
    ///
    /// # Errors
    /// `PARAMETER_OUT_OF_BOUNDS` with the bound and the per cent that break it.
    pub fn check_incentives(&self, parameter: Parameter, value: i64) -> Result<(), Reject> {
        let rebate_pct = match parameter {
            Parameter::MakerRebatePct => u32::try_from(value).unwrap_or(u32::MAX),
            _ => self.rebate_pct,
        };
        Incentives { rebate_pct, referral_pct: 0, reward_pct: MAX_REWARD_PCT }.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::error::Code;

    #[test]
    fn settings_that_nobody_has_set_are_those_of_the_table_of_parameters() {
        assert_eq!(Settings::of(&Governance::default()), Settings::default());
    }

    #[test]
    fn p8_7_no_value_within_its_bounds_breaks_the_invariant_and_one_beyond_them_is_out_of_bounds() {
        let settings = Settings::default();
        let row = Parameter::MakerRebatePct.definition();
        for value in row.low..=row.high {
            assert_eq!(settings.check_incentives(Parameter::MakerRebatePct, value), Ok(()));
        }
        for value in [row.high + 1, i64::MAX, -1] {
            let refused = settings.check_incentives(Parameter::MakerRebatePct, value).expect_err("too much");
            assert_eq!((refused.code, refused.bound), (Code::PARAMETER_OUT_OF_BOUNDS, 50));
        }
        let broken = Settings { rebate_pct: 51, ..settings };
        assert!(broken.check_incentives(Parameter::ShardCapacity, 1_000).is_err(), "whatever is set");
    }
}
