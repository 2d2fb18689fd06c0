//! What an invariant check answers.

/// A broken invariant before it is tied to a sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub invariant: &'static str,
    pub detail: String,
}

pub type Check<T = ()> = Result<T, Fault>;

/// Builds the fault out of line, so that the checks stay small where they hold.
#[cold]
pub fn fault(invariant: &'static str, detail: std::fmt::Arguments<'_>) -> Fault {
    Fault { invariant, detail: detail.to_string() }
}

/// Returns a fault with the named invariant unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $invariant:literal, $($detail:tt)+) => {
        if !$condition {
            return Err($crate::audit::fault::fault($invariant, format_args!($($detail)+)));
        }
    };
}

pub(super) use ensure;
