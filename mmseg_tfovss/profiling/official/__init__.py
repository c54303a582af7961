"""Official code and ours, timed in turn: ``tfovss benchmark CONFIG --against DIR``."""
