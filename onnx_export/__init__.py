"""Checkpoint to model folder: train, export, quantise, validate. The only package that imports torch."""

import os
from types import MappingProxyType

OFFLINE = MappingProxyType({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"})
"""Variables that huggingface-hub and transformers read when they are imported. With them, nothing is looked up on a
hub: everything that is exported is on this machine.
"""
os.environ.update(OFFLINE)
