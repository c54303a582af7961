"""Pictures: overlays, grids of methods, lettering."""
