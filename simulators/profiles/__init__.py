"""Time series from files: every format a user has -> one checked `Profile` or `Weather` in UTC."""
