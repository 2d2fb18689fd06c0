"""Alerts on their way to people: a bounded queue, two sinks, retries, and a sign that the way lives."""

from tradewind.observe.alerts.model import Alert, Severity
from tradewind.observe.alerts.router import AlertRouter
from tradewind.observe.alerts.sinks import FileSink, Sink, SinkError, WebhookSink

__all__ = ["Alert", "AlertRouter", "FileSink", "Severity", "Sink", "SinkError", "WebhookSink"]
