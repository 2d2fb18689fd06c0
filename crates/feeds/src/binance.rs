//! Depth updates of Binance, spot and USD-M, as the combined stream sends them.

use crate::scan::Scan;
use crate::units::Scale;
use crate::Level;

const NS_PER_MS: i64 = 1_000_000;

/// `{"stream":"…","data":{"e":"depthUpdate",…}}`
#[derive(Debug, PartialEq, Eq)]
pub struct Depth {
    pub first_id: i64,
    pub last_id: i64,
    /// Futures only.
    pub previous_id: Option<i64>,
    pub event_ns: i64,
    pub bids: Vec<Level>,
    pub asks: Vec<Level>,
}

/// What was found of an update.
#[derive(Default)]
struct Found {
    symbol: Option<()>,
    event_ms: Option<i64>,
    first_id: Option<i64>,
    last_id: Option<i64>,
    previous_id: Option<i64>,
    bids: Option<Vec<Level>>,
    asks: Option<Vec<Level>>,
}

/// An update as it is usually written; None for every other frame, which may still be a valid one.
pub fn depth(frame: &[u8], scale: &Scale) -> Option<Depth> {
    let mut scan = Scan::new(frame);
    scan.literal(b"{\"stream\":")?;
    scan.text()?;
    scan.literal(b",\"data\":{")?;
    let mut found = Found::default();
    loop {
        found.field(&mut scan, scale)?;
        if scan.takes(b'}') {
            break;
        }
        scan.literal(b",")?;
    }
    scan.literal(b"}")?;
    if !scan.at_end() {
        return None;
    }
    found.symbol?;
    let (first_id, last_id) = (found.first_id?, found.last_id?);
    if last_id < first_id {
        return None;
    }
    Some(Depth {
        first_id,
        last_id,
        previous_id: found.previous_id,
        event_ns: found.event_ms?.checked_mul(NS_PER_MS)?,
        bids: found.bids?,
        asks: found.asks?,
    })
}

impl Found {
    #[inline]
    fn field(&mut self, scan: &mut Scan, scale: &Scale) -> Option<()> {
        match scan.key()? {
            b"s" => once(&mut self.symbol, scan.text().map(drop)),
            b"E" => once(&mut self.event_ms, whole(scan)),
            b"U" => once(&mut self.first_id, whole(scan)),
            b"u" => once(&mut self.last_id, whole(scan)),
            b"pu" => once(&mut self.previous_id, whole(scan)),
            b"b" => once(&mut self.bids, scan.text_levels(scale)),
            b"a" => once(&mut self.asks, scan.text_levels(scale)),
            _ => scan.skip(),
        }
    }
}

fn whole(scan: &mut Scan) -> Option<i64> {
    i64::try_from(scan.whole()?).ok()
}

/// A field that stands there twice is no usual frame.
#[inline]
fn once<T>(place: &mut Option<T>, value: Option<T>) -> Option<()> {
    if place.is_some() {
        return None;
    }
    *place = Some(value?);
    Some(())
}
