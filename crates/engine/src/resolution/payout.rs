//! Payout vectors: what each outcome pays, in ppm that sum to 1,000,000 (protocol P15.1).

use crate::limits::{MAX_OUTCOMES, PACKED_PAYOUTS};

/// The whole of a payout vector in ppm.
pub const WHOLE_PPM: u32 = 1_000_000;

/// How a command or event names a payout vector in one byte; values below 64 are the one outcome that pays all.
pub mod choice {
    /// Outcomes in a bit mask share equally: dead heats.
    pub const SHARED: u8 = 0xFC;
    /// Up to six outcomes with their ppm; in events the whole vector is shown by PayoutShown.
    pub const VECTOR: u8 = 0xFD;
    /// Every outcome pays 1/N.
    pub const INVALID: u8 = 0xFE;
    /// Nothing yet.
    pub const NONE: u8 = 0xFF;
}

/// Bytes for the parts of a vector: a mask of outcomes (u64), or entries of (outcome u8, ppm u24), little-endian.
pub type Packed = [u8; 24];

/// A payout vector: one number of ppm an outcome, together exactly [`WHOLE_PPM`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payout(Box<[u32]>);

impl Payout {
    /// One outcome pays everything; None outside of the market's outcomes.
    pub fn winner(outcome: u8, outcomes: u8) -> Option<Payout> {
        let mut ppm = blank(outcomes)?;
        *ppm.get_mut(usize::from(outcome))? = WHOLE_PPM;
        Some(Payout(ppm))
    }

    /// The equal split; what 1,000,000 leaves over goes one ppm each to the first outcomes.
    pub fn invalid(outcomes: u8) -> Option<Payout> {
        let all = if outcomes >= 64 { u64::MAX } else { (1 << outcomes) - 1 };
        Payout::shared(all, outcomes)
    }

    /// Equal shares for the outcomes in the mask, the remainder one ppm each to the first of them; None for an empty
    /// mask or one that names an outcome that does not exist.
    pub fn shared(mask: u64, outcomes: u8) -> Option<Payout> {
        let mut ppm = blank(outcomes)?;
        let beyond = outcomes < 64 && mask >> outcomes != 0;
        if mask == 0 || beyond {
            return None;
        }
        let members = mask.count_ones();
        let (share, mut over) = (WHOLE_PPM / members, WHOLE_PPM % members);
        for (outcome, part) in ppm.iter_mut().enumerate() {
            if mask >> outcome & 1 == 1 {
                *part = share + u32::from(over > 0);
                over = over.saturating_sub(1);
            }
        }
        Some(Payout(ppm))
    }

    /// A whole vector; None unless it has 2 to 64 outcomes and sums to 1,000,000.
    pub fn of(ppm: &[u32]) -> Option<Payout> {
        let sum: u64 = ppm.iter().map(|&part| u64::from(part)).sum();
        let sound = (2..=usize::from(MAX_OUTCOMES)).contains(&ppm.len()) && sum == u64::from(WHOLE_PPM);
        sound.then(|| Payout(ppm.into()))
    }

    /// Reads what a command says. Bytes that its form does not use must be zero, entries ascend by outcome and pay
    /// something.
    pub fn read(named: u8, entries: u8, packed: &Packed, outcomes: u8) -> Option<Payout> {
        let unused_from = match named {
            choice::VECTOR => 4 * usize::from(entries),
            choice::SHARED => 8,
            _ => 0,
        };
        let clean = packed.get(unused_from..)?.iter().all(|&byte| byte == 0);
        if !clean || (named != choice::VECTOR && entries != 0) {
            return None;
        }
        match named {
            choice::VECTOR => Payout::explicit(entries, packed, outcomes),
            choice::SHARED => {
                let mask = u64::from_le_bytes(packed[..8].try_into().expect("eight bytes"));
                Payout::shared(mask, outcomes)
            }
            choice::INVALID => Payout::invalid(outcomes),
            outcome => Payout::winner(outcome, outcomes),
        }
    }

    fn explicit(entries: u8, packed: &Packed, outcomes: u8) -> Option<Payout> {
        if entries == 0 || usize::from(entries) > PACKED_PAYOUTS {
            return None;
        }
        let mut ppm = blank(outcomes)?;
        let mut next = 0;
        for entry in packed.chunks_exact(4).take(usize::from(entries)) {
            let part = u32::from_le_bytes([entry[1], entry[2], entry[3], 0]);
            let outcome = usize::from(entry[0]);
            if outcome < next || part == 0 {
                return None;
            }
            *ppm.get_mut(outcome)? = part;
            next = outcome + 1;
        }
        Payout::of(&ppm)
    }

    /// The shortest name: the winner, INVALID, or VECTOR.
    pub fn choice(&self) -> u8 {
        if let Some(winner) = self.0.iter().position(|&ppm| ppm == WHOLE_PPM) {
            return winner as u8;
        }
        match Payout::invalid(self.outcomes()) {
            Some(invalid) if invalid == *self => choice::INVALID,
            _ => choice::VECTOR,
        }
    }

    /// Whether every outcome pays the same: the question had no answer (P15.1).
    pub fn is_invalid(&self) -> bool {
        self.choice() == choice::INVALID
    }

    /// Number of outcomes.
    pub fn outcomes(&self) -> u8 {
        self.0.len() as u8
    }

    /// Ppm by outcome.
    pub fn ppm(&self) -> &[u32] {
        &self.0
    }

    /// Σ holdings × ppm, in ppm of a micro-unit: what is owed before it is rounded. Holdings in micro-shares.
    pub fn owed(&self, holdings: impl IntoIterator<Item = i64>) -> i128 {
        let parts = self.0.iter().zip(holdings);
        parts.map(|(&ppm, held)| i128::from(held) * i128::from(ppm)).sum()
    }

    /// What holdings in micro-shares are worth in micro-quote, `floor` (P15.7). At most what one complete set of the
    /// largest holding is worth, so that it fits.
    pub fn value(&self, holdings: impl IntoIterator<Item = i64>) -> i64 {
        (self.owed(holdings) / i128::from(WHOLE_PPM)) as i64
    }
}

fn blank(outcomes: u8) -> Option<Box<[u32]>> {
    (2..=MAX_OUTCOMES).contains(&outcomes).then(|| vec![0; usize::from(outcomes)].into_boxed_slice())
}

/// Packs (outcome, ppm) pairs as a command carries them; None for more than fit.
pub fn pack(entries: &[(u8, u32)]) -> Option<Packed> {
    let mut packed = [0; 24];
    if entries.len() > PACKED_PAYOUTS {
        return None;
    }
    for (place, &(outcome, ppm)) in packed.chunks_exact_mut(4).zip(entries) {
        let [low, middle, high, over] = ppm.to_le_bytes();
        if over != 0 {
            return None;
        }
        place.copy_from_slice(&[outcome, low, middle, high]);
    }
    Some(packed)
}
