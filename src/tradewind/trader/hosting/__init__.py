"""Hosting strategies: one host each, contained, with its own book, clock and orders (T14.1, T14.2)."""
