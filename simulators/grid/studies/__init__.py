"""Studies of a network by itself: a year, what it can host, what an outage does."""
