"""Networks, regions and text features that are random, for measurements without downloads."""
