"""Somebody who types: the keys, the editor under them, the real server, and the accounts."""
