"""The readiness gate: a catalogue of criteria, probes which measure them, and signed evidence.

Nothing is green without a verified evidence record of this exact build and configuration. There is no score.
"""
