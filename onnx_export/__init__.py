"""Checkpoint to model folder: train, export, quantise, validate. The only package that imports torch."""

import os

# Whatever is exported lies on this machine. huggingface-hub and transformers read these as they are imported.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
