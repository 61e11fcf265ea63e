"""Text out of token ids, incrementally: detokenization, stop strings, the vocabulary bridge."""

from tiercel.text.bridge import Bridge, Told
from tiercel.text.detokenizer import Detokenizer
from tiercel.text.intersection import Intersection
from tiercel.text.stops import StopMatcher
from tiercel.text.translation import Translated, Vocabulary

__all__ = [
    "Bridge",
    "Detokenizer",
    "Intersection",
    "StopMatcher",
    "Told",
    "Translated",
    "Vocabulary",
]
