"""MusicGen from a transformers checkpoint to ONNX: the published layout and the native form."""
