"""Measurements and experiments on the platform: benchmarks, load, faults, simulation."""
