"""Is the distance to the uniform distribution as good as that to the ground truth? DSLO."""
