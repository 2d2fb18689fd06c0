"""`GET /metrics` and `GET /health` on a FastAPI application."""

from __future__ import annotations

import msgspec
from fastapi import FastAPI
from fastapi.responses import Response

from .health import assess
from .metrics import CONTENT_TYPE, Metrics
from .view import ViewSource


def mount_observe(app: FastAPI, source: ViewSource, metrics: Metrics) -> None:
    """Add both routes. `/health` answers 503 with the reasons when anything is not known to work."""

    async def health() -> Response:
        report = assess(source())
        return Response(msgspec.json.encode(report), 200 if report.ok else 503, media_type="application/json")

    async def exposition() -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    app.add_api_route(
        "/health", health, methods=["GET"], include_in_schema=True, summary="Health with reasons"
    )
    app.add_api_route(
        "/metrics", exposition, methods=["GET"], include_in_schema=True, summary="Prometheus metrics"
    )
