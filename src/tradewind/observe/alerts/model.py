"""What an alert is (O7.1): the rule that fired, where, how bad, and what to do first."""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Any

import msgspec

MAX_TEXT = 1_024


class Severity(IntEnum):
    """Ordered by urgency."""

    TICKET = 0
    PAGE = 1
    SEV1 = 2
    """A page for an uncontrolled position, a key, the ledger or the chain."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One firing of a rule. `at_ns` is UTC. Two with the same `id` are one to the receiver."""

    rule: str
    text: str
    severity: Severity
    scope: str
    at_ns: int
    runbook: str = ""

    @property
    def id(self) -> str:
        """The deduplication key: rule, scope and moment."""
        return hashlib.blake2b(
            f"{self.rule}\0{self.scope}\0{self.at_ns}".encode(), digest_size=12
        ).hexdigest()

    def event(self, source: str) -> dict[str, Any]:
        """In the form of Events v2, which incident services take."""
        return {
            "event_action": "trigger",
            "dedup_key": self.id,
            "payload": {
                "summary": self.text[:MAX_TEXT],
                "severity": ("warning", "error", "critical")[self.severity],
                "source": source,
                "component": self.scope,
                "class": self.rule,
                "custom_details": {"at_ns": str(self.at_ns)},
            },
            "links": [{"href": self.runbook, "text": "runbook"}] if self.runbook else [],
        }
