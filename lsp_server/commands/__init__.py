"""One module for each command of ``midtoken``: its options, and what it prints."""
