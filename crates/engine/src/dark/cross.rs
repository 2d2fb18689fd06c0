//! Who trades how much in a cross (protocol P16.2): one price, the largest volume, the long side pro rata.

/// An order whose limit admits the midpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    pub id: u64,
    pub buys: bool,
    pub lots: i64,
    /// Least lots, at most `lots`; 0 = any.
    pub least: i64,
    /// What it is given.
    pub given: i64,
}

/// One round: shares out the largest volume among the wishes, which stand in the order of their arrival. The short side
/// is filled; of the long side each gets its part by size, floored, and what that leaves goes to the first. Then the
/// smallest whose least is not met leaves, of equal ones the last; whether none does.
pub fn round(wishes: &mut Vec<Wish>) -> bool {
    let sum =
        |buys: bool| -> i64 { wishes.iter().filter(|wish| wish.buys == buys).map(|wish| wish.lots).sum() };
    let (bought, sold) = (sum(true), sum(false));
    let volume = bought.min(sold);
    let buyers_long = bought > sold;
    let long = bought.max(sold);
    let mut left = volume;
    for wish in wishes.iter_mut() {
        wish.given = match wish.buys == buyers_long || bought == sold {
            true if long > 0 => (wish.lots as u128 * volume as u128 / long as u128) as i64,
            _ => wish.lots.min(volume),
        };
        if wish.buys == buyers_long {
            left -= wish.given;
        }
    }
    for wish in wishes.iter_mut().filter(|wish| wish.buys == buyers_long && bought != sold) {
        let more = left.min(wish.lots - wish.given);
        wish.given += more;
        left -= more;
    }
    let unmet = wishes.iter().enumerate().filter(|(_, wish)| wish.given < wish.least);
    match unmet.min_by_key(|(_, wish)| (wish.lots, std::cmp::Reverse(wish.id))).map(|(place, _)| place) {
        Some(place) => {
            wishes.remove(place);
            false
        }
        None => true,
    }
}

/// Fills of an allocation: (buyer, seller, lots), buyers and sellers in the order of their arrival. At most one fewer than
/// orders that trade.
pub fn fills(wishes: &[Wish]) -> Vec<(u64, u64, i64)> {
    let mut sellers = wishes.iter().filter(|wish| !wish.buys && wish.given > 0).copied();
    let mut seller = sellers.next();
    let mut found = Vec::new();
    for buyer in wishes.iter().filter(|wish| wish.buys) {
        let mut wanted = buyer.given;
        while wanted > 0 {
            let Some(mut present) = seller else { return found };
            let lots = wanted.min(present.given);
            found.push((buyer.id, present.id, lots));
            wanted -= lots;
            present.given -= lots;
            seller = if present.given > 0 { Some(present) } else { sellers.next() };
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wish(id: u64, buys: bool, lots: i64, least: i64) -> Wish {
        Wish { id, buys, lots, least, given: 0 }
    }

    fn allocated(mut wishes: Vec<Wish>) -> (Vec<Wish>, u32) {
        let mut rounds = 1;
        while !round(&mut wishes) {
            rounds += 1;
        }
        (wishes, rounds)
    }

    fn given(wishes: &[Wish]) -> Vec<(u64, i64)> {
        wishes.iter().map(|wish| (wish.id, wish.given)).collect()
    }

    #[test]
    fn p16_2_the_long_side_is_filled_by_size_and_the_first_gets_what_flooring_leaves() {
        let wishes = vec![wish(1, true, 10, 0), wish(2, true, 20, 0), wish(3, false, 10, 0)];
        // 10·10/30 = 3 and 10·20/30 = 6; the lot that is left is the first one's.
        assert_eq!(given(&allocated(wishes).0), [(1, 4), (2, 6), (3, 10)]);
    }

    #[test]
    fn p16_2_the_smallest_whose_least_is_not_met_leaves_and_the_rest_is_shared_out_again() {
        let wishes = vec![wish(1, true, 10, 5), wish(2, true, 20, 8), wish(3, false, 10, 0)];
        let (wishes, rounds) = allocated(wishes);
        assert_eq!((given(&wishes), rounds), (vec![(2, 10), (3, 10)], 2));
        // A seller that cannot have its least leaves too, and with it the cross.
        let (wishes, _) = allocated(vec![wish(1, true, 10, 0), wish(2, false, 30, 20)]);
        assert_eq!(given(&wishes), [(1, 0)]);
    }

    proptest! {
        #[test]
        fn volume_is_maximal_shares_fit_and_fills_add_up(
            rows in prop::collection::vec((any::<bool>(), 1..1_i64 << 40, 0..3_u8), 0..64),
        ) {
            let wishes: Vec<Wish> = rows
                .iter()
                .enumerate()
                .map(|(at, &(buys, lots, part))| wish(at as u64 + 1, buys, lots, lots / 2 * i64::from(part) / 2))
                .collect();
            let (wishes, rounds) = allocated(wishes.clone());
            prop_assert!(rounds as usize <= rows.len() + 1);
            let sum = |buys: bool| wishes.iter().filter(move |one| one.buys == buys);
            let wanted = |buys| sum(buys).map(|one| one.lots).sum::<i64>();
            let got = |buys| sum(buys).map(|one| one.given).sum::<i64>();
            prop_assert_eq!(got(true), got(false));
            prop_assert_eq!(got(true), wanted(true).min(wanted(false)));
            prop_assert!(wishes.iter().all(|one| one.given <= one.lots && one.given >= one.least));
            let pairs = fills(&wishes);
            prop_assert!(pairs.is_empty() || pairs.len() < wishes.len());
            for one in &wishes {
                let lots: i64 = pairs
                    .iter()
                    .filter(|pair| one.id == if one.buys { pair.0 } else { pair.1 })
                    .map(|pair| pair.2)
                    .sum();
                prop_assert_eq!(lots, one.given);
            }
        }

        /// Of two orders of one side the larger one never gets less, but for the lots that flooring leaves.
        #[test]
        fn size_decides_on_the_long_side(first in 1..1_000_i64, second in 1..1_000_i64, sold in 1..1_000_i64) {
            let (wishes, _) =
                allocated(vec![wish(1, true, first, 0), wish(2, true, second, 0), wish(3, false, sold, 0)]);
            let [one, two] = [wishes[0].given, wishes[1].given];
            prop_assert!(first > second || one <= two + 1);
            prop_assert!(second > first || two <= one + 1);
        }
    }
}
