//! The canonical encoding of state: little-endian, records in ascending order (protocol P1.1.4).

/// Appends little-endian values.
#[derive(Default)]
pub struct Writer {
    pub bytes: Vec<u8>,
}

macro_rules! write_int {
    ($($name:ident : $t:ty),*) => { $(pub fn $name(&mut self, value: $t) { self.bytes.extend_from_slice(&value.to_le_bytes()); })* };
}

impl Writer {
    write_int!(u8: u8, u16: u16, u32: u32, u64: u64, i64: i64);

    pub fn raw(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
    }

    /// A count or length.
    pub fn len(&mut self, value: usize) {
        self.u64(value as u64);
    }
}

/// Reads what a [`Writer`] wrote; every shortage is an error, never a panic.
pub struct Reader<'a> {
    bytes: &'a [u8],
}

macro_rules! read_int {
    ($($name:ident : $t:ty),*) => { $(pub fn $name(&mut self) -> Result<$t, String> {
        Ok(<$t>::from_le_bytes(self.array()?))
    })* };
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes }
    }

    read_int!(u8: u8, u16: u16, u32: u32, u64: u64, i64: i64);

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (head, tail) = self
            .bytes
            .split_at_checked(N)
            .ok_or_else(|| format!("{N} bytes needed, {} left", self.bytes.len()))?;
        self.bytes = tail;
        Ok(head.try_into().expect("split at N"))
    }

    /// A count whose items take at least `item_size` bytes each, so that a forged one cannot exhaust memory.
    pub fn len(&mut self, item_size: usize) -> Result<usize, String> {
        let count = self.u64()?;
        if count > (self.bytes.len() / item_size.max(1)) as u64 {
            return Err(format!("count {count} does not fit the {} bytes left", self.bytes.len()));
        }
        Ok(count as usize)
    }

    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }
}
