"""Connections to venues: supervised WebSocket, public HTTP, backoff, raw capture."""
