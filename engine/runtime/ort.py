"""onnxruntime, imported with its telemetry switched off. All other modules must import it from here.

onnxruntime from 1.31 on sends usage events unless this variable is set before its library is loaded: a session looks up
the host name of a collector, writes a device id and a queue of events below the user's cache folder, and a file in the
temporary folder. Its own function ``disable_telemetry_events`` comes too late for that.
"""

import os
import sys

TELEMETRY_OFF = "ORT_DISABLE_TELEMETRY"

ALREADY_LOADED = "onnxruntime" in sys.modules
"""Whether the program loaded onnxruntime before us, so that its telemetry may have begun."""
os.environ[TELEMETRY_OFF] = "1"

import onnxruntime as ort  # noqa: E402 - the variable has to be set first

if ALREADY_LOADED:
    ort.disable_telemetry_events()

__all__ = ["ALREADY_LOADED", "TELEMETRY_OFF", "ort"]
