//! `2023-10-06T17:35:55.440295Z` to nanoseconds since 1970 UTC.

const LENGTH: usize = 27;
const DAYS_BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
const DAYS_IN_MONTH: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const FIRST_YEAR: i64 = 1970;
/// The last whole year of 64-bit nanoseconds.
const LAST_YEAR: i64 = 2261;

/// None for every other form, and for a date that is none.
pub fn microsecond_text_ns(text: &[u8]) -> Option<i64> {
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (26, b'Z')];
    if text.len() != LENGTH || marks.iter().any(|&(place, mark)| text[place] != mark) {
        return None;
    }
    let (year, month, day) = (digits(&text[..4])?, digits(&text[5..7])?, digits(&text[8..10])?);
    let (hour, minute, second) = (digits(&text[11..13])?, digits(&text[14..16])?, digits(&text[17..19])?);
    let microsecond = digits(&text[20..26])?;
    if !(FIRST_YEAR..=LAST_YEAR).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let index = (month - 1) as usize;
    let longest = DAYS_IN_MONTH[index] + i64::from(leap && month == 2);
    if !(1..=longest).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let past = year - 1;
    let leap_days = |year: i64| year / 4 - year / 100 + year / 400;
    let days = (year - FIRST_YEAR) * 365 + leap_days(past) - leap_days(FIRST_YEAR - 1)
        + DAYS_BEFORE_MONTH[index]
        + i64::from(leap && month > 2)
        + day
        - 1;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000_000_000 + microsecond * 1_000)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then(|| value * 10 + i64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::microsecond_text_ns;

    #[test]
    fn times_are_those_of_the_calendar() {
        let known = [
            ("1970-01-01T00:00:00.000000Z", 0),
            ("1970-01-01T00:00:00.000001Z", 1_000),
            ("2000-02-29T23:59:59.999999Z", 951_868_799_999_999_000),
            ("2023-10-06T17:35:55.440295Z", 1_696_613_755_440_295_000),
            ("2024-03-01T00:00:00.000000Z", 1_709_251_200_000_000_000),
            ("2100-03-01T00:00:00.000000Z", 4_107_542_400_000_000_000),
        ];
        for (text, expected) in known {
            assert_eq!(microsecond_text_ns(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "2023-02-29T00:00:00.000000Z",
            "2100-02-29T00:00:00.000000Z",
            "2023-04-31T00:00:00.000000Z",
            "2023-13-01T00:00:00.000000Z",
            "2023-00-01T00:00:00.000000Z",
            "2023-01-00T00:00:00.000000Z",
            "2023-01-01T24:00:00.000000Z",
            "2023-01-01T00:60:00.000000Z",
            "2023-01-01T00:00:60.000000Z",
            "1969-12-31T23:59:59.000000Z",
            "2262-01-01T00:00:00.000000Z",
            "2023-01-01T00:00:00.00000:Z",
            "2023-01-01T00:00:00.000000+",
            "2023-01-01T00:00:00.000Z",
            "",
        ] {
            assert_eq!(microsecond_text_ns(text.as_bytes()), None, "{text}");
        }
    }
}
