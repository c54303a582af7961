"""The leaderboard: results of many runs as tables."""
