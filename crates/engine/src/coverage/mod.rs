//! Coverage: what the vault holds against what could be lost (protocol P9.1 to P9.7). Money in micro-units of the
//! settlement asset, ratios in ppm. Everything here is a total function: no input divides by zero or overflows.

pub mod aggregate;
pub mod exposure;
pub mod leverage;
pub mod shortfall;
pub mod stage;
pub mod status;
pub mod stress;
pub mod worst;

pub use aggregate::Aggregate;
pub use exposure::Exposure;

const PPM: i128 = 1_000_000;

/// `NAV / S` (P9.3): ppm, or nothing at risk. Ordered; [`Coverage::INFINITE`] is the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Coverage(u64);

impl Coverage {
    /// Nothing is at risk.
    pub const INFINITE: Coverage = Coverage(u64::MAX);
    pub const ZERO: Coverage = Coverage(0);
    /// A ratio above 10^6 is reported as 10^6.
    pub const LARGEST_PPM: u64 = 1_000_000_000_000;

    /// A finite coverage.
    pub const fn from_ppm(ppm: u64) -> Self {
        Coverage(if ppm > Self::LARGEST_PPM { Self::LARGEST_PPM } else { ppm })
    }

    /// `floor(10^6 · NAV / S)`; infinite without anything at risk, 0 without value.
    ///
    /// ```
    /// # use tradewind_engine::coverage::Coverage;
    /// assert_eq!(Coverage::of(3, 2).ppm(), Some(1_500_000));
    /// assert_eq!((Coverage::of(0, 0), Coverage::of(-1, 1)), (Coverage::INFINITE, Coverage::ZERO));
    /// ```
    pub fn of(nav: i64, at_risk: i128) -> Self {
        if at_risk <= 0 {
            return Coverage::INFINITE;
        }
        let ppm = i128::from(nav.max(0)) * PPM / at_risk;
        Coverage::from_ppm(u64::try_from(ppm).unwrap_or(u64::MAX))
    }

    /// `None`: infinite.
    pub const fn ppm(self) -> Option<u64> {
        match self {
            Coverage::INFINITE => None,
            Coverage(ppm) => Some(ppm),
        }
    }

    pub const fn is_finite(self) -> bool {
        self.0 != u64::MAX
    }

    /// As it stands in events and reads: ppm, or the largest i64 for infinite.
    pub const fn to_wire(self) -> i64 {
        match self.ppm() {
            Some(ppm) => ppm as i64,
            None => i64::MAX,
        }
    }
}
