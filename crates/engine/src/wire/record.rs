//! Fixed-size little-endian records and the field tables that other languages read.
//!
//! A record is a `repr(C)` struct without implicit padding: its bytes in memory, in the journal and in
//! Python are the same bytes. The size is asserted at compile time.

use bytemuck::{Pod, Zeroable};

/// One field of a record: name, byte offset and NumPy type string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub offset: usize,
    pub numpy_type: &'static str,
}

/// A fixed-size record with a published field table.
pub trait Record: Pod {
    const NAME: &'static str;
    const SIZE: usize;
    const FIELDS: &'static [Field];

    /// The record's bytes.
    fn bytes(&self) -> &[u8] {
        bytemuck::bytes_of(self)
    }

    /// All bytes zero.
    fn zero() -> Self {
        Zeroable::zeroed()
    }
}

/// The NumPy type string of a field type.
pub trait FieldType {
    const NUMPY: &'static str;
}

macro_rules! field_types {
    ($($t:ty => $n:literal),* $(,)?) => { $(impl FieldType for $t { const NUMPY: &'static str = $n; })* };
}

field_types! {
    u8 => "|u1", u16 => "<u2", u32 => "<u4", u64 => "<u8", i64 => "<i8",
    [u8; 16] => "|V16", [u8; 32] => "|V32", [u8; 48] => "|V48", [u8; 56] => "|V56", [u8; 64] => "|V64", [u8; 72] => "|V72",
    [u8; 3] => "|V3", [u8; 24] => "|V24", [u8; 28] => "|V28", [u64; 8] => "|V64", [u64; 28] => "|V224", [u32; 5] => "|V20",
    [u8; 21] => "|V21", [crate::record520::Link; 11] => "|V176",
}

/// Declares a record: struct, compile-time size assertion and field table in one place.
#[macro_export]
macro_rules! record {
    ($(#[$meta:meta])* $name:ident : $size:literal {
        $( $(#[$field_meta:meta])* $field:ident : $type:ty ),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C)]
        pub struct $name { $( $(#[$field_meta])* pub $field: $type ),* }

        const _: () = assert!(core::mem::size_of::<$name>() == $size);

        impl $crate::wire::record::Record for $name {
            const NAME: &'static str = stringify!($name);
            const SIZE: usize = $size;
            const FIELDS: &'static [$crate::wire::record::Field] = &[
                $( $crate::wire::record::Field {
                    name: stringify!($field),
                    offset: core::mem::offset_of!($name, $field),
                    numpy_type: <$type as $crate::wire::record::FieldType>::NUMPY,
                } ),*
            ];
        }
    };
}
