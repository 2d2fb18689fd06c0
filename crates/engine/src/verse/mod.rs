//! Verses: a forest of market groups (protocol P15.8). For display, bundling and risk buckets; independence of markets
//! is never inferred from it.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{Reader, Writer};
use crate::limits::{MAX_VERSES, MAX_VERSE_CHILDREN, MAX_VERSE_DEPTH};
use crate::market::{self, decode_pause, encode_pause, level, Market, Pause};
use crate::state::{due, Due, VERSE_PAUSE};
use crate::wire::error::{reject, Code, Reject};

/// "No verse".
pub const NONE: u32 = u32::MAX;

/// One group.
#[derive(Clone, Copy, Debug)]
pub struct Verse {
    /// ASCII, zero padded.
    pub slug: [u8; 64],
    /// [`NONE`] = a root.
    pub parent: u32,
    /// Verses directly below.
    pub children: u8,
    /// Its own halt; those above it hold for it as well.
    pub halt: Option<Pause>,
    /// Markets in it and below, and how many of these are settled: derived.
    pub markets: u32,
    pub settled: u32,
}

/// What a verse is (P15.8).
pub mod status {
    pub const ACTIVE: u8 = 0;
    pub const HALTED: u8 = 1;
    pub const RESOLVED: u8 = 2;
    pub const NAMES: [&str; 3] = ["ACTIVE", "HALTED", "RESOLVED"];
}

impl Verse {
    fn new(slug: [u8; 64], parent: u32) -> Self {
        Verse { slug, parent, children: 0, halt: None, markets: 0, settled: 0 }
    }
}

/// All verses and which market belongs to which.
#[derive(Clone, Debug, Default)]
pub struct Verses {
    list: Vec<Verse>,
    of_market: BTreeMap<u32, u32>,
}

impl Verses {
    pub fn get(&self, verse: u32) -> Option<&Verse> {
        self.list.get(verse as usize)
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The verse of a market, [`NONE`] without one.
    pub fn of_market(&self, market: u32) -> u32 {
        self.of_market.get(&market).copied().unwrap_or(NONE)
    }

    /// The verse, if it exists.
    ///
    /// # Errors
    /// `VERSE_NOT_FOUND`.
    pub fn find(&self, verse: u32) -> Result<&Verse, Reject> {
        match self.get(verse) {
            Some(entry) => Ok(entry),
            None => reject(Code::VERSE_NOT_FOUND, self.list.len() as i64, i64::from(verse)),
        }
    }

    /// Verses from this one up to its root, itself included; 0 for [`NONE`].
    pub fn depth(&self, verse: u32) -> u8 {
        self.upwards(verse).count() as u8
    }

    /// Where the verses of a market begin; None without one.
    pub fn root_of_market(&self, market: u32) -> Option<u32> {
        self.upwards(self.of_market(market)).last()
    }

    /// Whether a market is in a verse or in one below it.
    pub fn holds_market(&self, verse: u32, market: u32) -> bool {
        self.upwards(self.of_market(market)).any(|above| above == verse)
    }

    fn upwards(&self, verse: u32) -> impl Iterator<Item = u32> + '_ {
        let known = |verse: u32| (verse != NONE).then_some(verse);
        std::iter::successors(known(verse), move |&verse| known(self.list[verse as usize].parent))
    }

    /// Whether a verse is another one or lies below it.
    pub fn is_below(&self, verse: u32, above: u32) -> bool {
        self.upwards(verse).any(|found| found == above)
    }

    /// Halts of a verse and of those above it, the nearest first.
    pub fn halts_over(&self, verse: u32) -> impl Iterator<Item = Pause> + '_ {
        self.upwards(verse).filter_map(|verse| self.list[verse as usize].halt)
    }

    /// Whether it has markets and all of them are settled.
    pub fn is_resolved(&self, verse: u32) -> bool {
        self.get(verse).is_some_and(|entry| entry.markets > 0 && entry.markets == entry.settled)
    }

    /// As in [`status`].
    pub fn status(&self, verse: u32) -> u8 {
        match (self.is_resolved(verse), self.halts_over(verse).next()) {
            (true, _) => status::RESOLVED,
            (false, Some(_)) => status::HALTED,
            (false, None) => status::ACTIVE,
        }
    }

    /// Sets or ends a verse's own halt; the one before.
    pub fn set_halt(&mut self, verse: u32, halt: Option<Pause>) -> Option<Pause> {
        std::mem::replace(&mut self.list[verse as usize].halt, halt)
    }

    /// The first market from this one on that is in a verse, and its verse.
    pub fn next_link(&self, from: u32) -> Option<(u32, u32)> {
        self.of_market.range(from..).next().map(|(&market, &verse)| (market, verse))
    }

    /// A market has settled: the verses that are resolved by it and their markets, from its own one upwards.
    pub fn settle(&mut self, market: u32) -> Vec<(u32, u32)> {
        let above: Vec<u32> = self.upwards(self.of_market(market)).collect();
        let mut resolved = Vec::new();
        for verse in above {
            let entry = &mut self.list[verse as usize];
            entry.settled += 1;
            if entry.settled == entry.markets {
                resolved.push((verse, entry.markets));
            }
        }
        resolved
    }

    /// Counts markets and settled ones in or out of a verse and those above it.
    fn tally(&mut self, verse: u32, (markets, settled): (i64, i64)) {
        let mut at = verse;
        while at != NONE {
            let entry = &mut self.list[at as usize];
            entry.markets = (i64::from(entry.markets) + markets) as u32;
            entry.settled = (i64::from(entry.settled) + settled) as u32;
            at = entry.parent;
        }
    }

    /// Ends of halts that come by themselves.
    pub fn due_items(&self, items: &mut BTreeSet<Due>) {
        for (verse, entry) in self.list.iter().enumerate() {
            if let Some(end_ns) = entry.halt.and_then(|halt| halt.ends_ns()) {
                items.insert((end_ns, due::PAUSE_END, VERSE_PAUSE | verse as u64));
            }
        }
    }

    /// Verses from this one down to the deepest below it, itself included.
    fn height(&self, verse: u32) -> u8 {
        let below = (0..self.list.len() as u32)
            .filter_map(|other| self.upwards(other).position(|above| above == verse))
            .max();
        below.unwrap_or(0) as u8 + 1
    }

    /// Whether a new verse may be made.
    ///
    /// # Errors
    /// `PARAMETER_OUT_OF_BOUNDS` for a slug that is none, `ALREADY_EXISTS`, `CAPACITY_EXCEEDED`, and those of a place
    /// below the parent: `VERSE_NOT_FOUND`, `VERSE_DEPTH`, `VERSE_FULL`.
    pub fn check_new(&self, slug: &[u8; 64], parent: u32) -> Result<(), Reject> {
        let length = slug.iter().position(|&byte| byte == 0).unwrap_or(slug.len());
        let (name, padding) = slug.split_at(length);
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
        if name.is_empty() || !name.iter().all(plain) || padding.iter().any(|&byte| byte != 0) {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, slug.len() as i64, length as i64);
        }
        if let Some(known) = self.list.iter().position(|verse| verse.slug == *slug) {
            return reject(Code::ALREADY_EXISTS, 0, known as i64);
        }
        if self.list.len() >= MAX_VERSES {
            return reject(Code::CAPACITY_EXCEEDED, MAX_VERSES as i64, self.list.len() as i64);
        }
        self.check_place(parent, 1)
    }

    /// Whether a tree of this height fits below the parent.
    fn check_place(&self, parent: u32, height: u8) -> Result<(), Reject> {
        if parent == NONE {
            return Ok(());
        }
        let children = self.find(parent)?.children;
        let depth = self.depth(parent) + height;
        if depth > MAX_VERSE_DEPTH {
            return reject(Code::VERSE_DEPTH, i64::from(MAX_VERSE_DEPTH), i64::from(depth));
        }
        if children >= MAX_VERSE_CHILDREN {
            return reject(Code::VERSE_FULL, i64::from(MAX_VERSE_CHILDREN), i64::from(children));
        }
        Ok(())
    }

    /// Whether a verse with all that is below it may go under another parent.
    ///
    /// # Errors
    /// `VERSE_NOT_FOUND`, `VERSE_CYCLE` when the parent lies below the verse, `VERSE_DEPTH`, `VERSE_FULL`.
    pub fn check_move(&self, verse: u32, parent: u32) -> Result<(), Reject> {
        self.find(verse)?;
        if parent != NONE {
            self.find(parent)?;
        }
        if self.upwards(parent).any(|above| above == verse) {
            return reject(Code::VERSE_CYCLE, i64::from(verse), i64::from(parent));
        }
        self.check_place(parent, self.height(verse))
    }

    /// Makes a verse that was checked; returns its handle.
    pub fn add(&mut self, slug: [u8; 64], parent: u32) -> u32 {
        self.list.push(Verse::new(slug, parent));
        self.count(parent, 1);
        (self.list.len() - 1) as u32
    }

    /// Moves a verse as checked; returns its parent before.
    pub fn reparent(&mut self, verse: u32, parent: u32) -> u32 {
        let previous = std::mem::replace(&mut self.list[verse as usize].parent, parent);
        let Verse { markets, settled, .. } = self.list[verse as usize];
        let (markets, settled) = (i64::from(markets), i64::from(settled));
        self.tally(previous, (-markets, -settled));
        self.tally(parent, (markets, settled));
        self.count(previous, -1);
        self.count(parent, 1);
        previous
    }

    fn count(&mut self, parent: u32, change: i8) {
        if let Some(verse) = self.list.get_mut(parent as usize) {
            verse.children = verse.children.wrapping_add_signed(change);
        }
    }

    /// Puts a market, settled or not, into a verse ([`NONE`]: into none); returns the one it was in.
    pub fn link(&mut self, market: u32, verse: u32, settled: bool) -> u32 {
        let previous = match verse {
            NONE => self.of_market.remove(&market),
            _ => self.of_market.insert(market, verse),
        };
        let previous = previous.unwrap_or(NONE);
        let settled = i64::from(settled);
        self.tally(previous, (-1, -settled));
        self.tally(verse, (1, settled));
        previous
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.list.len());
        for verse in &self.list {
            writer.raw(&verse.slug);
            writer.u32(verse.parent);
            encode_pause(verse.halt.as_ref(), writer);
        }
        writer.len(self.of_market.len());
        for (&market, &verse) in &self.of_market {
            writer.u32(market);
            writer.u32(verse);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut verses = Verses::default();
        for _ in 0..reader.len(69)? {
            let (slug, parent) = (reader.array()?, reader.u32()?);
            verses.list.push(Verse { halt: decode_pause(reader)?, ..Verse::new(slug, parent) });
        }
        for _ in 0..reader.len(8)? {
            let market = reader.u32()?;
            verses.of_market.insert(market, reader.u32()?);
        }
        for place in 0..verses.list.len() {
            verses.count(verses.list[place].parent, 1);
        }
        Ok(verses)
    }

    /// Checks a state that was read against its markets, and counts these.
    ///
    /// # Errors
    /// A sentence that names the defect.
    pub fn attach(&mut self, markets: &[Market]) -> Result<(), String> {
        self.check(markets.len())?;
        let links: Vec<(u32, u32)> = self.of_market.iter().map(|(&market, &verse)| (market, verse)).collect();
        for (market, verse) in links {
            let settled = markets[market as usize].status >= market::status::SETTLED;
            self.tally(verse, (1, i64::from(settled)));
        }
        Ok(())
    }

    fn check(&self, markets: usize) -> Result<(), String> {
        let sound =
            |halt: &Pause| (level::PARTIAL..=level::FULL).contains(&halt.level) && halt.categories == 0;
        if let Some(verse) = self.list.iter().position(|verse| !verse.halt.iter().all(sound)) {
            return Err(format!("the halt of verse {verse} is none"));
        }
        let count = self.list.len();
        let known = |verse: u32| verse == NONE || (verse as usize) < count;
        let sound = count <= MAX_VERSES
            && self.list.iter().all(|verse| known(verse.parent) && verse.children <= MAX_VERSE_CHILDREN)
            && self.of_market.iter().all(|(&market, &verse)| (market as usize) < markets && known(verse));
        if !sound {
            return Err(format!("{count} verses name what does not exist"));
        }
        // One step more than the deepest tree shows a cycle too.
        let deep = |verse: u32| self.upwards(verse).take(usize::from(MAX_VERSE_DEPTH) + 1).count();
        match (0..count as u32).find(|&verse| deep(verse) > usize::from(MAX_VERSE_DEPTH)) {
            Some(verse) => Err(format!("verse {verse} lies too deep")),
            None => Ok(()),
        }
    }
}

/// A slug as the record holds it; None when it is longer than 64 bytes.
pub fn slug(name: &str) -> Option<[u8; 64]> {
    let mut bytes = [0; 64];
    bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
    Some(bytes)
}
