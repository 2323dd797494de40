"""The service of a team: one engine for many editors, over HTTP.

`protocol`, `answers`, `events` and `fields` are what both ends speak, and need the standard library only. The other
modules need the extra ``team``.
"""
