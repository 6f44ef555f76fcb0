"""The native form: graphs written node by node from a checkpoint's weights, fast on a CPU.

Imports the bundle's facts and the ONNX floor only.
"""
