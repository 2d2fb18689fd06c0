"""The staged ramp (T17): from simulation to live size, one dimension a step, by evidence and by people."""
