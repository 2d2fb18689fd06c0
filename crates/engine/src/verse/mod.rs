//! Verses: a forest of market groups (protocol P15.8). For display, bundling and risk buckets; independence of markets
//! is never inferred from it.

use std::collections::BTreeMap;

use crate::codec::{Reader, Writer};
use crate::limits::{MAX_VERSES, MAX_VERSE_CHILDREN, MAX_VERSE_DEPTH};
use crate::wire::error::{reject, Code, Reject};

/// "No verse".
pub const NONE: u32 = u32::MAX;

/// One group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verse {
    /// ASCII, zero padded.
    pub slug: [u8; 64],
    /// [`NONE`] = a root.
    pub parent: u32,
    /// Verses directly below.
    pub children: u8,
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

    fn upwards(&self, verse: u32) -> impl Iterator<Item = u32> + '_ {
        let known = |verse: u32| (verse != NONE).then_some(verse);
        std::iter::successors(known(verse), move |&verse| known(self.list[verse as usize].parent))
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
        self.list.push(Verse { slug, parent, children: 0 });
        self.count(parent, 1);
        (self.list.len() - 1) as u32
    }

    /// Moves a verse as checked; returns its parent before.
    pub fn reparent(&mut self, verse: u32, parent: u32) -> u32 {
        let previous = std::mem::replace(&mut self.list[verse as usize].parent, parent);
        self.count(previous, -1);
        self.count(parent, 1);
        previous
    }

    fn count(&mut self, parent: u32, change: i8) {
        if let Some(verse) = self.list.get_mut(parent as usize) {
            verse.children = verse.children.wrapping_add_signed(change);
        }
    }

    /// Puts a market into a verse ([`NONE`]: into none); returns the one it was in.
    pub fn link(&mut self, market: u32, verse: u32) -> u32 {
        let previous = match verse {
            NONE => self.of_market.remove(&market),
            _ => self.of_market.insert(market, verse),
        };
        previous.unwrap_or(NONE)
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.len(self.list.len());
        for verse in &self.list {
            writer.raw(&verse.slug);
            writer.u32(verse.parent);
        }
        writer.len(self.of_market.len());
        for (&market, &verse) in &self.of_market {
            writer.u32(market);
            writer.u32(verse);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut verses = Verses::default();
        for _ in 0..reader.len(68)? {
            verses.list.push(Verse { slug: reader.array()?, parent: reader.u32()?, children: 0 });
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

    /// Bounds and references of a state that was read.
    ///
    /// # Errors
    /// A sentence that names the defect.
    pub fn check(&self, markets: usize) -> Result<(), String> {
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
