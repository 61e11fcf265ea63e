"""`tiercel score`, against a tier whose scores are scripted."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from tests.cli.conftest import has_one_line
from tiercel.v1 import decoding_pb2, tier_pb2, tier_pb2_grpc


class ScriptedTier(tier_pb2_grpc.TierServicer):
    """Gives every continuation two tokens; without logits it gives choices only."""

    def __init__(self) -> None:
        self.requests: list[tier_pb2.ScoreRequest] = []
        self.has_logits = True

    def Score(self, request, context):
        self.requests.append(request)
        top = [decoding_pb2.TokenLogprob(token_id=8, logprob=-0.25)][: request.num_top_logprobs]
        scored = tier_pb2.ScoredContinuation(token_ids=[7, 8])
        scored.choices.add(prob=0.0)
        scored.choices.add(token_id=8, prob=0.75)
        if self.has_logits:
            for token_id, logprob in ((7, -1.5), (8, -0.5)):
                scored.logprobs.add(token_id=token_id, logprob=logprob, top=top)
            scored.entropies.extend([2.5, 0.125])
            scored.margins.extend([0.0, float("inf")])
        return tier_pb2.ScoreResponse(
            continuations=[scored] * len(request.continuations), tier="target"
        )

    def Describe(self, request, context):
        raise NotImplementedError

    def GetTokenizer(self, request, context):
        raise NotImplementedError


@pytest.fixture
def tier() -> Iterator[ScriptedTier]:
    tier, server = ScriptedTier(), grpc.server(ThreadPoolExecutor(max_workers=2))
    tier_pb2_grpc.add_TierServicer_to_server(tier, server)
    tier.address = f"localhost:{server.add_insecure_port('localhost:0')}"
    server.start()
    yield tier
    server.stop(None).wait()


def rows(result) -> list[list[str]]:
    return [line.split() for line in result.stdout.splitlines()]


def test_every_token_has_a_row(tiercel, tier):
    result = tiercel("score", "Why?", "so", "thus", "--address", tier.address, "--top", "1")
    assert result.exit_code == 0
    assert "'so'" in result.stdout and "'thus'" in result.stdout
    row = "0 7 -1.5000 - 0.0000 2.5000 0.0000 8 (-0.250)"
    assert rows(result).count(row.split()) == 2
    assert "1 of 2 tokens are its own choice; log-probability -2.0000, perplexity 2.718" in (
        result.stdout
    )
    [request] = tier.requests
    assert [one.text for one in request.continuations] == ["so", "thus"]
    assert request.prompt.conversation.messages[0].content == "Why?"
    assert request.sampling.HasField("seed")


def test_a_tier_without_logits_shows_its_choices(tiercel, tier):
    tier.has_logits = False
    result = tiercel("score", "Why?", "so", "--raw", "--address", tier.address)
    assert ["1", "8", "-", "8", "0.7500", "-", "-"] in rows(result)
    assert "1 of 2 tokens are its own choice\n" in result.stdout
    assert tier.requests[0].prompt.text == "Why?"


def test_as_json(tiercel, tier):
    sampled = ("--temperature", "0.8", "--seed", "7")
    result = tiercel("score", "Why?", "so", "--address", tier.address, *sampled, "--json")
    [scored] = json.loads(result.stdout)["continuations"]
    assert scored["token_ids"] == [7, 8]
    assert scored["choices"] == [{"token_id": None, "prob": 0.0}, {"token_id": 8, "prob": 0.75}]
    assert scored["entropies"] == [2.5, 0.125]
    assert tier.requests[0].sampling.seed == 7


def test_a_tier_that_is_not_there_is_named(tiercel):
    assert has_one_line(tiercel("score", "Why?", "so", "--tier", "other"), 1, "no tier 'other'")
    lost = tiercel("score", "Why?", "so", "--tier", "draft")
    assert has_one_line(lost, 1, "no replica of draft takes work: it does not answer")
