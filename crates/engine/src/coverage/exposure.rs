//! Every market's worst case, its bucket, and what they come to together (protocol P9.1, P9.2).

use std::collections::BTreeMap;

use super::Aggregate;
use crate::codec::{Reader, Writer};
use crate::limits::{MAX_COVERAGE_BUCKETS, MAX_MARKETS};
use crate::math::MAX_BALANCE;

/// One market's part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Verse root or asset class.
    pub bucket: u32,
    /// Micro-units, 0 to [`MAX_BALANCE`].
    pub worst_case: i64,
}

/// Worst cases by market and their aggregation. A change costs two roots, however many markets there are.
#[derive(Clone, Debug, Default)]
pub struct Exposure {
    parts: Vec<Part>,
    buckets: BTreeMap<u32, Aggregate>,
    platform: Aggregate,
    total: i128,
}

impl Exposure {
    /// `S` of the platform in micro-units.
    #[inline]
    pub const fn total(&self) -> i128 {
        self.total
    }

    /// `S` of a bucket.
    pub fn bucket_total(&self, bucket: u32) -> i128 {
        self.buckets.get(&bucket).map_or(0, Aggregate::total)
    }

    pub fn part(&self, market: u32) -> Part {
        self.parts.get(market as usize).copied().unwrap_or_default()
    }

    /// Markets with a worst case, ascending.
    pub fn parts(&self) -> impl Iterator<Item = (u32, Part)> + '_ {
        let parts = self.parts.iter().enumerate().map(|(market, &part)| (market as u32, part));
        parts.filter(|(_, part)| part.worst_case != 0)
    }

    /// Buckets with their correlation and total, ascending.
    pub fn buckets(&self) -> impl Iterator<Item = (u32, &Aggregate)> {
        self.buckets.iter().map(|(&bucket, aggregate)| (bucket, aggregate))
    }

    pub const fn platform_rho_ppm(&self) -> u32 {
        self.platform.rho_ppm()
    }

    /// Correlation of a bucket; 10^6 until it is published.
    pub fn rho_ppm(&self, bucket: u32) -> u32 {
        self.buckets.get(&bucket).map_or(super::aggregate::FULL_CORRELATION_PPM, Aggregate::rho_ppm)
    }

    /// Whether another bucket finds room.
    pub fn has_room(&self, bucket: u32) -> bool {
        self.buckets.contains_key(&bucket) || self.buckets.len() < MAX_COVERAGE_BUCKETS
    }

    /// Sets a market's worst case. A market whose bucket would be one too many joins bucket 0, whose correlation is
    /// then no better than published for it.
    pub fn set(&mut self, market: u32, bucket: u32, worst_case: i64) {
        let place = market as usize;
        if place >= self.parts.len() {
            if worst_case <= 0 {
                return;
            }
            self.parts.resize(place + 1, Part::default());
        }
        let bucket = if self.has_room(bucket) { bucket } else { 0 };
        let old = self.parts[place];
        let new = Part { bucket, worst_case: worst_case.clamp(0, MAX_BALANCE) };
        if old == new {
            return;
        }
        self.parts[place] = if new.worst_case == 0 { Part::default() } else { new };
        if old.worst_case != 0 && old.bucket != bucket {
            self.exchange(old.bucket, old.worst_case, 0);
            self.exchange(bucket, 0, new.worst_case);
        } else {
            self.exchange(bucket, old.worst_case, new.worst_case);
        }
        self.total = self.platform.total();
    }

    /// Publishes a correlation in ppm: of a bucket, or of the platform over its buckets.
    pub fn set_rho(&mut self, bucket: Option<u32>, rho_ppm: u32) {
        match bucket {
            None => self.platform.set_rho(rho_ppm),
            Some(bucket) => {
                let entry = self.buckets.entry(bucket).or_default();
                let old = entry.total();
                entry.set_rho(rho_ppm);
                let new = entry.total();
                self.platform.replace(old, new);
            }
        }
        self.total = self.platform.total();
    }

    fn exchange(&mut self, bucket: u32, old: i64, new: i64) {
        if old == new {
            return;
        }
        let entry = self.buckets.entry(bucket).or_default();
        let before = entry.total();
        entry.replace(i128::from(old), i128::from(new));
        let after = entry.total();
        self.platform.replace(before, after);
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.u32(self.platform.rho_ppm());
        writer.len(self.buckets.len());
        for (&bucket, aggregate) in &self.buckets {
            writer.u32(bucket);
            writer.u32(aggregate.rho_ppm());
        }
        writer.len(self.parts().count());
        for (market, part) in self.parts() {
            writer.u32(market);
            writer.u32(part.bucket);
            writer.i64(part.worst_case);
        }
    }

    /// # Errors
    /// A sentence that names the defect.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, String> {
        let mut exposure = Exposure::default();
        exposure.set_rho(None, reader.u32()?);
        for _ in 0..reader.len(8)? {
            let (bucket, rho_ppm) = (reader.u32()?, reader.u32()?);
            if !exposure.has_room(bucket) {
                return Err(format!("bucket {bucket} is one too many"));
            }
            exposure.set_rho(Some(bucket), rho_ppm);
        }
        for _ in 0..reader.len(16)? {
            let (market, bucket, worst_case) = (reader.u32()?, reader.u32()?, reader.i64()?);
            if market as usize >= MAX_MARKETS || worst_case <= 0 || !exposure.buckets.contains_key(&bucket) {
                return Err(format!("worst case {worst_case} of market {market} in bucket {bucket}"));
            }
            exposure.set(market, bucket, worst_case);
        }
        Ok(exposure)
    }
}
