//! The 520-byte market record: what is written is read back, and no damage goes unseen (protocol P1.6).

use proptest::prelude::*;
use tradewind_engine::record520::*;
use tradewind_engine::wire::Code;

fn links() -> impl Strategy<Value = Vec<Link>> {
    let link = (any::<u64>(), any::<i64>()).prop_map(|(chain, exposure_lots)| Link { chain, exposure_lots });
    prop::collection::vec(link, 0..=MAX_LINKS)
}

fn ids() -> impl Strategy<Value = [[u8; 32]; 5]> {
    any::<[[u8; 32]; 5]>()
}

prop_compose! {
    fn markets()(outcomes in MIN_OUTCOMES..=MAX_OUTCOMES)(
        prices in prop::collection::vec(any::<u64>(), outcomes),
        volumes in prop::collection::vec(any::<u64>(), outcomes),
        ids in ids(),
        links in links(),
        more_links in 0..1_000_u16,
        numbers in any::<(u32, u64, i64, i64, u64)>(),
        codes in (0..=4_u8, 0..=7_u8, 0..=3_u8, any::<u16>()),
        winner in prop_oneof![Just(WINNER_INVALID), Just(WINNER_UNRESOLVED), 0..outcomes as u8],
    ) -> ArchivedMarket {
        let (header_flags, liquidity, settle_time_ns, resolution_time_ns, liquidation_accumulator) = numbers;
        ArchivedMarket {
            header_flags,
            market_id: ids[0],
            condition_id: ids[1],
            verse_id: ids[2],
            prices,
            volumes,
            liquidity,
            settle_time_ns,
            resolution_time_ns,
            evidence_hash: ids[3],
            resolution_id: ids[4],
            liquidation_accumulator,
            links_total: links.len() as u16 + more_links,
            links,
            winner,
            amm_kind: codes.0,
            status: codes.1,
            pause_level: codes.2,
            halt_reasons: codes.3 & HALT_BITS,
        }
    }
}

/// A market whose every field is `fill` or as close to it as the field allows.
fn uniform(outcomes: usize, fill: u8) -> ArchivedMarket {
    let word = u64::from_le_bytes([fill; 8]);
    let full = fill == 0xFF;
    let links = if full { vec![Link { chain: word, exposure_lots: i64::MIN }; MAX_LINKS] } else { vec![] };
    ArchivedMarket {
        header_flags: word as u32,
        market_id: [fill; 32],
        condition_id: [fill; 32],
        verse_id: [fill; 32],
        prices: vec![word; outcomes],
        volumes: vec![word; outcomes],
        liquidity: word,
        settle_time_ns: if full { i64::MAX } else { i64::MIN },
        resolution_time_ns: if full { i64::MIN } else { 0 },
        evidence_hash: [fill; 32],
        resolution_id: [fill; 32],
        liquidation_accumulator: word,
        links,
        links_total: if full { u16::MAX } else { 0 },
        winner: if full { WINNER_UNRESOLVED } else { 0 },
        amm_kind: if full { 4 } else { 0 },
        status: if full { 7 } else { 0 },
        pause_level: if full { 3 } else { 0 },
        halt_reasons: if full { HALT_BITS } else { 0 },
    }
}

/// Writes the checksum of a record again after its bytes were changed on purpose.
fn seal(record: &mut [u8]) {
    let crc = crc16(&record[..RECORD_BYTES - 2]);
    record[RECORD_BYTES - 2..RECORD_BYTES].copy_from_slice(&crc.to_le_bytes());
}

fn refusal(bytes: &[u8]) -> Code {
    ArchivedMarket::decode(bytes).expect_err("the bytes are no market").code
}

#[test]
fn the_checksum_is_the_published_one() {
    assert_eq!(crc16(b"123456789"), 0x29B1);
    assert_eq!(crc16(&[0; 518]), 0x128D);
    assert_eq!(crc16(b""), 0xFFFF);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(market in markets()) {
        let bytes = market.encode().expect("a market within its bounds");
        prop_assert_eq!(bytes.len(), RECORD_BYTES * (1 + overflow_count(market.prices.len())));
        prop_assert_eq!(ArchivedMarket::decode(&bytes).expect("as written"), market);
    }

    #[test]
    fn a_burst_of_damage_up_to_sixteen_bits_is_seen(
        market in markets(),
        at in any::<prop::sample::Index>(),
        burst in 1..=u16::MAX,
    ) {
        let mut bytes = market.encode().expect("a market within its bounds");
        let place = at.index(bytes.len() - 1);
        bytes[place] ^= (burst >> 8) as u8;
        bytes[place + 1] ^= burst as u8;
        prop_assert!(ArchivedMarket::decode(&bytes).is_err());
    }

    #[test]
    fn bytes_of_chance_are_no_market_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..1_600)) {
        prop_assert!(ArchivedMarket::decode(&bytes).is_err());
    }
}

#[test]
fn every_flipped_bit_is_seen_for_every_number_of_records() {
    for outcomes in [2, 8, 9, 36, 37, 64] {
        for fill in [0x00, 0x5A, 0xFF] {
            let mut market = uniform(outcomes, fill);
            if fill == 0x5A {
                market.links = vec![Link { chain: 7, exposure_lots: -3 }; 4];
                market.links_total = 9;
            }
            let bytes = market.encode().expect("within bounds");
            let mut damaged = bytes.clone();
            for bit in 0..bytes.len() * 8 {
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(ArchivedMarket::decode(&damaged).is_err(), "bit {bit} of {outcomes} outcomes");
                damaged[bit / 8] ^= 1 << (bit % 8);
            }
            assert_eq!(ArchivedMarket::decode(&damaged), Ok(market));
        }
    }
}

#[test]
fn every_changed_byte_is_seen() {
    let bytes = uniform(64, 0x5A).encode().expect("within bounds");
    let mut damaged = bytes.clone();
    for (place, &whole) in bytes.iter().enumerate() {
        for change in 1..=255_u8 {
            damaged[place] = whole ^ change;
            assert!(ArchivedMarket::decode(&damaged).is_err(), "byte {place} changed by {change}");
        }
        damaged[place] = whole;
    }
}

#[test]
fn each_number_of_outcomes_from_2_to_64_is_kept_and_others_are_refused() {
    for outcomes in 0..=70 {
        for fill in [0x00, 0xFF] {
            let market = uniform(outcomes, fill);
            match market.encode() {
                Ok(bytes) => {
                    assert!((MIN_OUTCOMES..=MAX_OUTCOMES).contains(&outcomes));
                    assert_eq!(bytes.len(), 520 * [1, 2, 3][outcomes.saturating_sub(8).div_ceil(28)]);
                    assert_eq!(ArchivedMarket::decode(&bytes), Ok(market));
                }
                Err(refused) => {
                    assert!(!(MIN_OUTCOMES..=MAX_OUTCOMES).contains(&outcomes));
                    assert_eq!((refused.code, refused.given), (Code::INVALID_OUTCOME_COUNT, outcomes as i64));
                }
            }
        }
    }
    let mut uneven = uniform(5, 0);
    uneven.volumes.pop();
    assert_eq!(uneven.encode().expect_err("four volumes").code, Code::INVALID_OUTCOME_COUNT);
}

#[test]
fn nothing_is_cut_to_fit() {
    let refused = |change: fn(&mut ArchivedMarket)| {
        let mut market = uniform(3, 0);
        change(&mut market);
        market.encode().expect_err("out of bounds").code
    };
    assert_eq!(
        refused(|market| market.links = vec![Link::default(); MAX_LINKS + 1]),
        Code::PARAMETER_OUT_OF_BOUNDS
    );
    assert_eq!(refused(|market| market.links = vec![Link::default()]), Code::PARAMETER_OUT_OF_BOUNDS);
    assert_eq!(refused(|market| market.amm_kind = 5), Code::PARAMETER_OUT_OF_BOUNDS);
    assert_eq!(refused(|market| market.status = 8), Code::PARAMETER_OUT_OF_BOUNDS);
    assert_eq!(refused(|market| market.pause_level = 4), Code::PARAMETER_OUT_OF_BOUNDS);
    assert_eq!(refused(|market| market.halt_reasons = 0x0080), Code::RESERVED_NOT_ZERO);
    assert_eq!(refused(|market| market.winner = 3), Code::INVALID_OUTCOME);
}

#[test]
fn the_first_defect_in_the_published_order_is_the_answer() {
    let good = uniform(9, 0).encode().expect("within bounds");
    // Damage stays in the record while the earlier defects are mended one by one (P1.3.3).
    for record in [0, RECORD_BYTES] {
        let mut bytes = good.clone();
        bytes[record] ^= 0x80;
        bytes[record + 1] = 9;
        bytes[record + 2] = 7;
        bytes[record + 515] = 1;
        assert_eq!(refusal(&bytes), Code::INVALID_RECORD_LENGTH);
        bytes[record + 2] = good[record + 2];
        assert_eq!(refusal(&bytes), Code::INVALID_TYPE_TAG);
        bytes[record] = good[record];
        assert_eq!(refusal(&bytes), Code::UNSUPPORTED_VERSION);
        bytes[record + 1] = good[record + 1];
        assert_eq!(refusal(&bytes), Code::RESERVED_NOT_ZERO);
        bytes[record + 515] = 0;
        assert_eq!(ArchivedMarket::decode(&bytes), Ok(uniform(9, 0)));
        bytes[record + 40] ^= 1;
        assert_eq!(refusal(&bytes), Code::CHECKSUM_MISMATCH);
    }
}

#[test]
fn a_record_is_never_longer_or_shorter_than_its_outcomes_need() {
    let good = uniform(64, 0).encode().expect("within bounds");
    for length in [0, 519, 521, 520, 1_040, 1_559, 1_561] {
        let mut bytes = good.clone();
        bytes.resize(length, 0);
        assert_eq!(refusal(&bytes), Code::INVALID_RECORD_LENGTH, "{length} bytes");
    }
    let mut more = good.clone();
    more.extend_from_slice(&good[RECORD_BYTES..2 * RECORD_BYTES]);
    assert_eq!(refusal(&more), Code::INVALID_RECORD_LENGTH);
}

#[test]
fn a_sealed_record_with_contradictions_is_refused() {
    let good = uniform(10, 0).encode().expect("within bounds");
    let sealed = |record: usize, place: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[record + place] = value;
        seal(&mut bytes[record..record + RECORD_BYTES]);
        refusal(&bytes)
    };
    assert_eq!(sealed(0, 506, 1), Code::INVALID_OUTCOME_COUNT);
    assert_eq!(sealed(0, 506, 65), Code::INVALID_OUTCOME_COUNT);
    assert_eq!(sealed(0, 512, 2), Code::PARAMETER_OUT_OF_BOUNDS);
    assert_eq!(sealed(0, 504, 12), Code::PARAMETER_OUT_OF_BOUNDS);
    // A link behind the last one that is used, and a price behind the last outcome.
    assert_eq!(sealed(0, 340, 1), Code::RESERVED_NOT_ZERO);
    assert_eq!(sealed(RECORD_BYTES, 40 + 8 * 2, 1), Code::RESERVED_NOT_ZERO);
    assert_eq!(sealed(RECORD_BYTES, 488, 2), Code::PARAMETER_OUT_OF_BOUNDS);
    assert_eq!(sealed(RECORD_BYTES, 489, 29), Code::PARAMETER_OUT_OF_BOUNDS);
    assert_eq!(sealed(RECORD_BYTES, 4, 1), Code::RESERVED_NOT_ZERO);
    assert_eq!(sealed(RECORD_BYTES, 8, 1), Code::DERIVED_ID_MISMATCH);
}
