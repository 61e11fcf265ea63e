"""Text out of token ids: incremental detokenization and stop strings."""

from tiercel.text.detokenizer import Detokenizer
from tiercel.text.stops import StopMatcher

__all__ = ["Detokenizer", "StopMatcher"]
