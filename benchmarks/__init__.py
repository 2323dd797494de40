"""What performance claims rest on: each benchmark prints a table and ratios against a peer, and never asserts times."""
