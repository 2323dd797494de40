"""A person who types: the keys, the simulated editor, the real server, and the figures."""
