"""What a source of prices signs with its own key. The node never loads this: it only checks."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tradewind.core.errors import reject
from tradewind.security.publications import Publication, message


def attest(key: Ed25519PrivateKey, deployment: bytes, said: Publication) -> bytes:
    """The attestation of the source that `key` belongs to. Raises as `message`."""
    source = key.public_key().public_bytes_raw()
    return deployment + key.sign(message(deployment, source, said))


class Signer:
    """A source's own key. `pinned`: the only deployment that it signs for; None takes what the platform says.

    A source on a machine of its own is told the deployment by its operator: whoever runs the platform must
    not be able to collect signatures for another one.
    """

    def __init__(self, key: Ed25519PrivateKey, pinned: bytes | None = None) -> None:
        self._key = key
        self.pinned = pinned
        self.source = key.public_key().public_bytes_raw()

    def attest(self, deployment: bytes, said: Publication) -> bytes:
        """The attestation for the deployment that the platform names.

        Raises:
            Rejected: PUBLICATION_FOREIGN, when another one is pinned.
        """
        if self.pinned is not None and deployment != self.pinned:
            raise reject("PUBLICATION_FOREIGN")
        return attest(self._key, deployment, said)
