//! The signals of P12.1 with their thresholds and scores, and the steps of P12.2.

/// Bits of signals.
pub mod signal {
    pub const OUTLIER: u16 = 1;
    pub const VOLUME: u16 = 1 << 1;
    pub const VELOCITY: u16 = 1 << 2;
    pub const WASH: u16 = 1 << 3;
    pub const PUMP: u16 = 1 << 4;
    pub const SPOOF: u16 = 1 << 5;
    pub const BURST: u16 = 1 << 6;
}

/// Score of each signal, by bit.
const SCORES: [u8; 7] = [25, 20, 20, 15, 15, 15, 15];
const HIGHEST_SCORE: u8 = 100;

/// Scores add, capped at 100.
pub fn score(signals: u16) -> u8 {
    let each = SCORES.iter().enumerate().filter(|(bit, _)| signals >> bit & 1 == 1);
    each.map(|(_, &score)| score).sum::<u8>().min(HIGHEST_SCORE)
}

/// Steps of P12.2.
pub mod step {
    pub const NONE: u8 = 0;
    pub const ALERT: u8 = 1;
    pub const WATCH: u8 = 2;
    pub const SLOW: u8 = 3;
}

pub fn step_of(score: u8) -> u8 {
    match score {
        80.. => step::SLOW,
        60.. => step::WATCH,
        40.. => step::ALERT,
        _ => step::NONE,
    }
}

const SECOND_NS: i64 = 1_000_000_000;

/// Fewest other returns for a z, and fewest seconds of volume for a baseline of ten seconds and of ten minutes.
pub const FEWEST_RETURNS: usize = 30;
pub const FEWEST_SECONDS: u64 = 60;
pub const FEWEST_SECONDS_OF_PUMP: u64 = 600;
/// Seconds without a trade after which a price change is no one-second return.
pub const RETURN_GAP_S: i64 = 10;
/// A signal of the market stands for the length of its volume window, so that signals of one event meet.
pub const MARKET_SIGNAL_NS: i64 = 10 * SECOND_NS;
/// 10 s volume: more than 5 × the mean and at least $10,000.
pub const VOLUME_FACTOR: u64 = 5;
pub const VOLUME_WINDOW_S: i64 = 10;
pub const LEAST_VOLUME: i64 = 10_000_000_000;
/// Within these many trades by sequence a move of more than 10 %.
pub const VELOCITY_TRADES: usize = 5;
/// Round trip: |net| / gross below 5 % with more than 20 % of the volume of an hour.
pub const WASH_NET_SHARE: i128 = 20;
pub const WASH_VOLUME_SHARE: i128 = 5;
pub const HOUR_NS: i64 = 3_600 * SECOND_NS;
/// Pump and dump: up 20 %, then down 15 %, within 10 minutes with twice the volume; 30 % of both legs.
pub const PUMP_WINDOW_S: i64 = 600;
pub const PUMP_VOLUME_FACTOR: u64 = 2;
/// Spoof: more than 50 orders a trade; within 500 ms of a fill, 3 levels and 30 % of the depth; 3 times an hour.
pub const SPOOF_ORDERS_PER_TRADE: u64 = 50;
pub const SPOOF_WINDOW_NS: i64 = 500_000_000;
pub const SPOOF_LEVELS: usize = 3;
pub const SPOOF_TIMES: usize = 3;
/// Levels of the book that count as its depth.
pub const DEPTH_LEVELS: usize = 32;
/// Burst: more than 5 trades and an impact of more than 5 % within 60 s.
pub const BURST_TRADES: u32 = 5;
pub const BURST_WINDOW_NS: i64 = 60 * SECOND_NS;
/// A step is told again when it is still reached after this time, and a slowed account is free after it.
pub const STEP_NS: i64 = 300 * SECOND_NS;

/// Whether a price has moved more than `percent` from another: |p − x| × 100 > percent × x.
#[inline]
pub fn moved(price: i64, from: i64, percent: i64) -> bool {
    // Most prices are the one before.
    price != from && (price - from).abs() * 100 > percent * from
}

/// How far back the evidence of signals reaches.
pub fn evidence_ns(signals: u16) -> i64 {
    match signals {
        s if s & (signal::WASH | signal::SPOOF) != 0 => HOUR_NS,
        s if s & signal::PUMP != 0 => PUMP_WINDOW_S * SECOND_NS,
        s if s & signal::BURST != 0 => BURST_WINDOW_NS,
        _ => MARKET_SIGNAL_NS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_add_up_to_a_hundred_and_steps_begin_at_40_60_and_80() {
        assert_eq!(score(signal::OUTLIER | signal::VOLUME), 45);
        assert_eq!(score(signal::OUTLIER | signal::VOLUME | signal::VELOCITY | signal::WASH), 80);
        assert_eq!(score(0x7F), 100);
        assert_eq!([39, 40, 59, 60, 79, 80, 100].map(step_of), [0, 1, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn a_move_of_exactly_the_threshold_is_none() {
        assert!(!moved(110, 100, 10) && moved(111, 100, 10) && !moved(90, 100, 10) && moved(89, 100, 10));
    }
}
