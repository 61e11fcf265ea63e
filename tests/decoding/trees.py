"""Several drafters of one target, decoded with numbers that fall in every way (`enumeration`)."""

from collections.abc import Callable, Sequence

from tests.decoding.chains import SAMPLED, Drafter, Model, Tokens, target
from tests.decoding.enumeration import Chances, Numbers
from tiercel.decoding import Draft, Target, Verdict, judge_together
from tiercel.decoding.verdict import Leeway
from tiercel.types import Rule, SamplingParams

Several = Callable[[Sequence[Draft], Sequence[Target], Numbers], tuple[int, Verdict]]


def together(
    drafts: Sequence[Draft], held: Sequence[Target], numbers: Numbers
) -> tuple[int, Verdict]:
    """What the services do."""
    return judge_together(Rule.REJECTION, drafts, held, Leeway(1.0, numbers))


def committed(
    of: Model, last: int, drafts: Sequence[Draft], rules: Several, numbers: Numbers, params=SAMPLED
) -> Tokens:
    held = [target(of, last, draft.token_ids, params) for draft in drafts]
    number, verdict = rules(drafts, held, numbers)
    return verdict.committed(drafts[number].token_ids)


def decode_trees(
    of: Model,
    drafters: Sequence[Drafter],
    rules: Several = together,
    *,
    lengths: Sequence[int],
    count: int,
    params: SamplingParams = SAMPLED,
    names: Sequence[int] | None = None,
) -> Callable[[Chances], Tokens]:
    """The program that gives `count` tokens after token 0, each block with a draft of each.

    Two drafters of one name share their numbers, which is a mistake.
    """

    def program(chances: Chances) -> Tokens:
        tokens: Tokens = ()
        runs = 0
        while len(tokens) < count:
            last = tokens[-1] if tokens else 0
            drafts = [
                drafter(last, length, chances.numbers("draft", runs, name))
                for drafter, length, name in zip(
                    drafters, lengths, names or range(len(drafters)), strict=True
                )
            ]
            tokens += committed(of, last, drafts, rules, chances.numbers("verdict", runs), params)
            runs += 1
        return tokens[:count]

    return program


def decode_ahead(
    of: Model, drafters: Sequence[Drafter], *, length: int, judged: int, count: int
) -> Callable[[Chances], Tokens]:
    """As `decode_trees`, of runs of `length` tokens of which `judged` are judged in a block.

    What a drafter ran ahead with is kept as long as it agrees with what is committed.
    """

    def program(chances: Chances) -> Tokens:
        tokens: Tokens = ()
        runs = 0
        ahead = [Draft()] * len(drafters)
        while len(tokens) < count:
            last = tokens[-1] if tokens else 0
            for place, drafter in enumerate(drafters):
                if not len(ahead[place]):
                    ahead[place] = drafter(last, length, chances.numbers("draft", runs, place))
            drafts = [run.part(0, judged) for run in ahead]
            new = committed(of, last, drafts, together, chances.numbers("verdict", runs))
            ahead = [_left(run, new) for run in ahead]
            tokens += new
            runs += 1
        return tokens[:count]

    return program


def _left(run: Draft, new: Tokens) -> Draft:
    """What stands of a run behind these tokens: it was rejected where it says otherwise."""
    return run.part(len(new)) if run.token_ids[: len(new)] == new else Draft()
