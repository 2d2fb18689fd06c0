"""`tradewind status`: what the running platform says of itself."""

from __future__ import annotations

from tradewind.cli.client import Client
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_fields, print_json


def status(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Environment, feed, log head, trading state, alarms. Exit 1 when the node is stopped."""
    client = Client(data)
    view, head = client.get("/status"), client.get("/head")
    if json:
        print_json({"status": view, "head": head})
    else:
        fields = {
            "environment": view["env"],
            "version": view["version"],
            "url": f"http://localhost:{client.port}",
            "node": head["node"],
            "commands": head["next_seq"] - 1,
            "head": head["hash"],
            "feed": f"{view['feed']['label']} ({view['feed']['state']})",
            "market": view["market"]["symbol"],
            "trading": f"{view['trading']['state']} {view['trading']['reason']}".strip(),
            "strategy": f"{view['strategy']['name']} ({view['strategy']['state']})",
            "open orders": view["orders_open"],
            "workers": [f"{one['name']} {one['state']} {one['detail']}".strip() for one in view["workers"]],
            "alarms": [f"{one['severity']} {one['code']}: {one['text']}" for one in view["alarms"]],
        }
        print_fields(fields, title="Tradewind")
    return ExitCode.OK if head["stop_reason"] is None else ExitCode.RED
