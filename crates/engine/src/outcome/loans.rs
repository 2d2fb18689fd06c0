//! Loans of the vault that buy claims (protocol P4.6.1, P4.6.5).
//!
//! A leveraged position is a *pledge*: a sub-account numbered 128 or more of its owner that no command can name. It holds
//! the claims, the money of a purchase or sale that is going on, and on the line `loan` what it owes. So the orders of a
//! position are ordinary orders, and what is pledged cannot be sold, merged, transferred or redeemed by anybody.
//!
//! Of one market and outcome all positions have the same mark and the same ramp: the one with the most debt per lot is
//! the first below its maintenance margin, whatever the mark and the time. Positions are kept in that order, so that a
//! look costs what it finds and not what exists.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::codec::{Reader, Writer};
use crate::limits::{HOUR_NS, MAX_LOANS, MAX_OUTCOMES};
use crate::math::MAX_BALANCE;
use crate::outcome::credits::FIRST_CREDIT;
use crate::outcome::marks::Marks;
use crate::state::{due, Due};

/// Sub-accounts from here on are pledges: of loans, and from 240 on verse credits.
pub const FIRST_PLEDGE: u8 = 128;
/// Id of the hour's due item; others are markets.
pub const HOUR_ITEM: u64 = u64::MAX;

/// Owner's account and number of the pledge.
pub type Pledge = (u32, u8);

/// A leveraged position, or what insurance took over of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loan {
    /// Sub-account that its owner opened it from, and gets back what is left.
    pub sub: u8,
    pub outcome: u8,
    /// It holds every outcome but this one; only of more than two (P4.6.1).
    pub short: bool,
    /// Insurance owns it: no debt is left, and what it pays is insurance's.
    pub taken: bool,
    pub market: u32,
    /// Micro-quote, as on the line `loan`.
    pub debt: i64,
    /// Micro-shares as counted last.
    pub shares: i64,
    /// Interest is paid up to this index.
    pub index_e18: i128,
    /// Before this moment no further sale begins.
    pub wait_ns: i64,
    /// Since when a liquidation goes on; 0 = none does.
    pub since_ns: i64,
}

/// What a position holds of a market: an outcome, or, with this bit, all but it.
pub const SHORT: u8 = 0x80;

impl Loan {
    /// What it holds.
    pub const fn place(&self) -> u8 {
        if self.short {
            self.outcome | SHORT
        } else {
            self.outcome
        }
    }

    /// Debt per micro-share: larger is nearer to liquidation. Debt without claims comes first.
    pub fn weight(&self) -> u128 {
        match self.shares {
            0 => u128::MAX,
            shares => ((self.debt as u128) << 62) / shares as u128,
        }
    }

    /// By which of two positions is liquidated first, the last of them the worst: more debt per share, then the larger
    /// one, then the lower account (P5.1).
    fn rank(&self, (account, pledge): Pledge) -> Rank {
        (self.weight(), self.shares, u32::MAX - account, u8::MAX - pledge)
    }

    /// What its debt exceeds the largest payment of its claims by.
    fn excess(&self) -> i64 {
        (self.debt - self.shares).max(0)
    }
}

type Rank = (u128, i64, u32, u8);

/// Whether a place of a market is paid when an outcome wins.
pub const fn pays(place: u8, winner: u8) -> bool {
    if place & SHORT == 0 {
        place == winner
    } else {
        place & !SHORT != winner
    }
}

/// The positions that hold one outcome of one market.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leg {
    /// Σ debts, and Σ of what debts exceed claims by.
    pub debt: i64,
    pub excess: i64,
    /// Derived: positions, the worst last.
    ranked: BTreeSet<Rank>,
}

impl Leg {
    /// Positions, the worst first.
    pub fn worst_first(&self) -> impl Iterator<Item = Pledge> + '_ {
        self.ranked.iter().rev().map(|rank| (u32::MAX - rank.2, u8::MAX - rank.3))
    }

    pub fn len(&self) -> usize {
        self.ranked.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ranked.is_empty()
    }
}

/// All loans.
#[derive(Clone, Debug, Default)]
pub struct Loans {
    list: BTreeMap<Pledge, Loan>,
    legs: BTreeMap<(u32, u8), Leg>,
    /// Of every market with positions that was looked at.
    marks: BTreeMap<u32, Marks>,
    /// Moment of each market's next look, by market.
    looks: BTreeMap<u32, i64>,
    /// Pledges whose money is to be shared out once their order is over, by market.
    unsettled: BTreeSet<(u32, Pledge)>,
    /// Derived: positions of every market that are in a group of two or more (P4.6.6).
    grouped: BTreeMap<u32, BTreeSet<Pledge>>,
    /// Sum of hourly rates in 1e-18.
    pub index_e18: i128,
    /// The hour up to which the index goes, and its next step; 0 before the first loan.
    pub hour_ns: i64,
    /// Interest of this hour is charged up to this pledge; None when it is charged.
    pub charged: Option<Pledge>,
}

impl Loans {
    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn get(&self, pledge: Pledge) -> Option<&Loan> {
        self.list.get(&pledge)
    }

    /// All loans, ascending by account and pledge.
    pub fn iter(&self) -> impl Iterator<Item = (Pledge, &Loan)> {
        self.list.iter().map(|(&pledge, loan)| (pledge, loan))
    }

    /// The loans of an account, those of its positions that insurance took over among them; at most 128.
    pub fn of_account(&self, account: u32) -> impl Iterator<Item = (u8, &Loan)> {
        self.list.range((account, 0)..=(account, u8::MAX)).map(|(&(_, pledge), loan)| (pledge, loan))
    }

    /// The position of a sub-account in a place of a market: see [`Loan::place`].
    pub fn find(&self, account: u32, sub: u8, market: u32, place: u8) -> Option<Pledge> {
        let same = |loan: &Loan| (loan.sub, loan.market, loan.place()) == (sub, market, place) && !loan.taken;
        self.of_account(account).find(|(_, loan)| same(loan)).map(|(pledge, _)| (account, pledge))
    }

    /// The positions of a sub-account in a market, ascending (P4.6.6); at most 50.
    pub fn group(&self, account: u32, sub: u8, market: u32) -> Vec<(Pledge, Loan)> {
        let own = |loan: &Loan| (loan.sub, loan.market) == (sub, market) && !loan.taken;
        let members = self.of_account(account).filter(|(_, loan)| own(loan));
        members.map(|(pledge, loan)| ((account, pledge), *loan)).collect()
    }

    pub fn is_grouped(&self, market: u32, pledge: Pledge) -> bool {
        self.grouped.get(&market).is_some_and(|members| members.contains(&pledge))
    }

    /// Positions of a market that are in groups.
    pub fn grouped_count(&self, market: u32) -> usize {
        self.grouped.get(&market).map_or(0, BTreeSet::len)
    }

    /// Positions of a market that would be in groups with one more of a sub-account.
    pub fn grouped_with(&self, account: u32, sub: u8, market: u32) -> usize {
        let more = match self.group(account, sub, market).len() {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        self.grouped_count(market) + more
    }

    /// Counts the group that a position came to or went from.
    fn regroup(&mut self, pledge: Pledge, Loan { sub, market, .. }: Loan) {
        let members = self.group(pledge.0, sub, market);
        let grouped = self.grouped.entry(market).or_default();
        grouped.remove(&pledge);
        for &(member, _) in &members {
            if members.len() > 1 {
                grouped.insert(member);
            } else {
                grouped.remove(&member);
            }
        }
        if grouped.is_empty() {
            self.grouped.remove(&market);
        }
    }

    /// The lowest pledge of an account that is in no use.
    pub fn vacant(&self, account: u32) -> Option<u8> {
        (FIRST_PLEDGE..FIRST_CREDIT).find(|&pledge| !self.list.contains_key(&(account, pledge)))
    }

    pub fn leg(&self, market: u32, place: u8) -> Option<&Leg> {
        self.legs.get(&(market, place))
    }

    /// What positions of a market hold, ascending: outcomes, then all but one. See [`Loan::place`].
    pub fn outcomes(&self, market: u32) -> impl Iterator<Item = (u8, &Leg)> {
        self.legs.range((market, 0)..=(market, u8::MAX)).map(|(&(_, outcome), leg)| (outcome, leg))
    }

    /// The marks of a market with positions, as they were looked at last.
    pub fn marks(&self, market: u32) -> Option<&Marks> {
        self.marks.get(&market)
    }

    /// Keeps marks; those of a market without positions go with its last one.
    pub fn set_marks(&mut self, market: u32, marks: Marks) {
        self.marks.insert(market, marks);
    }

    /// Adds, changes or (None) removes a loan and counts it.
    pub fn put(&mut self, pledge: Pledge, loan: Option<Loan>) {
        let old = match loan {
            Some(loan) => self.list.insert(pledge, loan),
            None => self.list.remove(&pledge),
        };
        if let Some(old) = old {
            self.count(pledge, &old, false);
        }
        if let Some(loan) = loan {
            self.count(pledge, &loan, true);
        }
        let group = |loan: Loan| (loan.sub, loan.market, loan.taken);
        if old.map(group) != loan.map(group) {
            old.into_iter().chain(loan).for_each(|changed| self.regroup(pledge, changed));
        }
        // Not before: a market keeps its marks while its only position changes.
        if let Some(Loan { market, .. }) = old {
            let place = (market, old.unwrap_or_default().place());
            if self.legs.get(&place).is_some_and(Leg::is_empty) {
                self.legs.remove(&place);
                if self.outcomes(market).next().is_none() {
                    self.marks.remove(&market);
                }
            }
        }
    }

    fn count(&mut self, pledge: Pledge, loan: &Loan, adds: bool) {
        let place = (loan.market, loan.place());
        let leg = self.legs.entry(place).or_default();
        if adds {
            leg.debt += loan.debt;
            leg.excess += loan.excess();
            leg.ranked.insert(loan.rank(pledge));
            return;
        }
        leg.debt -= loan.debt;
        leg.excess -= loan.excess();
        leg.ranked.remove(&loan.rank(pledge));
    }

    /// `max_k Σ max(0, debt − value_k)` of a market with so many outcomes (P9.1). What its pledges have in money is not
    /// counted: it is there only while an order runs.
    pub fn worst_case(&self, market: u32, outcome_count: u8) -> i64 {
        let legs = || self.outcomes(market);
        let all: i64 = legs().map(|(_, leg)| leg.debt).sum();
        // Of what wins only the excess is lost, of everything else the debt.
        let spared = |winner| {
            legs().filter(|leg| pays(leg.0, winner)).map(|(_, leg)| leg.debt - leg.excess).sum::<i64>()
        };
        all - (0..outcome_count).map(spared).min().unwrap_or(0).min(all)
    }

    /// What an account's loans can cost the vault at worst, with `more` debt on an outcome: in each market over the
    /// outcomes that may win, markets added (P4.6.5).
    pub fn exposure(
        &self,
        account: u32,
        (market, place, more): (u32, u8, i64),
        outcome_count: impl Fn(u32) -> u8,
    ) -> i64 {
        let mut markets: BTreeMap<u32, Vec<(u8, i64)>> = BTreeMap::new();
        markets.insert(market, vec![(place, more)]);
        for (_, loan) in self.of_account(account) {
            markets.entry(loan.market).or_default().push((loan.place(), loan.debt));
        }
        let lost = |market: u32, legs: &[(u8, i64)]| {
            let if_wins =
                |winner| legs.iter().filter(|leg| !pays(leg.0, winner)).map(|leg| leg.1).sum::<i64>();
            (0..outcome_count(market)).map(if_wins).max().unwrap_or(0)
        };
        markets.iter().map(|(&market, legs)| lost(market, legs)).fold(0, i64::saturating_add)
    }

    /// Interest is charged in ascending order; the loans that come next, behind the last one that was.
    pub fn next_charged(&self, after: Pledge) -> Option<(Pledge, Loan)> {
        let rest = (Bound::Excluded(after), Bound::Unbounded);
        self.list.range(rest).next().map(|(&pledge, loan)| (pledge, *loan))
    }

    /// Notes that a pledge has an order whose outcome is still to be shared out.
    pub fn unsettle(&mut self, market: u32, pledge: Pledge) {
        self.unsettled.insert((market, pledge));
    }

    pub fn is_unsettled(&self, market: u32, pledge: Pledge) -> bool {
        self.unsettled.contains(&(market, pledge))
    }

    /// A pledge of the market whose order is over.
    pub fn next_unsettled(&self, market: u32) -> Option<Pledge> {
        let all = (market, (0, 0))..=(market, (u32::MAX, u8::MAX));
        self.unsettled.range(all).next().map(|item| item.1)
    }

    pub fn settle(&mut self, market: u32, pledge: Pledge) {
        self.unsettled.remove(&(market, pledge));
    }

    /// Moves a market's next look, or ends its looks.
    pub fn look_at(&mut self, due: &mut BTreeSet<Due>, market: u32, next_ns: Option<i64>) {
        if let Some(old_ns) = self.looks.remove(&market) {
            due.remove(&(old_ns, due::LOAN, u64::from(market)));
        }
        if let Some(next_ns) = next_ns {
            self.looks.insert(market, next_ns);
            due.insert((next_ns, due::LOAN, u64::from(market)));
        }
    }

    /// The next step of the index.
    pub fn next_hour_ns(&self) -> i64 {
        self.hour_ns.saturating_add(HOUR_NS)
    }

    /// What of this state is due some day; the queue is rebuilt from it.
    pub fn due_items(&self, due: &mut BTreeSet<Due>) {
        due.extend(self.looks.iter().map(|(&market, &at_ns)| (at_ns, due::LOAN, u64::from(market))));
        if self.hour_ns != 0 {
            let at_ns = if self.charged.is_some() { self.hour_ns } else { self.next_hour_ns() };
            due.insert((at_ns, due::LOAN, HOUR_ITEM));
        }
    }

    pub fn encode(&self, writer: &mut Writer) {
        write_wide(writer, self.index_e18);
        writer.i64(self.hour_ns);
        writer.u8(u8::from(self.charged.is_some()));
        let (account, pledge) = self.charged.unwrap_or_default();
        writer.u32(account);
        writer.u8(pledge);
        writer.len(self.list.len());
        for (&(account, pledge), loan) in &self.list {
            writer.u32(account);
            writer.u32(loan.market);
            writer.raw(&[pledge, loan.sub, loan.place(), u8::from(loan.taken)]);
            [loan.debt, loan.shares, loan.wait_ns, loan.since_ns]
                .into_iter()
                .for_each(|value| writer.i64(value));
            write_wide(writer, loan.index_e18);
        }
        writer.len(self.marks.len());
        for (&market, marks) in &self.marks {
            writer.u32(market);
            marks.encode(writer);
        }
        writer.len(self.looks.len());
        for (&market, &at_ns) in &self.looks {
            writer.u32(market);
            writer.i64(at_ns);
        }
        writer.len(self.unsettled.len());
        for &(market, (account, pledge)) in &self.unsettled {
            writer.u32(market);
            writer.u32(account);
            writer.u8(pledge);
        }
    }

    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut loans = Loans { index_e18: read_wide(reader)?, hour_ns: reader.i64()?, ..Loans::default() };
        let charging = reader.u8()? == 1;
        let charged = (reader.u32()?, reader.u8()?);
        loans.charged = charging.then_some(charged);
        for _ in 0..reader.len(60)? {
            let (account, market) = (reader.u32()?, reader.u32()?);
            let [pledge, sub, place, taken] = reader.array()?;
            let (outcome, short) = (place & !SHORT, place & SHORT != 0);
            let (debt, shares, wait_ns, since_ns) =
                (reader.i64()?, reader.i64()?, reader.i64()?, reader.i64()?);
            let taken = taken == 1;
            let index_e18 = read_wide(reader)?;
            let loan =
                Loan { sub, outcome, short, taken, market, debt, shares, index_e18, wait_ns, since_ns };
            let in_domain = |amount: i64| (0..=MAX_BALANCE).contains(&amount);
            let sound = (FIRST_PLEDGE..FIRST_CREDIT).contains(&pledge)
                && sub < FIRST_PLEDGE
                && outcome < MAX_OUTCOMES;
            if !sound || !in_domain(debt) || !in_domain(shares) || loans.list.len() >= MAX_LOANS {
                return Err(format!("loan {loan:?}"));
            }
            if loans.list.last_key_value().is_some_and(|(last, _)| *last >= (account, pledge)) {
                return Err(format!("loan {loan:?} is out of order"));
            }
            loans.put((account, pledge), Some(loan));
        }
        for _ in 0..reader.len(30)? {
            let (market, marks) = (reader.u32()?, Marks::decode(reader)?);
            if loans.outcomes(market).next().is_none() {
                return Err(format!("marks of market {market} without a loan"));
            }
            loans.marks.insert(market, marks);
        }
        for _ in 0..reader.len(12)? {
            let (market, at_ns) = (reader.u32()?, reader.i64()?);
            loans.looks.insert(market, at_ns);
        }
        for _ in 0..reader.len(9)? {
            let (market, pledge) = (reader.u32()?, (reader.u32()?, reader.u8()?));
            if !loans.list.contains_key(&pledge) {
                return Err(format!("pledge {pledge:?} of no loan"));
            }
            loans.unsettled.insert((market, pledge));
        }
        Ok(loans)
    }
}

fn write_wide(writer: &mut Writer, value: i128) {
    writer.u64(value as u64);
    writer.i64((value >> 64) as i64);
}

fn read_wide(reader: &mut Reader<'_>) -> Result<i128, String> {
    let low = reader.u64()?;
    Ok(i128::from(reader.i64()?) << 64 | i128::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loan(market: u32, outcome: u8, debt: i64, shares: i64) -> Loan {
        Loan { market, outcome, debt, shares, ..Loan::default() }
    }

    fn some() -> Loans {
        let mut loans = Loans::default();
        loans.put((1, 128), Some(loan(4, 0, 60, 100)));
        loans.put((1, 129), Some(loan(4, 1, 30, 100)));
        loans.put((2, 128), Some(loan(4, 0, 70, 100)));
        loans.put((3, 128), Some(loan(9, 2, 50, 40)));
        loans
    }

    #[test]
    fn the_worst_is_who_owes_most_per_claim_and_of_equals_the_larger_then_the_first() {
        let mut loans = some();
        loans.put((5, 130), Some(loan(4, 0, 140, 200)));
        loans.put((4, 130), Some(loan(4, 0, 140, 200)));
        let order: Vec<Pledge> = loans.leg(4, 0).unwrap().worst_first().collect();
        assert_eq!(order, [(4, 130), (5, 130), (2, 128), (1, 128)]);
        loans.put((1, 128), Some(loan(4, 0, 99, 100)));
        assert_eq!(loans.leg(4, 0).unwrap().worst_first().next(), Some((1, 128)));
        assert_eq!(loans.leg(4, 0).unwrap().debt, 99 + 70 + 280);
        // Marks stay while the only position of a market changes, and go with it.
        loans.set_marks(9, Marks::new(3, 5));
        loans.put((3, 128), Some(loan(9, 2, 10, 40)));
        assert_eq!(loans.marks(9), Some(&Marks::new(3, 5)));
        loans.put((3, 128), None);
        assert_eq!(loans.marks(9), None);
    }

    #[test]
    fn p9_1_the_worst_outcome_is_the_one_that_leaves_most_debts_without_value() {
        let mut loans = some();
        // Outcome 1 wins: the 130 on outcome 0 are lost; with a third outcome everything may be.
        assert_eq!(loans.worst_case(4, 2), 130);
        assert_eq!(loans.worst_case(4, 3), 160);
        // Whichever wins, 10 of the 50 are more than the claims can pay.
        assert_eq!(loans.worst_case(9, 3), 50);
        loans.put((2, 128), None);
        loans.put((1, 128), None);
        assert_eq!(loans.worst_case(4, 2), 30);
        loans.put((1, 129), None);
        assert_eq!((loans.worst_case(4, 2), loans.leg(4, 1)), (0, None));
    }

    #[test]
    fn p9_1_a_short_loses_when_its_outcome_wins_and_is_paid_when_another_does() {
        let mut loans = Loans::default();
        let short = |outcome, debt, shares| Loan { short: true, ..loan(4, outcome, debt, shares) };
        loans.put((1, 128), Some(short(0, 60, 100)));
        loans.put((1, 129), Some(loan(4, 1, 30, 100)));
        // Outcome 0 takes both, outcome 1 none, outcome 2 the long.
        assert_eq!((loans.worst_case(4, 3), loans.exposure(1, (4, 0, 0), |_| 3)), (90, 90));
        loans.put((2, 128), Some(short(1, 80, 70)));
        // With 10 that the claims of the third cannot pay: outcome 0 takes 60 + 30 + 10, outcome 1 takes 80.
        assert_eq!(loans.worst_case(4, 3), 100);
        loans.put((1, 129), None);
        assert_eq!((loans.worst_case(4, 3), loans.exposure(1, (4, 1 | SHORT, 70), |_| 3)), (80, 70));
        assert_eq!((loans.find(1, 0, 4, SHORT), loans.find(1, 0, 4, 0)), (Some((1, 128)), None));
        let mut writer = Writer::default();
        loans.encode(&mut writer);
        let read = Loans::decode(&mut Reader::new(&writer.bytes)).expect("sound");
        assert_eq!((read.legs, read.list), (loans.legs, loans.list));
    }

    #[test]
    fn p4_6_5_an_account_is_exposed_to_the_worst_outcome_of_each_of_its_markets() {
        let loans = some();
        let two = |_| 2;
        assert_eq!(loans.exposure(1, (4, 0, 0), two), 60);
        assert_eq!(loans.exposure(1, (4, 1, 50), two), 80);
        assert_eq!(loans.exposure(1, (7, 0, 5), two), 65);
        assert_eq!(loans.exposure(1, (4, 0, 0), |_| 3), 90);
        assert_eq!(loans.exposure(8, (7, 0, 5), two), 5);
    }

    #[test]
    fn a_position_is_grouped_while_its_sub_account_has_another_one_in_the_market() {
        let mut loans = Loans::default();
        let counted = |loans: &Loans| {
            let grouped = loans.iter().filter(|(pledge, loan)| {
                let group = loans.group(pledge.0, loan.sub, loan.market).len();
                let counts = !loan.taken && group > 1;
                assert_eq!(loans.is_grouped(loan.market, *pledge), counts, "{pledge:?}");
                counts
            });
            grouped.count()
        };
        // Every pledge comes, goes, is taken over or changes its debt, in an order without a pattern.
        for step in 0..2_000_u32 {
            let chosen = step.wrapping_mul(2_654_435_761) >> 16;
            let pledge = (chosen % 3, 128 + (chosen / 3 % 5) as u8);
            let place = loan(4 + u32::from(pledge.1 % 2), pledge.1 % 3, i64::from(chosen % 90), 100);
            let opened = Loan { sub: pledge.1 / 2 % 2, ..place };
            match (chosen / 15 % 4, loans.get(pledge).copied()) {
                (0, Some(_)) => loans.put(pledge, None),
                (1, Some(held)) => loans.put(pledge, Some(Loan { taken: true, debt: 0, ..held })),
                (_, Some(held)) => loans.put(pledge, Some(Loan { debt: opened.debt, ..held })),
                (_, None) => {
                    let expected = loans.grouped_with(pledge.0, opened.sub, opened.market);
                    loans.put(pledge, Some(opened));
                    assert_eq!(loans.grouped_count(opened.market), expected);
                }
            }
            assert_eq!(loans.grouped_count(4) + loans.grouped_count(5), counted(&loans));
        }
        let mut writer = Writer::default();
        loans.encode(&mut writer);
        let read = Loans::decode(&mut Reader::new(&writer.bytes)).expect("sound");
        assert_eq!(read.grouped, loans.grouped);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut loans = some();
        let mut due = BTreeSet::new();
        loans.look_at(&mut due, 4, Some(17));
        loans.set_marks(4, Marks::new(1, 12));
        loans.unsettle(4, (1, 128));
        (loans.index_e18, loans.hour_ns, loans.charged) = (-1_i128 << 70, 3_600, Some((1, 129)));
        let mut writer = Writer::default();
        loans.encode(&mut writer);
        let read = Loans::decode(&mut Reader::new(&writer.bytes)).expect("sound");
        let mut again = Writer::default();
        read.encode(&mut again);
        assert_eq!(writer.bytes, again.bytes);
        assert_eq!((&read.legs, &read.marks), (&loans.legs, &loans.marks));
        let mut rebuilt = BTreeSet::new();
        read.due_items(&mut rebuilt);
        assert_eq!(rebuilt, BTreeSet::from([(17, due::LOAN, 4), (3_600, due::LOAN, HOUR_ITEM)]));
        assert_eq!(read.find(1, 0, 4, 1), Some((1, 129)));
        assert_eq!(read.vacant(1), Some(130));
    }
}
