//! Hours of funding (I13): the rate is computed again from what the hour's samples sum to (P4.8.1).

use super::fault::{ensure, Check};
use super::ledger::{FUNDING, INSURANCE};
use super::perpetual::wide;
use super::position::Perp;
use super::records::check_movements;
use super::Auditor;
use crate::wire::event::{funding_skip, Event, FundingBody, Posting};

const MIN_SAMPLES: u32 = 15;
/// One a minute; the one at the end of an hour may fall into the next.
const MAX_SAMPLES: u32 = 61;
/// An hour is given up when more than half of it could not be sampled.
const MAX_BLOCKED: u32 = 30;
/// A sample is within one whole of the index.
const SAMPLE_REACH_PPB: i128 = 1_000_000_000;
const BP_PPB: i128 = 100_000;
const HOUR_NS: i64 = 3_600_000_000_000;

fn next_hour(now_ns: i64) -> i64 {
    (now_ns.div_euclid(HOUR_NS) + 1).saturating_mul(HOUR_NS)
}

/// `P + clamp(1 bp − P, ±5 bp)` for eight hours, within `0.75 · (1/l_base − mmf)` at size 0; an eighth of it.
fn hourly_rate_ppb(mean_ppb: i128, leverage_e2: u32, floor_mmf_ppm: u32) -> i128 {
    let entry_ppm = i128::from(100_000_000_u32.div_ceil(leverage_e2));
    let maintenance_ppm = i128::from(floor_mmf_ppm).max((entry_ppm + 1) / 2);
    let cap_ppb = (entry_ppm - maintenance_ppm).max(0) * 750;
    let interest = (BP_PPB - mean_ppb).clamp(-5 * BP_PPB, 5 * BP_PPB);
    (mean_ppb + interest).clamp(-cap_ppb, cap_ppb) / 8
}

fn check_rate(market: u32, body: &FundingBody, perp: &Perp) -> Check {
    let (sum, samples) = (i128::from(body.sample_sum_ppb), body.samples);
    ensure!(
        samples <= MAX_SAMPLES && sum.abs() <= i128::from(samples) * SAMPLE_REACH_PPB,
        "I13",
        "{samples} samples of an hour of market {market} sum to {sum} ppb"
    );
    let few = samples < MIN_SAMPLES;
    let skips = match body.skipped {
        0 => !few,
        funding_skip::FEW_SAMPLES => few,
        // What blocked more than half of the hour left less than half of its samples.
        _ => samples < MAX_SAMPLES - MAX_BLOCKED,
    };
    let mean_ppb = sum / i128::from(samples.max(1));
    let expected = match body.skipped {
        0 => hourly_rate_ppb(mean_ppb, perp.leverage_cap_e2(), perp.floor_mmf_ppm),
        _ => 0,
    };
    ensure!(
        skips && i128::from(body.rate_ppb) == expected,
        "I13",
        "market {market} charges {} ppb, not {expected}, of {samples} samples with the mean {mean_ppb}, skipped {}",
        body.rate_ppb,
        body.skipped
    );
    Ok(())
}

impl Auditor {
    /// An hour of funding: the rate is that of the samples, the index moves by it, the dust goes to insurance.
    pub(super) fn funding_updated(&mut self, event: &Event, postings: &[Posting]) -> Check {
        let body: FundingBody = event.body_as();
        let market = *self.market(event.market)?;
        let line = self.ledger.line(event.market, 0, market.quote, FUNDING);
        // The postings are applied already; the dust was on the line before.
        let swept: i64 = postings.iter().filter(|posting| posting.line == INSURANCE).map(|p| p.amount).sum();
        let dust = self.positions.dust(event.market, line.saturating_add(swept))?;
        let movements =
            [(event.market, 0, market.quote, FUNDING, -dust), (0, 0, market.quote, INSURANCE, dust)];
        check_movements("I13", movements, postings)?;
        self.collect_fees(market.quote, dust);
        let perp = self.positions.perp_mut(event.market)?;
        let (index, delta) = (wide(body.index_low, body.index_high), wide(body.delta_low, body.delta_high));
        let expected = i128::from(body.rate_ppb) * i128::from(body.index_ticks) * i128::from(market.unit);
        ensure!(
            delta == expected && index == perp.funding_index + delta && body.index_ticks == perp.index,
            "I13",
            "the funding index of market {} goes from {} by {delta} to {index}",
            event.market,
            perp.funding_index
        );
        check_rate(event.market, &body, perp)?;
        ensure!(
            event.time_ns >= perp.funding_due_ns && body.next_due_ns == next_hour(event.time_ns),
            "I13",
            "an hour of funding due at {} is charged at {}, the next one at {}",
            perp.funding_due_ns,
            event.time_ns,
            body.next_due_ns
        );
        (perp.funding_index, perp.funding_due_ns, perp.settlements) = (index, body.next_due_ns, 0);
        self.positions.check_funding(event.market, line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p4_8_4_golden_rates_and_the_bound() {
        assert_eq!(hourly_rate_ppb(2 * BP_PPB, 1_000, 5_000), BP_PPB / 8);
        assert_eq!(hourly_rate_ppb(20 * BP_PPB, 1_000, 5_000), 187_500);
        // 1/10 − 5 %: three quarters of it for eight hours.
        assert_eq!(hourly_rate_ppb(SAMPLE_REACH_PPB, 1_000, 5_000), 37_500_000 / 8);
        assert_eq!(hourly_rate_ppb(-SAMPLE_REACH_PPB, 10_000, 5_000), -3_750_000 / 8);
    }
}
