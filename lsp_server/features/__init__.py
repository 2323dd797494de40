"""One module for each protocol method."""
