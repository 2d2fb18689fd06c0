//! The sentences of the error catalogue with their values put in (protocol P20.2, P6.6).
//!
//! A template names `{given}` and `{bound}`, each with a form behind a colon where the plain number would not tell:
//!
//! | form | shows |
//! |---|---|
//! | `micro` | millionths of a unit as a decimal: 1500000 is 1.5 |
//! | `billionths`, `hundredths` | likewise |
//! | `percent` | parts per million as a percentage: 25000 is 2.5 % |
//! | `time` | nanoseconds since 1970 as UTC |
//! | `hex` | hexadecimal |
//! | `status`, `feed` | the name of a market's status or a feed's state |
//! | `cap` | a cap of leverage: hundredths in the low 32 bits, what binds it above them (P4.5) |
//! | `code` | the name of an error of this catalogue |
//!
//! What stands in square brackets is left out when every value that it names is 0, which is "does not apply".

use super::error::Code;
use crate::market::status;
use crate::oracle::state;

const NS_PER_S: i64 = 1_000_000_000;
const S_PER_DAY: i64 = 86_400;

/// `template` with its values; a form that does not exist stays as it is written, so that a test sees it.
pub fn render(template: &str, bound: i64, given: i64) -> String {
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some(open) = rest.find('[') {
        let Some(length) = rest[open..].find(']') else { break };
        text.push_str(&fill(&rest[..open], bound, given));
        let part = &rest[open + 1..open + length];
        let applies = |name: &str, value: i64| value != 0 && part.contains(name);
        if applies("{bound", bound) || applies("{given", given) {
            text.push_str(&fill(part, bound, given));
        }
        rest = &rest[open + length + 1..];
    }
    text.push_str(&fill(rest, bound, given));
    text
}

/// Values in place of what stands in braces.
fn fill(part: &str, bound: i64, given: i64) -> String {
    let mut text = String::with_capacity(part.len() + 24);
    let mut rest = part;
    while let Some(open) = rest.find('{') {
        let Some(length) = rest[open..].find('}') else { break };
        text.push_str(&rest[..open]);
        let (name, form) = match rest[open + 1..open + length].split_once(':') {
            Some((name, form)) => (name, form),
            None => (&rest[open + 1..open + length], ""),
        };
        let shown = match name {
            "given" => shown(given, form),
            "bound" => shown(bound, form),
            _ => None,
        };
        text.push_str(shown.as_deref().unwrap_or(&rest[open..=open + length]));
        rest = &rest[open + length + 1..];
    }
    text.push_str(rest);
    text
}

fn shown(value: i64, form: &str) -> Option<String> {
    let named = |names: &[&str]| match usize::try_from(value).ok().and_then(|place| names.get(place)) {
        Some(name) => (*name).to_owned(),
        None => value.to_string(),
    };
    Some(match form {
        "" => value.to_string(),
        "micro" => decimal(value, 6),
        "billionths" => decimal(value, 9),
        "hundredths" => decimal(value, 2),
        "percent" => decimal(value, 4) + " %",
        "time" => time(value),
        "hex" => format!("{value:#x}"),
        "status" => named(&status::NAMES),
        "feed" => named(&state::NAMES),
        "cap" => format!("{} ({})", decimal(value & 0xFFFF_FFFF, 2), term(value >> 32)),
        "code" => u16::try_from(value)
            .ok()
            .and_then(Code::from_number)
            .map_or_else(|| value.to_string(), |code| code.entry().name.to_owned()),
        _ => return None,
    })
}

/// What binds a cap, in the numbering of `coverage::Term`.
fn term(number: i64) -> &'static str {
    match number {
        0 => "the market's maximum",
        1 => "the number of outcomes",
        2 => "coverage",
        3 => "the ladder of coverage",
        4 => "the vault's stage",
        _ => "unknown",
    }
}

/// `value`/10^`digits` without trailing zeros.
fn decimal(value: i64, digits: usize) -> String {
    let scale = 10u64.pow(digits as u32);
    let (whole, part) = (value.unsigned_abs() / scale, value.unsigned_abs() % scale);
    let sign = if value < 0 { "-" } else { "" };
    let part = format!("{part:0digits$}");
    match part.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        part => format!("{sign}{whole}.{part}"),
    }
}

/// `2026-11-21T19:30:05.250Z`; "never" at the end of time. Days to a date by counting from 1 March of year 0, so that
/// the leap day is a year's last (proleptic Gregorian calendar, 400 years of 146,097 days).
fn time(ns: i64) -> String {
    if ns == i64::MAX {
        return "never".to_owned();
    }
    let (seconds, part) = (ns.div_euclid(NS_PER_S), ns.rem_euclid(NS_PER_S));
    let (days, second) = (seconds.div_euclid(S_PER_DAY), seconds.rem_euclid(S_PER_DAY));
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let part = match part {
        0 => String::new(),
        part => format!(".{}", format!("{part:09}").trim_end_matches('0')),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{part}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::error::CATALOGUE;

    #[test]
    fn every_template_names_only_values_and_forms_that_exist() {
        for entry in CATALOGUE {
            for (bound, given) in [(0, 0), (3, 4), (i64::MAX, i64::MIN), (i64::MIN, i64::MAX)] {
                let text = render(entry.template, bound, given);
                let left: Vec<char> = text.chars().filter(|symbol| "{}[]".contains(*symbol)).collect();
                assert!(left.is_empty(), "{}: {text}", entry.name);
                assert!(
                    !text.trim().is_empty() && !entry.template.contains(", bound {bound}"),
                    "{}: {text}",
                    entry.name
                );
            }
        }
    }

    #[test]
    fn forms_show_what_the_number_means() {
        assert_eq!(render("{given:micro} of {bound:micro}", 250_000, -1_500_001), "-1.500001 of 0.25");
        assert_eq!(render("{given:percent}", 0, 25_000), "2.5 %");
        assert_eq!(render("{given:hundredths}×", 0, 1_250), "12.5×");
        assert_eq!(render("{given:billionths}", 0, 50_000_000), "0.05");
        assert_eq!(render("{given:status} {bound:feed}", 6, 1), "ACTIVE NO_QUORUM");
        assert_eq!(render("{given:status}", 0, 99), "99");
        assert_eq!(render("{given:code} {bound:hex}", 255, 2_101), "INVALID_SIZE 0xff");
        assert_eq!(render("{bound:cap}", (2 << 32) | 1_050, 0), "10.5 (coverage)");
        assert_eq!(render("{other} {given:form}", 1, 2), "{other} {given:form}");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_000_000_000, "2000-02-28T23:59:59Z"),
            (951_782_400_250_000_000, "2000-02-29T00:00:00.25Z"),
            (1_795_289_405_000_000_000, "2026-11-21T19:30:05Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (i64::MAX, "never"),
        ];
        for (ns, text) in cases {
            assert_eq!(time(ns), text);
        }
    }

    #[test]
    fn what_does_not_apply_is_left_out() {
        assert_eq!(render("too low[: {given} of {bound}]", 0, 0), "too low");
        assert_eq!(render("too low[: {given} of {bound}], sorry", 5, 0), "too low: 0 of 5, sorry");
        assert_eq!(render("a[, {bound}] b[, {given}]", 0, 2), "a b, 2");
    }
}
