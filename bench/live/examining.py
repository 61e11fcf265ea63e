"""The same prompts at fixed strictnesses, and whether answers were harmed, led ones as well."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.live.asking import Answer
from bench.live.harm import Judge
from bench.live.learning_services import Classroom, Lesson, opened
from bench.live.lessons import Lessons, Step
from bench.live.mixture import Prompt
from bench.live.settling import Judged
from bench.live.strictness_rows import row_of, with_drafter
from tiercel.cli.output import Output
from tiercel.errors import Unavailable
from tiercel.evaluation.step_cost import StepTimes
from tiercel.types import Acceptance

EXACT = 1.0


@dataclass(frozen=True)
class Examined:
    """Judged answers: led ones of the transient and of behind it, and fixed ones of the latter."""

    transient: Judged | None
    led: Judged
    fixed: dict[float, Judged]
    times: StepTimes  # by which all are priced


async def examined(
    lesson: Lesson, steps: Sequence[Step], settled: int, grid: Sequence[float], count: int,
    tokens: int, times: StepTimes, output: Output,
) -> Examined:  # fmt: skip
    """Judge at most `count` answers of either part, each beside EXACT's; raises TiercelError."""
    late, early = spread(steps[settled:], count), spread(steps[:settled], count)
    if not late:
        raise Unavailable("strictness did not settle: ask for more answers")
    async with opened(lesson.written(with_feedback=False), lesson, output) as room:
        lessons = Lessons(room, tokens, tells_kinds=False, told=output.note)
        fixed = {one: await _fixed(lessons, late, one, output) for one in {EXACT, *grid}}
        before = await _fixed(lessons, early, EXACT, output) if early else []
        everyone = [step.answer for step in steps] + [
            one for each in fixed.values() for one in each
        ]
        priced = with_drafter(times, lesson.drafter, everyone)
        async with await judge_of(room) as judge:
            panel = _Panel(judge, priced)
            return Examined(
                transient=await panel.judged(early, before, _answers(early)) if early else None,
                led=await panel.judged(late, fixed[EXACT], _answers(late)),
                fixed={
                    one: await panel.judged(late, fixed[EXACT], fixed[one])
                    for one in sorted(fixed, reverse=True)
                },
                times=priced,
            )


async def judge_of(room: Classroom) -> Judge:
    """Return the judge of running services: their root; raises TiercelError."""
    replicas = (await room.router.tiers()).replicas
    [root] = [one for one in replicas if one.tier == room.lesson.plan.tier]
    assert root.description is not None, "it takes calls"
    return Judge(root.address, root.description.tokenizer_fingerprint, room.lesson.delta)


def spread(steps: Sequence[Step], count: int) -> list[Step]:
    """Return `count` steps evenly spread over all, or all of fewer."""
    kept = min(count, len(steps))
    return [steps[place * len(steps) // kept] for place in range(kept)]


async def _fixed(
    lessons: Lessons, steps: Sequence[Step], strictness: float, output: Output
) -> list[Answer]:
    output.note(f"{len(steps)} answers at strictness {strictness:g}")
    lesson = lessons.room.lesson
    acceptance = Acceptance() if strictness == EXACT else Acceptance(lesson.rule, strictness)
    return await lessons.fixed(_prompts(steps), lesson.under(acceptance))


@dataclass(frozen=True)
class _Panel:
    judge: Judge
    times: StepTimes

    async def judged(
        self, steps: Sequence[Step], exact: Sequence[Answer], given: Sequence[Answer]
    ) -> Judged:
        prompts = _prompts(steps)
        harmed = await self.judge.harmed(prompts, exact, given)
        rows = [
            row_of(prompt.kind, prompt.id, one, self.times)
            for prompt, one in zip(prompts, given, strict=True)
        ]
        return Judged(rows, harmed)


def _prompts(steps: Sequence[Step]) -> list[Prompt]:
    return [step.prompt for step in steps]


def _answers(steps: Sequence[Step]) -> list[Answer]:
    return [step.answer for step in steps]
