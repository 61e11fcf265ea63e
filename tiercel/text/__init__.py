"""Text out of token ids: incremental detokenization and stop strings."""

from tiercel.text.detokenizer import Detokenizer, DetokenizerState
from tiercel.text.stops import StopMatcher, StopMatcherState

__all__ = ["Detokenizer", "DetokenizerState", "StopMatcher", "StopMatcherState"]
