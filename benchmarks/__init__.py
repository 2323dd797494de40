"""What performance claims rest on: prints tables, never asserts times."""
