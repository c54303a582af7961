"""Studies: what the papers ask of the networks, one folder per question."""
