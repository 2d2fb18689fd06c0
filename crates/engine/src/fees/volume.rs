//! Volume of 30 days by account (protocol P8.4): a ring of whole UTC days, moved on when it is looked at, so that no
//! midnight has work to do. Micro-units of the settlement asset.

use crate::codec::{Reader, Writer};
use crate::limits::{DAY_NS, MAX_ACCOUNTS, MAX_VOLUME_ACCOUNTS, VOLUME_RECLAIM_LOOKS};

/// Whole days that count; the present one does with the next midnight.
pub const DAYS: i64 = 30;
/// "No record".
const NONE: u32 = u32::MAX;

/// The day of a moment, counted from 1970.
#[inline]
pub fn day_of(now_ns: i64) -> i64 {
    now_ns.div_euclid(DAY_NS)
}

/// One account's days. Day d stands in place d mod 30.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    account: u32,
    /// The present day of `today`.
    day: i64,
    today: i64,
    /// Of the 30 days before `day`.
    total: i64,
    days: [i64; DAYS as usize],
}

impl Row {
    fn new(account: u32, day: i64) -> Self {
        Row { account, day, today: 0, total: 0, days: [0; DAYS as usize] }
    }

    /// Moves on to `day`; an earlier one changes nothing.
    #[cold]
    fn roll(&mut self, day: i64) {
        if day - self.day > DAYS {
            *self = Row::new(self.account, day);
        }
        while self.day < day {
            let place = self.day.rem_euclid(DAYS) as usize;
            self.total -= std::mem::replace(&mut self.days[place], self.today);
            self.total = self.total.saturating_add(std::mem::take(&mut self.today));
            self.day += 1;
        }
    }

    /// Whether nothing of it counts any more, on `day` or later.
    fn is_idle(&self, day: i64) -> bool {
        day - self.day > DAYS
    }
}

/// A record before an account trades, and the one that it would take over.
pub(crate) struct Kept {
    account: u32,
    row: Option<Row>,
    rows: usize,
    cursor: u32,
    reclaimed: Option<(usize, Row)>,
}

/// Volumes of the accounts that trade where the elastic fee is charged.
#[derive(Clone, Debug, Default)]
pub struct Volumes {
    rows: Vec<Row>,
    /// Place in `rows` by account handle, as far as the highest that has one; derived.
    places: Vec<u32>,
    /// Where the search for an idle row goes on once the table is full.
    cursor: u32,
}

impl Volumes {
    #[inline]
    fn place(&self, account: u32) -> Option<usize> {
        let place = *self.places.get(account as usize)?;
        (place != NONE).then_some(place as usize)
    }

    /// What counts for an account's tier at this moment: the 30 whole days before it (P8.4).
    #[inline]
    pub fn of(&self, account: u32, now_ns: i64) -> i64 {
        let Some(place) = self.place(account) else { return 0 };
        let (row, day) = (&self.rows[place], day_of(now_ns));
        if row.day == day {
            return row.total;
        }
        let mut later = *row;
        later.roll(day);
        later.total
    }

    /// What an account has traded since midnight.
    pub fn today(&self, account: u32, now_ns: i64) -> i64 {
        let row = self.place(account).map(|place| &self.rows[place]);
        row.filter(|row| row.day == day_of(now_ns)).map_or(0, |row| row.today)
    }

    /// Adds what an account has traded. In a full table an account without a record has one when another's has
    /// become idle; until then its volume does not count.
    #[inline]
    pub fn add(&mut self, account: u32, amount: i64, now_ns: i64) {
        let day = day_of(now_ns);
        let Some(place) = self.place(account).or_else(|| self.open(account, day)) else { return };
        let row = &mut self.rows[place];
        if row.day != day {
            row.roll(day);
        }
        row.today = row.today.saturating_add(amount);
    }

    #[cold]
    fn open(&mut self, account: u32, day: i64) -> Option<usize> {
        let place = if self.rows.len() < MAX_VOLUME_ACCOUNTS {
            self.rows.push(Row::new(account, day));
            self.rows.len() - 1
        } else {
            let place = self.reclaim(day)?;
            self.places[self.rows[place].account as usize] = NONE;
            self.rows[place] = Row::new(account, day);
            place
        };
        self.note(account, place);
        Some(place)
    }

    /// An idle row within the next few, which the following search looks behind.
    fn reclaim(&mut self, day: i64) -> Option<usize> {
        for _ in 0..VOLUME_RECLAIM_LOOKS {
            let place = self.cursor as usize % self.rows.len();
            self.cursor = (place + 1) as u32;
            if self.rows[place].is_idle(day) {
                return Some(place);
            }
        }
        None
    }

    fn note(&mut self, account: u32, place: usize) {
        if account as usize >= self.places.len() {
            self.places.resize(account as usize + 1, NONE);
        }
        self.places[account as usize] = place as u32;
    }

    /// What adding to an account's volume at this moment may change.
    pub(crate) fn keep(&self, account: u32, now_ns: i64) -> Kept {
        let row = self.place(account).map(|place| self.rows[place]);
        let full = self.rows.len() >= MAX_VOLUME_ACCOUNTS;
        let (cursor, count) = (self.cursor, self.rows.len());
        let next = (0..VOLUME_RECLAIM_LOOKS as usize).map(|look| (cursor as usize + look) % count.max(1));
        let mut idle = next.filter(|&place| full && self.rows[place].is_idle(day_of(now_ns)));
        let reclaimed = if row.is_none() { idle.next().map(|place| (place, self.rows[place])) } else { None };
        Kept { account, row, rows: count, cursor, reclaimed }
    }

    /// Takes back what was added to the account since [`Volumes::keep`]; nobody else has traded meanwhile.
    pub(crate) fn put_back(&mut self, kept: &Kept) {
        self.cursor = kept.cursor;
        let Some(place) = self.place(kept.account) else { return };
        match (kept.row, kept.reclaimed) {
            (Some(row), _) => self.rows[place] = row,
            (None, Some((place, row))) => {
                self.places[kept.account as usize] = NONE;
                self.rows[place] = row;
                self.note(row.account, place);
            }
            (None, None) => {
                self.places[kept.account as usize] = NONE;
                self.rows.truncate(kept.rows);
            }
        }
    }

    /// Records that the table holds.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// (account, day, amount) of every day that may still count, for who continues from a snapshot.
    pub fn all_days(&self) -> impl Iterator<Item = (u32, i64, i64)> + '_ {
        self.rows.iter().flat_map(|row| {
            let past = (row.day - DAYS..row.day)
                .map(|day| (row.account, day, row.days[day.rem_euclid(DAYS) as usize]));
            past.chain([(row.account, row.day, row.today)]).filter(|(_, _, amount)| *amount != 0)
        })
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.u32(self.cursor);
        writer.len(self.rows.len());
        for row in &self.rows {
            writer.u32(row.account);
            writer.i64(row.day);
            writer.i64(row.today);
            row.days.iter().for_each(|&amount| writer.i64(amount));
        }
    }

    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut volumes = Volumes { cursor: reader.u32()?, ..Volumes::default() };
        for _ in 0..reader.len(20 + 8 * DAYS as usize)? {
            let (account, day, today) = (reader.u32()?, reader.i64()?, reader.i64()?);
            let mut row = Row { today, ..Row::new(account, day) };
            for place in &mut row.days {
                *place = reader.i64()?;
                row.total = row.total.saturating_add(*place);
            }
            let taken = volumes.place(account).is_some() || volumes.rows.len() >= MAX_VOLUME_ACCOUNTS;
            let negative = today < 0 || row.days.iter().any(|&amount| amount < 0);
            if taken || negative || account as usize >= MAX_ACCOUNTS {
                return Err(format!("the volume of account {account} is damaged"));
            }
            volumes.rows.push(row);
            volumes.note(account, volumes.rows.len() - 1);
        }
        Ok(volumes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_back_is_what_was_kept_in_an_empty_and_in_a_full_table() {
        let bytes = |volumes: &Volumes| {
            let mut writer = Writer::default();
            volumes.encode(&mut writer);
            writer.bytes
        };
        let mut volumes = Volumes::default();
        let try_it = |volumes: &mut Volumes, account, at| {
            let (before, places) = (bytes(volumes), volumes.places.clone());
            let kept = volumes.keep(account, at);
            volumes.add(account, 9, at);
            volumes.add(account, 4, at);
            assert!(volumes.today(account, at) >= 13 || volumes.len() == MAX_VOLUME_ACCOUNTS);
            volumes.put_back(&kept);
            assert_eq!(bytes(volumes), before);
            let mut known = places;
            known.resize(volumes.places.len(), NONE);
            assert_eq!(volumes.places, known);
        };
        try_it(&mut volumes, 3, day(100));
        volumes.add(3, 1, day(100));
        try_it(&mut volumes, 3, day(102));
        try_it(&mut volumes, 1, day(102));
        for account in 0..MAX_VOLUME_ACCOUNTS as u32 {
            volumes.add(account, 1, day(if account % 3 == 0 { 100 } else { 140 }));
        }
        try_it(&mut volumes, MAX_VOLUME_ACCOUNTS as u32, day(141));
        volumes.add(MAX_VOLUME_ACCOUNTS as u32, 2, day(141));
        try_it(&mut volumes, MAX_VOLUME_ACCOUNTS as u32 + 1, day(141));
        try_it(&mut volumes, MAX_VOLUME_ACCOUNTS as u32 + 1, day(101));
    }

    /// Days of 1970 + n, in ns.
    fn day(number: i64) -> i64 {
        number * DAY_NS
    }

    #[test]
    fn p8_4_a_days_volume_counts_from_its_midnight_for_thirty_days() {
        let mut volumes = Volumes::default();
        volumes.add(7, 5, day(100));
        volumes.add(7, 6, day(101) - 1);
        assert_eq!((volumes.of(7, day(101) - 1), volumes.today(7, day(101) - 1)), (0, 11));
        assert_eq!((volumes.of(7, day(101)), volumes.today(7, day(101))), (11, 0));
        assert_eq!((volumes.of(7, day(131) - 1), volumes.of(7, day(131))), (11, 0));
        volumes.add(7, 1, day(130));
        assert_eq!((volumes.of(7, day(130)), volumes.of(7, day(131))), (11, 1));
        assert_eq!(volumes.of(8, day(130)), 0, "another account");
    }

    #[test]
    fn a_ring_agrees_with_the_sum_over_its_window_whatever_the_pauses() {
        let (mut volumes, mut told) = (Volumes::default(), Vec::new());
        let mut now = 0;
        for step in 0..400_i64 {
            now += match step % 7 {
                0 => 0,
                6 => 33,
                gap => gap,
            };
            volumes.add(1, step + 1, day(now));
            told.push((now, step + 1));
            for look in [now, now + 1, now + 29, now + 30, now + 31, now + 500] {
                let expected: i64 =
                    told.iter().filter(|(at, _)| (look - DAYS..look).contains(at)).map(|(_, sum)| sum).sum();
                assert_eq!(volumes.of(1, day(look)), expected, "step {step} seen on day {look}");
            }
        }
    }

    #[test]
    fn a_full_table_gives_a_record_to_a_new_account_only_when_another_is_idle() {
        let mut volumes = Volumes::default();
        for account in 0..MAX_VOLUME_ACCOUNTS as u32 {
            volumes.add(account, 1, day(1));
        }
        let late = MAX_VOLUME_ACCOUNTS as u32;
        volumes.add(late, 9, day(31));
        assert_eq!(volumes.of(late, day(32)), 0, "all the others still count");
        volumes.add(late, 9, day(32));
        assert_eq!((volumes.of(late, day(33)), volumes.len()), (9, MAX_VOLUME_ACCOUNTS));
    }

    #[test]
    fn volumes_survive_their_encoding_and_a_damaged_one_is_refused() {
        let mut volumes = Volumes::default();
        for step in 0..50 {
            volumes.add(step % 3, i64::from(step) + 1, day(i64::from(step)));
        }
        let encoded = |volumes: &Volumes| {
            let mut writer = Writer::default();
            volumes.encode(&mut writer);
            writer.bytes
        };
        let bytes = encoded(&volumes);
        let again = Volumes::decode(&mut Reader::new(&bytes)).expect("what was written");
        assert_eq!(encoded(&again), bytes);
        assert!((0..3).all(|account| again.of(account, day(60)) == volumes.of(account, day(60))));
        let mut twice = volumes.clone();
        twice.rows.push(twice.rows[0]);
        assert!(Volumes::decode(&mut Reader::new(&encoded(&twice))).is_err());
        let mut negative = volumes.clone();
        negative.rows[0].days[3] = -1;
        assert!(Volumes::decode(&mut Reader::new(&encoded(&negative))).is_err());
    }
}
