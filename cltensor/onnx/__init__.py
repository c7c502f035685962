"""ONNX export: a saved function written in ONNX's words, a file for each family of ops."""
