"""Execution algorithms (T13): parents that are worked as child orders over time."""
