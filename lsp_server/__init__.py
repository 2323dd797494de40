"""The language server and the command line. Knows the engine only by its public names."""
