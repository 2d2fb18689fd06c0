"""The edge for prices: no publication is sequenced without the signature of its source.

Every way into the log goes through one submission, and every submission through this check; the signatures
that held are written into the same block, so that the log itself proves later who said what.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import structlog

from tradewind.core import native
from tradewind.core.errors import Rejected, reject
from tradewind.core.events import decode_notes
from tradewind.core.records import codec
from tradewind.security.publications import ATTESTATION_BYTES, HASH_BYTES, Publication, check

log = structlog.get_logger("tradewind.node")

PUBLICATION_STREAM: Final = 2
ATTESTED: Final = 1
"""Kind of the note: source (32 bytes), payload of the command, attestation (96 bytes)."""
_KIND, _OP, _ = native.command_kinds()["PublishPrice"]
_PLACES: Final = {name: place for name, place, _ in codec("Command").fields}
_PAYLOAD: Final = codec("PublishPrice")
_FIRST, _SECOND = _KIND.to_bytes(2, "little")


def publications_in(frame: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Principal and payload of every publication among whole commands, in their order."""
    size, place = native.COMMAND_SIZE, _PLACES["kind"]
    # Two strided looks decide for a frame without one, which is nearly every frame.
    if _SECOND not in frame[place + 1 :: size] or _FIRST not in frame[place::size]:
        return
    for start in range(0, len(frame), size):
        kind = frame[start + place : start + place + 2]
        if kind == bytes((_FIRST, _SECOND)) and frame[start + _PLACES["op"]] == _OP:
            principal = frame[start + _PLACES["principal"] :][:HASH_BYTES]
            yield principal, frame[start + _PLACES["payload"] :][: _PAYLOAD.size]


def publication_of(payload: bytes) -> Publication:
    """What a payload says."""
    fields = dict(_PAYLOAD.unpack(payload))
    fields.pop("reserved", None)
    return Publication(**fields)


class PublicationGate:
    """Checks the publications of one deployment's submissions."""

    def __init__(self, deployment: bytes) -> None:
        self.deployment = deployment
        self.refused = 0
        """Publications that were turned away since the node began."""

    def check(self, frame: bytes, attestations: Sequence[bytes]) -> list[tuple[int, int, bytes]]:
        """The notes that go into the log with the frame; `attestations` are those of its publications, in
        their order.

        Raises:
            Rejected: PUBLICATION_UNSIGNED, PUBLICATION_FOREIGN, PUBLICATION_FORGED; nothing is to be taken.
        """
        notes, given = [], iter(attestations)
        for source, payload in publications_in(frame):
            attestation = next(given, b"")
            try:
                check(attestation, self.deployment, source, publication_of(payload))
            except Rejected as error:
                self._tell(error, source, payload)
                raise
            notes.append((PUBLICATION_STREAM, ATTESTED, source + payload + attestation))
        if next(given, None) is not None:
            raise reject("PUBLICATION_FORGED", bound=len(notes), given=len(attestations))
        return notes

    def _tell(self, error: Rejected, source: bytes, payload: bytes) -> None:
        self.refused += 1
        said = publication_of(payload)
        log.warning(
            "publication_refused", code=error.name, source=source.hex(), feed=said.feed, seq=said.source_seq
        )


def attested_in(note: bytes) -> tuple[bytes, bytes, bytes]:
    """Source, payload and attestation of a note. Raises `struct.error` when it is cut short."""
    if len(note) != HASH_BYTES + _PAYLOAD.size + ATTESTATION_BYTES:
        raise struct.error(f"{len(note)} bytes are no attested publication")
    end = HASH_BYTES + _PAYLOAD.size
    return note[:HASH_BYTES], note[HASH_BYTES:end], note[end:]


def unattested(deployment: bytes, batches: Iterable[native.Batch]) -> tuple[int, list[int]]:
    """How many publications a log holds, refused ones too, and the sequence numbers of those that no valid
    signature of the same block stands for.
    """
    count, found = 0, []
    for batch in batches:
        proven = set()
        for note in decode_notes(batch.notes):
            if (note.stream, note.kind) == (PUBLICATION_STREAM, ATTESTED):
                try:
                    source, payload, attestation = attested_in(note.payload)
                    check(attestation, deployment, source, publication_of(payload))
                except (struct.error, Rejected):
                    continue
                proven.add((source, payload))
        frame, size = bytes(batch.commands), native.COMMAND_SIZE
        for place in range(0, len(frame), size):
            for said in publications_in(frame[place : place + size]):
                count += 1
                if said not in proven:
                    found.append(batch.first_seq + place // size)
    return count, found
