//! Manipulation detection: robust statistics over trades and orders (protocol P12).
//!
//! It alerts, opens cases and slows accounts. It never halts a market, cancels an order or moves money.

pub mod links;
pub mod participants;
pub mod rules;
pub mod statistics;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::codec::{Reader, Writer};
use crate::limits::{MAX_ACCOUNTS, MAX_CASES, MAX_MARKETS, SECOND_NS};
use crate::state::{due, Due};
use links::Links;
use watch::{Fill, Watch};

/// What a person has to look at, until that person closes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    pub market: u32,
    /// u32::MAX = the market itself.
    pub account: u32,
    pub opened_ns: i64,
    pub signals: u16,
    pub score: u8,
}

/// Bit of a due item's id: the end of an account's slow time instead of a judgement.
const SLOW_END: u64 = 1 << 32;

/// Initial margin of a slowed account, in hundredths of the usual (P12.2).
pub const SLOWED_MARGIN_E2: u32 = 150;

/// Business state of this concern.
#[derive(Clone, Debug, Default)]
pub struct Detector {
    pub links: Links,
    /// By market handle, as far as the last market that ever traded.
    markets: Vec<Option<Box<Watch>>>,
    /// Markets that wait for their judgement, and how many of them belong to the present round.
    touched: VecDeque<u32>,
    round: u32,
    /// Moment of the present or next round; 0 = none.
    round_ns: i64,
    /// By number.
    cases: BTreeMap<u64, Case>,
    /// Open cases by market and account; derived.
    case_of: BTreeMap<(u32, u32), u64>,
    pub last_case: u64,
    /// Accounts that are slowed, and until when.
    slowed: BTreeMap<u32, i64>,
}

/// What a due item asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Judge(u32),
    FreeAccount(u32),
}

impl Detector {
    /// A fill of a market's book.
    #[inline(always)]
    pub fn fill(&mut self, due: &mut BTreeSet<Due>, market: u32, mut fill: Fill, now_ns: i64) {
        fill.linked = self.links.linked(fill.taker, fill.maker);
        let index = market as usize;
        if self.markets.get(index).is_none_or(Option::is_none) {
            self.open(index, now_ns);
        }
        let watch = self.markets[index].as_mut().expect("opened above");
        watch.fill(&fill, now_ns);
        if !watch.touched {
            watch.touched = true;
            self.touch(due, market, now_ns);
        }
    }

    #[cold]
    fn open(&mut self, index: usize, now_ns: i64) {
        if index >= self.markets.len() {
            self.markets.resize(index + 1, None);
        }
        self.markets[index] = Some(Box::new(Watch::new(now_ns)));
    }

    #[cold]
    fn touch(&mut self, due: &mut BTreeSet<Due>, market: u32, now_ns: i64) {
        self.touched.push_back(market);
        if self.round_ns == 0 {
            self.schedule(due, next_second_ns(now_ns));
        }
    }

    fn schedule(&mut self, due: &mut BTreeSet<Due>, at_ns: i64) {
        self.round_ns = at_ns;
        due.insert((at_ns, due::DETECTION, 0));
    }

    /// The watch of a market that has traded.
    #[inline]
    pub fn watch(&mut self, market: u32) -> Option<&mut Watch> {
        self.markets.get_mut(market as usize)?.as_deref_mut()
    }

    /// What a due item that was just taken off the queue asks for; the next one of the round is put in its place.
    pub fn asked(&mut self, due: &mut BTreeSet<Due>, id: u64, now_ns: i64) -> Asked {
        if id & SLOW_END != 0 {
            let account = (id & !SLOW_END) as u32;
            self.slowed.remove(&account);
            return Asked::FreeAccount(account);
        }
        if self.round == 0 {
            self.round = self.touched.len() as u32;
        }
        let market = self.touched.pop_front().expect("a round has markets");
        self.round -= 1;
        let watch = self.markets[market as usize].as_mut().expect("a touched market is watched");
        watch.touched = watch.is_in_progress(now_ns);
        if watch.touched {
            self.touched.push_back(market);
        }
        match (self.round, self.touched.is_empty()) {
            (0, true) => self.round_ns = 0,
            (0, false) => self.schedule(due, next_second_ns(now_ns)),
            _ => self.schedule(due, self.round_ns),
        }
        Asked::Judge(market)
    }

    /// The open case of a market or account.
    pub fn open_case(&self, market: u32, account: u32) -> Option<u64> {
        self.case_of.get(&(market, account)).copied()
    }

    /// A case that nobody has closed yet.
    pub fn case(&self, number: u64) -> Option<&Case> {
        self.cases.get(&number)
    }

    /// Opens a case; None when there is no room.
    pub fn add_case(&mut self, case: Case) -> Option<u64> {
        if self.cases.len() >= MAX_CASES {
            return None;
        }
        self.last_case += 1;
        self.case_of.insert((case.market, case.account), self.last_case);
        self.cases.insert(self.last_case, case);
        Some(self.last_case)
    }

    /// Ends a case.
    pub fn remove_case(&mut self, number: u64) {
        if let Some(case) = self.cases.remove(&number) {
            self.case_of.remove(&(case.market, case.account));
        }
    }

    /// Slows an account until this moment.
    pub fn slow(&mut self, due: &mut BTreeSet<Due>, account: u32, until_ns: i64) {
        self.free(due, account);
        self.slowed.insert(account, until_ns);
        due.insert((until_ns, due::DETECTION, SLOW_END | u64::from(account)));
    }

    /// Frees an account; false when it was not slowed.
    pub fn free(&mut self, due: &mut BTreeSet<Due>, account: u32) -> bool {
        let Some(until_ns) = self.slowed.remove(&account) else {
            return false;
        };
        due.remove(&(until_ns, due::DETECTION, SLOW_END | u64::from(account)));
        true
    }

    /// Whether an account may at present only add post-only and reduce-only orders, and earns no rewards (P12.2).
    #[inline]
    pub fn is_slowed(&self, account: u32, now_ns: i64) -> bool {
        !self.slowed.is_empty() && self.slowed.get(&account).is_some_and(|&until_ns| now_ns < until_ns)
    }

    /// Initial margin of an account in hundredths of the usual: 100, or 150 while it is slowed.
    #[inline]
    pub fn margin_factor(&self, account: u32, now_ns: i64) -> u32 {
        if self.is_slowed(account, now_ns) {
            SLOWED_MARGIN_E2
        } else {
            100
        }
    }

    pub fn encode(&self, writer: &mut Writer) {
        self.links.encode(writer);
        let watched =
            || self.markets.iter().enumerate().filter_map(|(index, watch)| Some((index, watch.as_ref()?)));
        writer.len(watched().count());
        for (index, watch) in watched() {
            writer.u32(index as u32);
            watch.encode(writer);
        }
        writer.len(self.touched.len());
        self.touched.iter().for_each(|&market| writer.u32(market));
        writer.u32(self.round);
        writer.i64(self.round_ns);
        writer.u64(self.last_case);
        writer.len(self.cases.len());
        for (&number, case) in &self.cases {
            writer.u64(number);
            writer.u32(case.market);
            writer.u32(case.account);
            writer.i64(case.opened_ns);
            writer.u16(case.signals);
            writer.u8(case.score);
        }
        writer.len(self.slowed.len());
        for (&account, &until_ns) in &self.slowed {
            writer.u32(account);
            writer.i64(until_ns);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut detector = Detector { links: Links::decode(reader)?, ..Detector::default() };
        for _ in 0..reader.len(400)? {
            let index = reader.u32()? as usize;
            if index >= MAX_MARKETS || index < detector.markets.len() {
                return Err(format!("market {index} is watched out of order"));
            }
            detector.markets.resize(index + 1, None);
            detector.markets[index] = Some(Box::new(Watch::decode(reader)?));
        }
        for _ in 0..reader.len(4)? {
            let market = reader.u32()?;
            if detector.watch(market).is_none_or(|watch| !watch.touched) {
                return Err(format!("market {market} is judged without a watch"));
            }
            detector.touched.push_back(market);
        }
        detector.round = reader.u32()?;
        detector.round_ns = reader.i64()?;
        if detector.round as usize > detector.touched.len()
            || (detector.round_ns == 0) != detector.touched.is_empty()
        {
            return Err(format!("a round of {} markets at {} ns", detector.round, detector.round_ns));
        }
        detector.last_case = reader.u64()?;
        for _ in 0..reader.len(27)? {
            let number = reader.u64()?;
            let case = Case {
                market: reader.u32()?,
                account: reader.u32()?,
                opened_ns: reader.i64()?,
                signals: reader.u16()?,
                score: reader.u8()?,
            };
            detector.case_of.insert((case.market, case.account), number);
            detector.cases.insert(number, case);
        }
        for _ in 0..reader.len(12)? {
            detector.slowed.insert(reader.u32()?, reader.i64()?);
        }
        if detector.cases.len() > MAX_CASES || detector.slowed.len() > MAX_ACCOUNTS {
            return Err(format!("{} cases, {} slowed", detector.cases.len(), detector.slowed.len()));
        }
        Ok(detector)
    }

    /// What of this state is due some day; the queue is rebuilt from it.
    pub fn due_items(&self, due: &mut BTreeSet<Due>) {
        if self.round_ns != 0 {
            due.insert((self.round_ns, due::DETECTION, 0));
        }
        for (&account, &until_ns) in &self.slowed {
            due.insert((until_ns, due::DETECTION, SLOW_END | u64::from(account)));
        }
    }
}

/// The end of the second of a moment.
fn next_second_ns(now_ns: i64) -> i64 {
    now_ns.div_euclid(SECOND_NS).saturating_add(1).saturating_mul(SECOND_NS)
}
