"""ACE-Step v1: its modules in PyTorch, its checkpoint folders, and their export to ONNX."""
