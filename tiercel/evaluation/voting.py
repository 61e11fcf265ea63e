"""The answer that most samples give: self-consistency (Wang et al., arXiv:2203.11171).

Nothing is decoded: the samples are those of the column that draws them.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from tiercel.evaluation.outcomes import Outcome
from tiercel.evaluation.scoring.answer_sets import normalised
from tiercel.evaluation.scoring.numbers import stated_number
from tiercel.evaluation.step_cost import PROMPT_TOKENS, PROMPTS

VOTED: dict[str, Callable[[str], Hashable | None]] = {
    "answer_set": normalised,
    "number": stated_number,
    "truthfulness": normalised,
}
"""What two texts have to have in common to be one answer, by scorer; None is no answer."""


def elected(samples: Sequence[Outcome], texts: Sequence[str], scorer: str) -> Outcome:
    """Return the first of the samples that give the answer given most often; ties to the first.

    A sample without an answer has no vote. Counts and seconds are those of all samples, each with
    a prompt of its own; `agreeing.TIER` is how many gave the answer.
    """
    answers = [VOTED[scorer](text) for text in texts]
    votes = Counter(answer for answer in answers if answer is not None)
    answer, num_agreeing = votes.most_common(1)[0] if votes else (answers[0], len(answers))
    counts = Counter[str]()
    for sample in samples:
        counts.update(sample.counts)
    tiers = [name.partition(".")[2] for name in counts if name.startswith(f"{PROMPT_TOKENS}.")]
    whole = dict(counts) | {f"{PROMPTS}.{tier}": len(samples) for tier in tiers}
    return replace(
        samples[answers.index(answer)],
        sample=0,
        counts=whole | {f"agreeing.{tier}": num_agreeing for tier in tiers},
        seconds=sum(sample.seconds for sample in samples),
    )
