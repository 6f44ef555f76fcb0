"""The native form: graphs written node by node from a checkpoint's weights, fast on a CPU.

Needs the onnx package; nothing else of the backend does. Imports the bundle's facts only.
"""
