//! CRC-32 (IEEE 802.3) and the decimal text that Kraken's book checksum is made of.

const POLYNOMIAL: u32 = 0xEDB8_8320;
const LANES: usize = 8;
const TABLES: [[u32; 256]; LANES] = tables();

const fn tables() -> [[u32; 256]; LANES] {
    let mut tables = [[0; 256]; LANES];
    let mut index = 0;
    while index < 256 {
        let mut remainder = index as u32;
        let mut bit = 0;
        while bit < 8 {
            remainder = if remainder & 1 == 1 { remainder >> 1 ^ POLYNOMIAL } else { remainder >> 1 };
            bit += 1;
        }
        tables[0][index] = remainder;
        index += 1;
    }
    let mut lane = 1;
    while lane < LANES {
        let mut index = 0;
        while index < 256 {
            let before = tables[lane - 1][index];
            tables[lane][index] = before >> 8 ^ tables[0][(before & 0xFF) as usize];
            index += 1;
        }
        lane += 1;
    }
    tables
}

/// CRC-32 of several pieces, one behind the other.
pub fn crc32(pieces: &[&[u8]]) -> u32 {
    !pieces.iter().fold(u32::MAX, |state, piece| continued(state, piece))
}

fn continued(mut state: u32, bytes: &[u8]) -> u32 {
    let mut chunks = bytes.chunks_exact(LANES);
    for chunk in &mut chunks {
        let mut next = 0;
        for (place, &byte) in chunk.iter().enumerate() {
            let mixed = match place {
                0..4 => byte ^ (state >> (8 * place)) as u8,
                _ => byte,
            };
            next ^= TABLES[LANES - 1 - place][usize::from(mixed)];
        }
        state = next;
    }
    for &byte in chunks.remainder() {
        state = state >> 8 ^ TABLES[0][usize::from(state as u8 ^ byte)];
    }
    state
}

/// Appends the decimal digits of `number`.
pub fn write_decimal(number: i128, text: &mut Vec<u8>) {
    if number < 0 {
        text.push(b'-');
    }
    let mut digits = [0; 39];
    let mut begin = digits.len();
    let mut wide = number.unsigned_abs();
    while wide > u128::from(u64::MAX) {
        begin -= 1;
        digits[begin] = b'0' + (wide % 10) as u8;
        wide /= 10;
    }
    let mut rest = wide as u64;
    loop {
        begin -= 1;
        digits[begin] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[begin..]);
}

#[cfg(test)]
mod tests {
    use super::{crc32, write_decimal};
    use proptest::prelude::*;

    fn bitwise(bytes: &[u8]) -> u32 {
        let mut state = u32::MAX;
        for &byte in bytes {
            state ^= u32::from(byte);
            for _ in 0..8 {
                state = state >> 1 ^ if state & 1 == 1 { 0xEDB8_8320 } else { 0 };
            }
        }
        !state
    }

    #[test]
    fn the_check_value_of_the_standard_comes_out() {
        assert_eq!(crc32(&[b"123456789"]), 0xCBF4_3926);
        assert_eq!(crc32(&[]), 0);
    }

    proptest! {
        #[test]
        fn tables_agree_with_the_bitwise_definition(pieces: Vec<Vec<u8>>) {
            let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(crc32(&slices), bitwise(&pieces.concat()));
        }

        #[test]
        fn digits_are_those_of_the_standard_library(number: i128, small: i64) {
            for value in [number, i128::from(small), i128::MIN, i128::MAX, 0] {
                let mut text = b"x".to_vec();
                write_decimal(value, &mut text);
                prop_assert_eq!(text, format!("x{value}").into_bytes());
            }
        }
    }
}
