"""The typed Python front of the Rust core: engine, journal, records, commands, events, units.

Nothing is imported here: take the module you need, for example `from tradewind.core import commands`.
"""
