"""The power flow of a network as arrays: many steps in the time that one takes with tables."""
