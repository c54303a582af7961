"""Looking at results: pictures, timing."""
