"""The ONNX graphs, written node by node from a checkpoint's tensors, in forms fast on a CPU.

Imported only where a set of files is made: running one needs none of it.
"""
