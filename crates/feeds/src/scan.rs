//! A cursor over the bytes of a frame that only knows JSON without blanks and escapes.

use crate::units::{Scale, MAX_DECIMALS};
use crate::Level;

/// So many decimal digits fit into 64 bits whatever they are.
const MAX_DIGITS: usize = 18;
/// Room made for the levels of one side before they are counted.
const USUAL_LEVELS: usize = 24;

pub struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Scan { rest: bytes }
    }

    pub fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Exactly these bytes.
    #[inline]
    pub fn literal(&mut self, wanted: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(wanted)?;
        Some(())
    }

    /// Whether this byte is next; it is taken when it is.
    #[inline]
    pub fn takes(&mut self, wanted: u8) -> bool {
        match self.rest.split_first() {
            Some((&byte, rest)) if byte == wanted => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// A string of printable ASCII without escapes.
    pub fn text(&mut self) -> Option<&'a [u8]> {
        self.literal(b"\"")?;
        let end = self
            .rest
            .iter()
            .position(|&byte| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\'))?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix(b"\"")?;
        Some(text)
    }

    /// The name of a field and its colon.
    pub fn key(&mut self) -> Option<&'a [u8]> {
        let name = self.text()?;
        self.literal(b":")?;
        Some(name)
    }

    /// A whole number of at most 18 digits without sign and leading zeros.
    pub fn whole(&mut self) -> Option<u64> {
        match self.number()? {
            (value, 0) => Some(value),
            _ => None,
        }
    }

    /// A JSON number without sign and exponent: its digits and how many of them are decimals.
    #[inline]
    fn number(&mut self) -> Option<(u64, usize)> {
        if let [b'0', b'0'..=b'9', ..] = self.rest {
            return None;
        }
        self.decimal()
    }

    /// Digits, at most 18 of them, with or without a point between them: the digits and how many are decimals.
    #[inline]
    fn decimal(&mut self) -> Option<(u64, usize)> {
        let bytes = self.rest;
        let mut value = 0_u64;
        let mut at = 0;
        let mut point = None;
        while let Some(&byte) = bytes.get(at) {
            let digit = byte.wrapping_sub(b'0');
            if digit <= 9 {
                // wraps only behind too many digits, which are refused below
                value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
            } else if byte == b'.' && point.is_none() {
                point = Some(at);
            } else {
                break;
            }
            at += 1;
        }
        let (digits, decimals) = match point {
            None => (at, 0),
            Some(place) if place > 0 && place + 1 < at => (at - 1, at - 1 - place),
            Some(_) => return None,
        };
        if digits == 0 || digits > MAX_DIGITS || decimals > MAX_DECIMALS {
            return None;
        }
        self.rest = bytes.get(at..)?;
        Some((value, decimals))
    }

    /// The value of a field that nobody asks for: a string, a plain number, true, false or null.
    pub fn skip(&mut self) -> Option<()> {
        match self.rest.first()? {
            b'"' => self.text().map(drop),
            b'0'..=b'9' => self.number().map(drop),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => None,
        }
    }

    /// `[["price","quantity"],...]`
    pub fn text_levels(&mut self, scale: &Scale) -> Option<Vec<Level>> {
        self.levels(|scan| {
            scan.literal(b"[\"")?;
            let price = scan.decimal()?;
            scan.literal(b"\",\"")?;
            let quantity = scan.decimal()?;
            scan.literal(b"\"]")?;
            level(scale, price, quantity)
        })
    }

    /// `[{"price":1.5,"qty":2},...]`
    pub fn named_levels(&mut self, scale: &Scale) -> Option<Vec<Level>> {
        self.levels(|scan| {
            scan.literal(b"{\"price\":")?;
            let price = scan.number()?;
            scan.literal(b",\"qty\":")?;
            let quantity = scan.number()?;
            scan.literal(b"}")?;
            level(scale, price, quantity)
        })
    }

    #[inline]
    fn levels(&mut self, read: impl Fn(&mut Self) -> Option<Level>) -> Option<Vec<Level>> {
        self.literal(b"[")?;
        if self.takes(b']') {
            return Some(Vec::new());
        }
        let mut levels = Vec::with_capacity(USUAL_LEVELS);
        loop {
            levels.push(read(self)?);
            if self.takes(b']') {
                return Some(levels);
            }
            self.literal(b",")?;
        }
    }
}

#[inline]
fn level(scale: &Scale, price: (u64, usize), quantity: (u64, usize)) -> Option<Level> {
    let price_ticks = i64::try_from(scale.price.steps(price.0, price.1)?).ok()?;
    let lots = i128::from(scale.quantity.steps(quantity.0, quantity.1)?);
    Some(Level { price_ticks, lots })
}
