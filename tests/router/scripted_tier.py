"""A verifier over real sockets whose tokens and failures are written down: for the router's tests.

Its answer is a function of seed and position, so that any two of it agree, as two replicas do.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc

from tiercel import rpc
from tiercel.errors import ModelFault, Overloaded, Unavailable
from tiercel.v1 import decoding_pb2, tier_pb2, tier_pb2_grpc, verifier_pb2, verifier_pb2_grpc

FINGERPRINT = "scripted"
PROMPT = [7, 8, 9]
Response = verifier_pb2.VerifierGenerateResponse


def token(seed: int, position: int) -> int:
    return (seed * 31 + position * 7) % 1000


def answer(seed: int, length: int) -> list[int]:
    return [token(seed, position) for position in range(length)]


@dataclass
class Script:
    """What the tier does; `fault` happens after `good_tokens` tokens of a session."""

    tier: str = "target"
    numerics_id: str = "same"
    fault: str = ""  # unavailable, silent, ends, repeats, skips, fault, full, drafter_lost
    shift: int = 0  # of the seed: tiers of other models say other things
    unreachable: bool = True  # what it says of a drafter that it lost
    good_tokens: int = 3
    step_s: float = 0.005
    stuck: asyncio.Event = field(default_factory=asyncio.Event)  # at the fault "silent"
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)  # after that fault
    opens: list[verifier_pb2.GenerateOpen] = field(default_factory=list)
    replans: list[decoding_pb2.Plan] = field(default_factory=list)
    pairs: list[decoding_pb2.PairStats] = field(default_factory=list)
    compute_ns: int = 0
    about: dict = field(default_factory=dict)  # further fields of its description
    num_described: int = 0
    num_finishes: int = 0
    num_sessions: int = 0


class ScriptedTier(verifier_pb2_grpc.VerifierServicer, tier_pb2_grpc.TierServicer):
    def __init__(self, script: Script) -> None:
        self.script = script

    def register(self, server: grpc.aio.Server) -> list[str]:
        verifier_pb2_grpc.add_VerifierServicer_to_server(self, server)
        tier_pb2_grpc.add_TierServicer_to_server(self, server)
        return []

    async def drain(self) -> None:
        pass

    async def Describe(self, request, context):
        self.script.num_described += 1
        return tier_pb2.DescribeResponse(
            tier=self.script.tier,
            numerics_id=self.script.numerics_id,
            bit_exact=True,
            tokenizer_fingerprint=FINGERPRINT,
            verifies=True,
            num_sessions=self.script.num_sessions,
            **self.script.about,
        )

    async def Generate(self, requests, context):
        self.script.num_sessions += 1
        listening = None
        try:
            opening = (await anext(aiter(requests))).open
            self.script.opens.append(opening)
            listening = asyncio.create_task(self._listen(requests))
            async for response in self._answer(opening):
                yield response
        finally:
            if listening:
                listening.cancel()
            self.script.num_sessions -= 1

    async def Verify(self, requests, context):
        raise NotImplementedError
        yield

    async def _listen(self, requests) -> None:
        async for request in requests:
            kind = request.WhichOneof("message")
            if kind == "finish":
                self.script.num_finishes += 1
            elif kind == "replan":
                self.script.replans.append(request.replan)

    async def _answer(self, opening) -> AsyncIterator[Response]:
        if self.script.fault == "full":
            raise Overloaded("every place is taken", 0.5)
        opened = verifier_pb2.GenerateOpened(
            prompt=decoding_pb2.TokenIds(token_ids=PROMPT, tokenizer_fingerprint=FINGERPRINT),
            tier=self.script.tier,
            numerics_id=self.script.numerics_id,
        )
        yield Response(opened=opened)
        start, end = len(opening.committed_token_ids), opening.stop.max_new_tokens
        for position in range(start, end):
            await asyncio.sleep(self.script.step_s)
            if self.script.fault and position - start == self.script.good_tokens:
                position += await self._fail(opening)
                if self.script.fault == "drafter_lost":
                    path = [opening.plan.tier, opening.plan.drafters[0].tier]
                    lost = decoding_pb2.DrafterLost(
                        path=path, reason="lost", unreachable=self.script.unreachable
                    )
                    yield Response(drafter_lost=lost)
            number = token(opening.sampling.seed + self.script.shift, position)
            committed = decoding_pb2.Committed(
                position=position,
                token_ids=[number],
                text=f"{number} ",
                text_lengths=[len(f"{number} ")],
                evidence=_evidence(number) if opening.evidence else None,
                spans=[decoding_pb2.Span(tier=self.script.tier, num_tokens=1)],
            )
            yield Response(committed=committed)
            if self.script.fault == "ends" and position - start == self.script.good_tokens:
                return
        usage = decoding_pb2.Usage(
            num_prompt_tokens=len(PROMPT),
            num_completion_tokens=end - start,
            tiers=[
                decoding_pb2.TierStats(
                    tier=self.script.tier,
                    num_committed_tokens=end - start,
                    num_forward_passes=end - start,
                    compute_ns=self.script.compute_ns,
                )
            ],
            pairs=self.script.pairs,
        )
        yield Response(
            finished=decoding_pb2.Finished(reason=decoding_pb2.FINISH_REASON_LENGTH, usage=usage)
        )

    async def _fail(self, opening) -> int:
        """Fail as the script says; return by how much the next position is wrong."""
        if self.script.fault == "unavailable":
            raise Unavailable("the tier dies")
        if self.script.fault == "fault":
            raise ModelFault("NaN logits")
        if self.script.fault == "silent":
            self.script.stuck.set()
            await self.script.goes_on.wait()
        return {"repeats": -1, "skips": 1}.get(self.script.fault, 0)


def _evidence(number: int) -> decoding_pb2.TokenEvidence:
    return decoding_pb2.TokenEvidence(logprobs=[-number / 1000], entropies=[1.0], margins=[1.0])


@asynccontextmanager
async def serving(
    script: Script, address: str = "localhost:0", *, loaded: asyncio.Event | None = None
) -> AsyncIterator[str]:
    """Serve the script, ready when it is `loaded`; yield its address then."""

    @asynccontextmanager
    async def opening():
        if loaded:
            await loaded.wait()
        yield ScriptedTier(script)

    async with rpc.server(opening(), address) as port:
        yield f"localhost:{port}"
