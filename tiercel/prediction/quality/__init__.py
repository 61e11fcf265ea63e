"""Predicting how good each plan's answer to a prompt will be.

Fitting needs the extra `train`; predicting needs ONNX Runtime only.
"""

from tiercel.prediction.quality.featuriser import Conversation, features
from tiercel.prediction.quality.fitting import fit_quality
from tiercel.prediction.quality.model import QualityModel
from tiercel.prediction.quality.prediction import QualityPrediction
from tiercel.prediction.quality.predictor import SHIPPED, QualityPredictor
from tiercel.prediction.quality.settings import QualitySettings

__all__ = [
    "SHIPPED",
    "Conversation",
    "QualityModel",
    "QualityPrediction",
    "QualityPredictor",
    "QualitySettings",
    "features",
    "fit_quality",
]
