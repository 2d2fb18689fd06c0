//! Book updates of Kraken's WebSocket v2.

use std::collections::HashMap;

use crate::calendar;
use crate::scan::Scan;
use crate::units::Scale;
use crate::Level;

/// `{"channel":"book","type":"update","data":[{…}]}` with one row.
#[derive(Debug, PartialEq, Eq)]
pub struct Update {
    /// Place of its symbol among those that the reader was made with.
    pub symbol: usize,
    pub bids: Vec<Level>,
    pub asks: Vec<Level>,
    pub checksum: i64,
    pub venue_ns: Option<i64>,
}

/// Reads the updates of some symbols.
#[derive(Debug, Default)]
pub struct Reader {
    places: HashMap<Vec<u8>, usize>,
    scales: Vec<Scale>,
}

impl Reader {
    /// A symbol that is named twice is read with its last scale.
    pub fn new(symbols: impl IntoIterator<Item = (String, Scale)>) -> Self {
        let mut reader = Reader::default();
        for (name, scale) in symbols {
            reader.places.insert(name.into_bytes(), reader.scales.len());
            reader.scales.push(scale);
        }
        reader
    }

    /// An update as it is usually written; None for every other frame, which may still be a valid one.
    pub fn update(&self, frame: &[u8]) -> Option<Update> {
        let mut scan = Scan::new(frame);
        scan.literal(b"{\"channel\":\"book\",\"type\":\"update\",\"data\":[{\"symbol\":")?;
        let symbol = *self.places.get(scan.text()?)?;
        let scale = self.scales.get(symbol)?;
        scan.literal(b",\"bids\":")?;
        let bids = scan.named_levels(scale)?;
        scan.literal(b",\"asks\":")?;
        let asks = scan.named_levels(scale)?;
        scan.literal(b",\"checksum\":")?;
        let checksum = i64::try_from(scan.whole()?).ok()?;
        let venue_ns = match scan.takes(b',') {
            false => None,
            true => {
                scan.literal(b"\"timestamp\":")?;
                Some(calendar::microsecond_text_ns(scan.text()?)?)
            }
        };
        scan.literal(b"}]}")?;
        scan.at_end().then_some(Update { symbol, bids, asks, checksum, venue_ns })
    }
}
