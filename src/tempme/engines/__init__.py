"""Other programs than PyTorch that compute a model's features: ONNX Runtime, OpenVINO."""
