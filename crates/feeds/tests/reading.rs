//! No bytes make a reader panic, and what it reads is what was written.

use proptest::prelude::*;
use tradewind_feeds::units::{Scale, Units};
use tradewind_feeds::{binance, kraken, Level};

fn scale() -> Scale {
    let price = Units::new(1, -2, 1).expect("a step");
    Scale { price, quantity: Units::new(25, -5, 0).expect("a step") }
}

fn reader() -> kraken::Reader {
    kraken::Reader::new([("ETH/USD".to_owned(), scale()), ("BTC/USD".to_owned(), scale())])
}

/// A price of so many hundredths and a quantity of so many times 0.00025.
fn texts(level: &Level) -> (String, String) {
    let (price, quantity) = (level.price_ticks, level.lots * 25);
    let (whole, part) = (quantity / 100_000, quantity % 100_000);
    (format!("{}.{:02}000", price / 100, price % 100), format!("{whole}.{part:05}"))
}

fn depth_frame(bids: &[Level], asks: &[Level]) -> Vec<u8> {
    let side = |levels: &[Level]| {
        let rows: Vec<String> = levels.iter().map(texts).map(|(p, q)| format!("[\"{p}\",\"{q}\"]")).collect();
        rows.join(",")
    };
    format!(
        "{{\"stream\":\"btcusdt@depth@100ms\",\"data\":{{\"e\":\"depthUpdate\",\"E\":17,\"T\":16,\"s\":\"BTCUSDT\",\
         \"U\":3,\"u\":5,\"pu\":2,\"b\":[{}],\"a\":[{}]}}}}",
        side(bids),
        side(asks)
    )
    .into_bytes()
}

fn book_frame(bids: &[Level], asks: &[Level]) -> Vec<u8> {
    let side = |levels: &[Level]| {
        let rows: Vec<String> =
            levels.iter().map(texts).map(|(p, q)| format!("{{\"price\":{p},\"qty\":{q}}}")).collect();
        rows.join(",")
    };
    format!(
        "{{\"channel\":\"book\",\"type\":\"update\",\"data\":[{{\"symbol\":\"BTC/USD\",\"bids\":[{}],\"asks\":[{}],\
         \"checksum\":4294967295,\"timestamp\":\"1970-01-01T00:00:01.000002Z\"}}]}}",
        side(bids),
        side(asks)
    )
    .into_bytes()
}

fn levels() -> impl Strategy<Value = Vec<Level>> {
    let one = (1_i64..1_000_000_000, 0_i128..1_000_000_000);
    prop::collection::vec(one.prop_map(|(price_ticks, lots)| Level { price_ticks, lots }), 0..8)
}

proptest! {
    #[test]
    fn what_was_written_is_read(bids in levels(), asks in levels()) {
        let depth = binance::depth(&depth_frame(&bids, &asks), &scale()).expect("a usual frame");
        let expected = binance::Depth {
            first_id: 3, last_id: 5, previous_id: Some(2), event_ns: 17_000_000, bids: bids.clone(), asks: asks.clone(),
        };
        prop_assert_eq!(depth, expected);
        let update = reader().update(&book_frame(&bids, &asks)).expect("a usual frame");
        let expected = kraken::Update {
            symbol: 1, bids, asks, checksum: 4_294_967_295, venue_ns: Some(1_000_002_000),
        };
        prop_assert_eq!(update, expected);
    }

    #[test]
    fn no_damage_makes_a_reader_panic_and_none_is_read_as_more_levels(
        bids in levels(), asks in levels(), damage in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..4, any::<u8>()), 1..6)
    ) {
        for mut frame in [depth_frame(&bids, &asks), book_frame(&bids, &asks)] {
            for (index, kind, byte) in &damage {
                let place = index.index(frame.len() + 1);
                match kind {
                    0 => frame.truncate(place),
                    1 => frame.insert(place, *byte),
                    2 => drop(frame.drain(place..(place + 1).min(frame.len()))),
                    _ => frame.get_mut(place).map_or((), |there| *there = *byte),
                }
                if frame.is_empty() {
                    break;
                }
            }
            let depth = binance::depth(&frame, &scale()).map(|one| one.bids.len() + one.asks.len());
            let update = reader().update(&frame).map(|one| one.bids.len() + one.asks.len());
            let most = frame.len() / 7;
            prop_assert!(depth.is_none_or(|count| count <= most));
            prop_assert!(update.is_none_or(|count| count <= most));
        }
    }

    #[test]
    fn noise_is_no_frame(noise: Vec<u8>) {
        prop_assert!(binance::depth(&noise, &scale()).is_none());
        prop_assert!(reader().update(&noise).is_none());
    }

    #[test]
    fn steps_are_exact_or_none(denominator in 1_u64..100_000, exponent in -20_i32..20, digits: u64, decimals in 0_usize..20) {
        let units = Units::new(denominator, exponent, 0).expect("a step");
        if let Some(steps) = units.steps(digits, decimals) {
            // digits × 10^-decimals = steps × denominator × 10^exponent, both sides times a common power of ten
            let places = u32::try_from(decimals).expect("few").max(exponent.unsigned_abs());
            let left = i128::from(digits).checked_mul(10_i128.pow(places - decimals as u32));
            let power = u32::try_from(places as i32 + exponent).expect("not negative");
            let right = 10_i128.checked_pow(power)
                .and_then(|power| power.checked_mul(i128::from(steps)))
                .and_then(|number| number.checked_mul(i128::from(denominator)));
            if let (Some(left), Some(right)) = (left, right) {
                prop_assert_eq!(left, right);
            }
        }
    }
}
