"""lofi: music for your editor, made on your own machine.

The floors of the house, and the only direction imports may take:
rpc → jobs → backends → onnx, sound. errors, parameters, config and cancellation are the ground.
"""

__version__ = "0.2.0"
PROTOCOL_VERSION = 1
