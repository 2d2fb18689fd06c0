//! Verses from events alone (I26): a forest, halts by one person that two others end, and that no market below a halted
//! verse takes risk (I25).

use std::collections::BTreeMap;

use super::fault::{ensure, fault, Check};
use super::Auditor;
use crate::roles::{EMERGENCY, RESUMER};
use crate::wire::event::{
    Event, EventKind, ResumeBody, VerseBody, VerseHaltBody, VerseLinkBody, VerseResolvedBody, VerseResumeBody,
};

const NONE: u32 = u32::MAX;
const DEPTH: usize = 6;
const ACTIVE: u8 = 1;
const SETTLED: u8 = 6;
const PARTIAL: u8 = 1;
const FULL: u8 = 2;
const LONGEST_NS: i64 = 72 * 3_600 * 1_000_000_000;
const APPROVAL_NS: i64 = 600 * 1_000_000_000;

/// A halt: its pause, level, end, who set it, and the first approval of its end with its last moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halt {
    pub id: u32,
    pub level: u8,
    pub until_ns: i64,
    pub by: [u8; 32],
    pub pending: Option<([u8; 32], i64)>,
}

/// Parent and halt of every verse, and the verse of every market that has one.
#[derive(Clone, Debug, Default)]
pub struct Verses {
    list: Vec<(u32, Option<Halt>)>,
    of_market: BTreeMap<u32, u32>,
    /// A halt whose markets are being paused.
    halting: Option<u32>,
}

impl Verses {
    /// Takes over a verse of a restored state.
    pub fn load(&mut self, parent: u32, halt: Option<Halt>) {
        self.list.push((parent, halt));
    }

    pub fn load_link(&mut self, market: u32, verse: u32) {
        self.of_market.insert(market, verse);
    }

    fn find(&mut self, verse: u32) -> Check<&mut (u32, Option<Halt>)> {
        let found = self.list.get_mut(verse as usize);
        found.ok_or_else(|| fault("I26", format_args!("verse {verse} is unknown")))
    }

    /// From a verse upwards; never longer than a sound tree is deep, and one more.
    fn upwards(&self, verse: u32) -> Vec<u32> {
        let next = |verse: u32| (verse as usize) < self.list.len();
        let chain = std::iter::successors(Some(verse).filter(|&verse| next(verse)), |&verse| {
            Some(self.list[verse as usize].0).filter(|&parent| next(parent))
        });
        chain.take(DEPTH + 1).collect()
    }

    /// Level of the strictest halt above a market that time has not ended; 0 = none.
    fn level_over(&self, verse: u32, now_ns: i64) -> u8 {
        let halts = self.upwards(verse).into_iter().filter_map(|verse| self.list[verse as usize].1);
        let live = halts.filter(|halt| halt.level > PARTIAL || halt.until_ns > now_ns);
        live.map(|halt| halt.level).max().unwrap_or(0)
    }
}

impl Auditor {
    pub(super) fn check_verse(&mut self, kind: EventKind, event: &Event) -> Check {
        match kind {
            EventKind::VerseCreated => self.verse_created(event),
            EventKind::VerseMoved | EventKind::MarketLinked => self.verse_linked(kind, event),
            EventKind::VerseHalted => self.verse_halted(event),
            EventKind::VerseResolved => self.verse_resolved(event),
            _ => self.verse_resumed(kind, event),
        }
    }

    fn verse_created(&mut self, event: &Event) -> Check {
        let body: VerseBody = event.body_as();
        let verses = &mut self.verses;
        let known = body.verse as usize == verses.list.len();
        let placed = body.parent == NONE || (body.parent as usize) < verses.list.len();
        ensure!(known && placed, "I26", "verse {} below {} is made", body.verse, body.parent);
        verses.list.push((body.parent, None));
        ensure!(verses.upwards(body.verse).len() <= DEPTH, "I26", "verse {} lies too deep", body.verse);
        Ok(())
    }

    /// A verse or a market in another place; nothing moves out of a halted one or into one.
    fn verse_linked(&mut self, kind: EventKind, event: &Event) -> Check {
        let body: VerseLinkBody = event.body_as();
        let verses = &mut self.verses;
        let (from, to) = match kind {
            EventKind::VerseMoved => (body.verse, body.parent),
            _ => (body.previous, body.verse),
        };
        for place in [from, to] {
            let halted =
                verses.upwards(place).into_iter().any(|verse| verses.list[verse as usize].1.is_some());
            ensure!(!halted, "I25", "something moves out of or into verse {place}, which is halted");
        }
        if kind == EventKind::VerseMoved {
            let entry = verses.find(body.verse)?;
            ensure!(entry.0 == body.previous, "I26", "verse {} was elsewhere", body.verse);
            entry.0 = body.parent;
            ensure!(verses.upwards(body.verse).len() <= DEPTH, "I26", "verse {} lies too deep", body.verse);
            return Ok(());
        }
        let previous = match body.verse {
            NONE => verses.of_market.remove(&event.market),
            verse => {
                verses.find(verse)?;
                verses.of_market.insert(event.market, verse)
            }
        };
        ensure!(
            previous.unwrap_or(NONE) == body.previous,
            "I26",
            "market {} was in {previous:?}",
            event.market
        );
        Ok(())
    }

    fn verse_halted(&mut self, event: &Event) -> Check {
        let body: VerseHaltBody = event.body_as();
        let (by, now_ns) = (self.principal, self.time_ns);
        ensure!(self.records.holds(&by, EMERGENCY), "I25", "verse {} is halted by anybody", body.verse);
        let entry = self.verses.find(body.verse)?;
        let present = entry.1.map_or(0, |halt| halt.level);
        ensure!(
            (PARTIAL..=FULL).contains(&body.level)
                && body.level > present
                && body.until_ns > now_ns
                && body.until_ns - now_ns <= LONGEST_NS,
            "I25",
            "verse {} is halted at level {} until {}",
            body.verse,
            body.level,
            body.until_ns
        );
        entry.1 =
            Some(Halt { id: body.pause_id, level: body.level, until_ns: body.until_ns, by, pending: None });
        self.verses.halting = Some(body.verse);
        Ok(())
    }

    /// Two persons beside the one who halted, or the end of a PARTIAL halt's time.
    fn verse_resumed(&mut self, kind: EventKind, event: &Event) -> Check {
        let body: VerseResumeBody = event.body_as();
        let (now_ns, by_role) = (self.time_ns, self.records.holds(&body.principal, RESUMER));
        let entry = self.verses.find(body.verse)?;
        let Some(halt) = entry.1.filter(|halt| halt.id == body.pause_id) else {
            return Err(fault("I25", format_args!("verse {} is not halted", body.verse)));
        };
        let by_time = kind == EventKind::VerseResumed && body.principal == [0; 32];
        let first = halt.pending.filter(|&(_, until_ns)| now_ns <= until_ns).map(|(by, _)| by);
        let allowed = match kind {
            _ if by_time => halt.level == PARTIAL && now_ns >= halt.until_ns,
            EventKind::VerseResumePending => first.is_none() && body.until_ns == now_ns + APPROVAL_NS,
            _ => first.is_some_and(|first| first != body.principal),
        };
        let other = by_time || (by_role && body.principal != halt.by);
        ensure!(allowed && other, "I25", "the halt of verse {} ends against its rule", body.verse);
        entry.1 = match kind {
            EventKind::VerseResumed => None,
            _ => Some(Halt { pending: Some((body.principal, body.until_ns)), ..halt }),
        };
        Ok(())
    }

    fn verse_resolved(&mut self, event: &Event) -> Check {
        let body: VerseResolvedBody = event.body_as();
        let below = self.markets_below(body.verse);
        let settled = below.iter().all(|&market| self.markets[market as usize].status >= SETTLED);
        ensure!(
            settled && !below.is_empty() && below.len() == body.markets as usize,
            "I26",
            "verse {} is resolved with {} markets below it",
            body.verse,
            below.len()
        );
        Ok(())
    }

    fn markets_below(&self, verse: u32) -> Vec<u32> {
        let links = self.verses.of_market.iter();
        let below = links.filter(|(_, &of)| self.verses.upwards(of).contains(&verse));
        let known = below.map(|(&market, _)| market).filter(|&market| (market as usize) < self.markets.len());
        known.collect()
    }

    /// A market opens, or its pause ends: no verse above it may be halted.
    pub(super) fn check_verse_above(&self, event: &Event) -> Check {
        let Some(&verse) = self.verses.of_market.get(&event.market) else { return Ok(()) };
        let level = self.verses.level_over(verse, self.time_ns);
        let ResumeBody { pause_id, .. } = event.body_as();
        ensure!(level == 0, "I25", "market {} goes on ({pause_id}) below a halted verse", event.market);
        Ok(())
    }

    /// Once a halt has done its work, every open market below it is paused as strictly.
    pub(super) fn check_verse_end(&mut self) -> Check {
        if self.pending.is_some() {
            return Ok(());
        }
        let Some(verse) = self.verses.halting.take() else { return Ok(()) };
        let level = self.verses.list[verse as usize].1.map_or(0, |halt| halt.level);
        for market in self.markets_below(verse) {
            let paused = self.halts.scope(market).pause.map_or(0, |pause| pause.0);
            let open = self.markets[market as usize].status;
            ensure!(
                open != ACTIVE && (open != ACTIVE + 1 || paused >= level),
                "I25",
                "market {market} of status {open} lies below a halted verse"
            );
        }
        Ok(())
    }
}
