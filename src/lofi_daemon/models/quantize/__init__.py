"""Models in fewer bits: `model` makes a set of files, `graph` one of them.

Needs the onnx package, which running a model does not.
"""
