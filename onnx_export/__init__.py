"""Checkpoint to model folder: train, export, quantise, validate. The only package that imports torch."""
