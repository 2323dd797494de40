"""The service of a team: one engine for many editors, over HTTP.

The client and the service share `protocol`, `answers`, `events` and `fields`, which need the standard library only. The
other modules need the extra ``team``.
"""
