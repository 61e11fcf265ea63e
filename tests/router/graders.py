"""Quality predictors for tests of the router: what they say is written down."""

from dataclasses import dataclass, field

import numpy as np

from services.router.forecasts.forecasting import Graded


@dataclass
class WrittenGrader:
    """Says the same of every prompt; by answer, that is by root tier or lossy plan."""

    quality: dict[str, float] = field(default_factory=dict)
    bound: dict[str, float] = field(default_factory=dict)
    num_tokens: dict[str, float] = field(default_factory=dict)
    acceptance: dict[str, float] = field(default_factory=dict)
    digest: str = "0123abcd"
    conversations: list = field(default_factory=list)  # that it was told of

    def grade(self, ask, conversation) -> Graded:
        self.conversations.append(conversation)
        features = np.array([1.0, 2.0], np.float32)
        return Graded(self.quality, self.bound, self.num_tokens, self.acceptance, features)
