//! Manipulation detection: declared links, cases, and what a score leads to (protocol P12, row 0704).

use crate::book::Book;
use crate::engine::Engine;
use crate::limits::MAX_OWNER_LINKS;
use crate::output::{Output, Subject};
use crate::wire::command::{Command, LinkOwners};
use crate::wire::error::{reject, Code, Reject};
use crate::wire::event::{EventKind, OwnerLinkBody};

impl<B: Book> Engine<B> {
    /// 0704/0: the envelope's owner and another count as one, or no longer do.
    pub(crate) fn link_owners(
        &mut self,
        command: &Command,
        first: u32,
        output: &mut Output,
    ) -> Result<u64, Reject> {
        let request: LinkOwners = command.payload_as();
        let reserved = u32::from(request.reserved) | u32::from(request.reserved2) | request.reserved3;
        if reserved != 0 {
            return reject(Code::RESERVED_NOT_ZERO, 0, i64::from(reserved));
        }
        if request.linked > 1 {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, 1, i64::from(request.linked));
        }
        let other = self.state.accounts.find(&request.other).ok_or(Reject::from(Code::ACCOUNT_NOT_FOUND))?;
        if other == first {
            return reject(Code::PARAMETER_OUT_OF_BOUNDS, i64::from(first), i64::from(other));
        }
        if request.evidence_hash == [0; 32] {
            return Err(Code::EVIDENCE_INVALID.into());
        }
        let links = &mut self.state.detector.links;
        match request.linked {
            1 if links.linked(first, other) => {
                return reject(Code::ALREADY_EXISTS, 0, i64::from(other));
            }
            1 if links.is_full() => {
                return reject(Code::CAPACITY_EXCEEDED, MAX_OWNER_LINKS as i64, MAX_OWNER_LINKS as i64);
            }
            1 => {
                links.link(first, other);
            }
            _ if !links.unlink(first, other) => {
                return reject(Code::INVALID_TRANSITION, 1, 0);
            }
            _ => {}
        }
        let body = OwnerLinkBody {
            other,
            linked: request.linked,
            reserved: 0,
            reserved2: 0,
            evidence_hash: request.evidence_hash,
        };
        output.emit(command, EventKind::OwnersLinked, Subject::account(first, 0), &body);
        Ok(u64::from(other))
    }
}
