"""lofi: music for your editor, made on your own machine.

The floors of the house, and the only direction imports may take:
rpc → jobs → backends → onnx, sound. errors, parameters, config, cancellation and child are the
ground.
"""

import os

__version__ = "0.2.0"
PROTOCOL_VERSION = 1

# Nothing leaves the computer but what a download asks for, whatever the environment says. This is
# the one place that every process passes before it can import what would send: onnxruntime
# (device id and usage to Microsoft), huggingface_hub and what builds on it (usage and a list of
# agents), and whoever asks the common name. onnx and torch send nothing.
for _name in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ[_name] = "1"
