"""Has every prompt answered under every plan, in turns, and takes the time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tiercel.cli.answer import Answer
from tiercel.cli.bench.prompts import BenchPrompt
from tiercel.cli.options import Asking, chosen_plan, conversation
from tiercel.cli.statistics import plan_text
from tiercel.clients.router import Request, RouterClient
from tiercel.errors import Unavailable
from tiercel.replies import Committed
from tiercel.types import Usage

_WARM_UP_TOKENS = 8


@dataclass(frozen=True)
class Sample:
    """One answer under one plan; times in seconds, seen from this client."""

    label: str
    chain: str
    root: str
    prompt: int
    task: str
    token_ids: tuple[int, ...]
    first_s: float
    total_s: float
    usage: Usage

    @property
    def tokens_per_s(self) -> float:
        """Tokens of the answer for each second, prefill included."""
        return len(self.token_ids) / self.total_s


class Bench:
    """Asks one router; `on_sample` is told of each answer."""

    def __init__(
        self,
        client: RouterClient,
        asking: Asking,
        *,
        raw: bool,
        on_sample: Callable[[Sample], None],
    ) -> None:
        # Without a seed every plan would sample another answer.
        self._asking = replace(asking, seed=asking.seed or 0)
        self._client = client
        self._raw = raw
        self._on_sample = on_sample

    async def run(
        self, prompts: Sequence[BenchPrompt], labels: Sequence[str], *, rounds: int
    ) -> list[Sample]:
        """Return a sample for each round, prompt and plan; raises TiercelError.

        Plans take turns prompt by prompt, and another one begins each time: what else the machine
        does hits all alike. Each plan is warmed up by one short answer that is not counted.
        """
        for label in labels:
            await self._sample(label, 0, prompts[0], max_new_tokens=_WARM_UP_TOKENS)
        samples = []
        for turn in range(rounds * len(prompts)):
            index, first = turn % len(prompts), turn % len(labels)
            for label in [*labels[first:], *labels[:first]]:
                sample = await self._sample(label, index, prompts[index])
                samples.append(sample)
                self._on_sample(sample)
        return samples

    async def _sample(
        self, label: str, index: int, prompt: BenchPrompt, *, max_new_tokens: int | None = None
    ) -> Sample:
        asking = self._asking
        if max_new_tokens is not None:
            limit = min(max_new_tokens, asking.max_new_tokens)
            asking = replace(asking, max_new_tokens=limit)
        words = prompt.text if self._raw else conversation(prompt.text)
        request = asking.request(words, await chosen_plan(self._client, label))
        started = time.perf_counter()
        answer, first_s = await self._ask(request, started)
        total_s = time.perf_counter() - started
        if answer.finished is None or answer.decision is None:
            raise Unavailable(f"the answer under {label!r} has no end")
        return Sample(
            label=label,
            chain=plan_text(answer.decision.plan),
            root=answer.decision.plan.tier,
            prompt=index,
            task=prompt.task,
            token_ids=tuple(answer.token_ids),
            first_s=first_s or total_s,
            total_s=total_s,
            usage=answer.finished.usage,
        )

    async def _ask(self, request: Request, started: float) -> tuple[Answer, float | None]:
        answer, first_s = Answer(), None
        async for event in self._client.generate(request):
            answer.add(event)
            if first_s is None and isinstance(event, Committed) and event.token_ids:
                first_s = time.perf_counter() - started
        return answer, first_s
