"""A platform that runs elsewhere on this machine, over its HTTP API.

Address and token are read from the data directory for every request, so that a restarted platform is found
on its new port.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from tradewind.core.errors import InvalidField
from tradewind.core.records import codec
from tradewind.core.units import from_micros
from tradewind.keepers.port import (
    ACTION_CRANK,
    ACTION_LIQUIDATE,
    Action,
    Duties,
    Identity,
    Outcome,
    PortUnavailable,
    SourceDuties,
    Suspects,
    VenueLink,
    VenueLinks,
)

LOOPBACK: Final = "127.0.0.1"
TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 8 << 20
SUCCESS: Final = range(200, 300)
SERVER_ERROR: Final = 500
VENUE_COMMANDS: Final = 200
ACTION_NAMES: Final = {ACTION_LIQUIDATE: "liquidate", ACTION_CRANK: "crank"}


class RemotePort:
    """One worker's way to the API of the platform of a data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._ahead_ns = 0
        """How far the platform's clock is ahead of this process's."""

    def now_ns(self) -> int:
        """The platform's time, from its last answer."""
        return time.time_ns() + self._ahead_ns

    async def duties(self, identity: Identity) -> Duties:
        """See `Port`."""
        document = await self._get(f"/keepers/duties?account={identity.account.hex()}")
        duties = msgspec.convert(document, Duties)
        self._hear(duties.now_ns)
        return duties

    async def suspects(self, start: int) -> Suspects:
        """See `Port`."""
        return msgspec.convert(await self._get(f"/keepers/suspects?start={start}"), Suspects)

    async def sources(self, identity: Identity) -> SourceDuties:
        """See `Port`."""
        duties = msgspec.convert(await self._get(f"/sources/{identity.name}"), SourceDuties)
        self._hear(duties.now_ns)
        return duties

    async def send(self, identity: Identity, action: Action) -> Outcome:
        """See `Port`."""
        path, body = self._request_of(identity, action)
        status, document = await asyncio.to_thread(self._exchange, "POST", path, body)
        if status in SUCCESS:
            return Outcome(accepted=True, duplicate=bool(document.get("duplicate", False)))
        if not document.get("code") and (status >= SERVER_ERROR or not document.get("name")):
            raise PortUnavailable(f"{document.get('name', status)}: {document.get('detail', 'no answer')}")
        return Outcome(
            accepted=False,
            code=str(document["name"]),
            bound=int(document.get("bound", 0)),
            given=int(document.get("given", 0)),
        )

    async def venue_links(self, identity: Identity) -> VenueLinks:
        """See `Port`."""
        document = await self._get(f"/venues/links/{identity.name}")
        self._hear(int(document["now_ns"]))
        links = [
            VenueLink(
                market=int(one["market"]),
                condition=bytes.fromhex(one["condition"]),
                outcomes=int(one["outcomes"]),
            )
            for one in document["links"]
        ]
        return VenueLinks(now_ns=int(document["now_ns"]), links=tuple(links))

    async def send_all(self, identity: Identity, actions: Sequence[Action]) -> list[Outcome]:
        """See `Port`. Commands of venue quotes only, some hundred a request."""
        outcomes: list[Outcome] = []
        for start in range(0, len(actions), VENUE_COMMANDS):
            some = actions[start : start + VENUE_COMMANDS]
            body = {
                "actor": identity.name,
                "commands": [
                    {
                        "command": action.command,
                        "payload": codec(action.command).pack(**action.fields).hex(),
                        "client_key": action.key.encode().hex(),
                    }
                    for action in some
                ],
            }
            status, document = await asyncio.to_thread(self._exchange, "POST", "/venues/batch", body)
            if status not in SUCCESS:
                raise PortUnavailable(
                    f"{document.get('name', status)}: {document.get('detail', 'no answer')}"
                )
            outcomes += [
                Outcome(
                    accepted=not one["code"],
                    code=one["code"],
                    bound=int(one["bound"]),
                    given=int(one["given"]),
                    value=int(one["value"]),
                )
                for one in document["results"]
            ]
        return outcomes

    async def wait(self, timeout_s: float) -> None:
        """See `Port`. There is nothing that wakes a process elsewhere: it looks again after a short time."""
        await asyncio.sleep(min(timeout_s, 0.25))

    async def account_of(self, name: str) -> dict[str, Any]:
        """An account's `name`, `account_id` and `owner_key`. Raises `PortUnavailable`."""
        document: dict[str, Any] = await self._get(f"/accounts/{quote(name, safe='')}")
        return document

    # ---- requests ----------------------------------------------------------------------------------

    def _hear(self, now_ns: int) -> None:
        self._ahead_ns = now_ns - time.time_ns()

    def _request_of(self, identity: Identity, action: Action) -> tuple[str, dict[str, Any]]:
        fields, body = action.fields, {"client_key": action.key}
        if action.command == "PublishPrice":
            prices = {
                name: str(from_micros(_int(fields[name]))) for name in ("value", "confidence", "bid", "ask")
            }
            body |= {**prices, "actor": identity.principal.hex()}
            return f"/feeds/{_int(fields['feed'])}/prices", {
                **body,
                "source_time_ns": fields["source_time_ns"],
                "source_seq": fields["source_seq"],
                "signature": action.attestation.hex() or None,
            }
        if action.command != "KeeperAct":
            raise InvalidField("Command", "kind", action.command, "a command that workers send")
        target = fields.get("target", b"")
        return "/keepers/act", {
            **body,
            "account": identity.account.hex(),
            "action": ACTION_NAMES[_int(fields["action"])],
            "market": str(fields["market"]),
            "target": target.hex() if isinstance(target, bytes) and target else None,
            "target_sub": fields.get("target_sub", 0),
        }

    async def _get(self, path: str) -> Any:
        status, document = await asyncio.to_thread(self._exchange, "GET", path, None)
        if status not in SUCCESS:
            raise PortUnavailable(f"{document.get('name', status)}: {document.get('detail', 'no answer')}")
        return document

    def _exchange(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        try:
            port = int(json.loads((self.data / "run.json").read_bytes())["port"])
            token = (self.data / "api.token").read_text(encoding="ascii").strip()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PortUnavailable(f"no platform runs on {self.data}") from error
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=TIMEOUT_S)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            payload = None if body is None else json.dumps({k: v for k, v in body.items() if v is not None})
            connection.request(method, f"/api/v1{path}", payload, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read(MAX_ANSWER_BYTES))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise PortUnavailable(f"no answer from port {port}: {error}") from error
        finally:
            connection.close()


def _int(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise TypeError("a number was expected")
    return value
