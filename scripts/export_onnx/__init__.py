"""From PyTorch checkpoints to the ONNX bundles the daemon reads."""
