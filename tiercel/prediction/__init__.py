"""Predicting, from a prompt alone, what each plan will take: features, model, record, training.

Training needs the extra `train`; predicting needs ONNX Runtime only.
"""
