//! A place in the order of auto-deleveraging (protocol P5.8).

/// A position's place among those of its side of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdlRank {
    /// Account handle and sub-account.
    pub account: u32,
    pub sub: u8,
    /// 1 = the first to give way, among `of`.
    pub rank: u32,
    pub of: u32,
}

impl AdlRank {
    /// The fifth that the position is in: 1 gives way first, 5 last.
    pub fn quintile(&self) -> u8 {
        (u64::from(self.rank - 1) * 5 / u64::from(self.of.max(1)) + 1) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quintiles_split_the_order_into_fifths_from_the_first_on() {
        let of = |rank, of| AdlRank { account: 0, sub: 0, rank, of }.quintile();
        assert_eq!([of(1, 1), of(1, 2), of(2, 2)], [1, 1, 3]);
        assert_eq!([of(1, 5), of(2, 5), of(3, 5), of(4, 5), of(5, 5)], [1, 2, 3, 4, 5]);
        assert_eq!([of(20, 100), of(21, 100), of(100, 100)], [1, 2, 5]);
        assert_eq!(of(u32::MAX, u32::MAX), 5);
    }
}
