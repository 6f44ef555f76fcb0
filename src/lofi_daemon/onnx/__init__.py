"""ONNX Runtime sessions: loading, casting to declared types, stopping in the middle of a call.

Imports only the ground floor; the backends are its only callers.
"""
