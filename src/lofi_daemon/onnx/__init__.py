"""ONNX Runtime sessions: loading, casting to declared types, stopping in the middle of a call."""
