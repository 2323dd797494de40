"""The client of a team's service: what leaves this machine, how it gets there, and when the local model answers."""
