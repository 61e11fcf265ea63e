"""What a caller asks for, prompts, sampling and stops, to protobuf and back."""

from collections.abc import Sequence
from dataclasses import dataclass

from tiercel.decoding import validate
from tiercel.errors import InvalidRequest
from tiercel.types import Message, SamplingParams, StopConditions
from tiercel.v1 import decoding_pb2 as pb

MAX_STOP_STRINGS = 64
MAX_STOP_CHARACTERS = 1024  # of each string; a service reads them between the tokens of others
MAX_TOP_LOGPROBS = 20


@dataclass(frozen=True)
class TokenIds:
    """Token ids of the vocabulary that the fingerprint names."""

    token_ids: tuple[int, ...]
    tokenizer_fingerprint: str


Prompt = tuple[Message, ...] | str | TokenIds


def messages_to_pb(messages: Sequence[Message]) -> list[pb.Message]:
    """Return the turns as messages."""
    return [pb.Message(role=message.role, content=message.content) for message in messages]


def messages_from_pb(messages: Sequence[pb.Message]) -> tuple[Message, ...]:
    """Return the turns; raises InvalidRequest for one without a role."""
    for index, message in enumerate(messages):
        if not message.role:
            raise InvalidRequest(f"messages[{index}].role", message.role, "must be set")
    return tuple(Message(message.role, message.content) for message in messages)


def prompt_to_pb(prompt: Prompt) -> pb.Prompt:
    """Return the message for a conversation, a text or ids."""
    if isinstance(prompt, str):
        return pb.Prompt(text=prompt)
    if isinstance(prompt, TokenIds):
        return pb.Prompt(ids=token_ids_to_pb(prompt))
    return pb.Prompt(conversation=pb.Conversation(messages=messages_to_pb(prompt)))


def prompt_from_pb(message: pb.Prompt) -> Prompt:
    """Return the prompt; raises InvalidRequest if it is missing or empty."""
    form = message.WhichOneof("form")
    prompt: Prompt
    if form == "conversation":
        prompt = messages_from_pb(message.conversation.messages)
    elif form == "ids":
        prompt = token_ids_from_pb(message.ids)
    else:
        prompt = message.text
    if not (prompt.token_ids if isinstance(prompt, TokenIds) else prompt):
        raise InvalidRequest("prompt", "", "must hold at least one message, character or token")
    return prompt


def token_ids_to_pb(ids: TokenIds) -> pb.TokenIds:
    """Return the message for ids of a vocabulary."""
    return pb.TokenIds(token_ids=ids.token_ids, tokenizer_fingerprint=ids.tokenizer_fingerprint)


def token_ids_from_pb(message: pb.TokenIds) -> TokenIds:
    """Return the ids; they are range-checked where the vocabulary is known."""
    return TokenIds(tuple(message.token_ids), message.tokenizer_fingerprint)


def sampling_to_pb(params: SamplingParams) -> pb.SamplingParams:
    """Return the message for sampling parameters, seed included."""
    return pb.SamplingParams(
        temperature=params.temperature, top_k=params.top_k, top_p=params.top_p, seed=params.seed
    )


def sampling_from_pb(message: pb.SamplingParams) -> SamplingParams:
    """Return the parameters; raises InvalidRequest for one out of range.

    A missing seed is 0 here: the router, and nobody else, draws one.
    """
    params = SamplingParams(
        temperature=message.temperature,
        top_k=message.top_k,
        top_p=message.top_p if message.HasField("top_p") else 1.0,
        seed=message.seed,
    )
    validate(params)
    return params


def stop_to_pb(stop: StopConditions, *, ignore_eos: bool = False) -> pb.StopConditions:
    """Return the message for stop conditions."""
    return pb.StopConditions(
        max_new_tokens=stop.max_new_tokens,
        token_ids=sorted(stop.token_ids),
        strings=stop.strings,
        ignore_eos=ignore_eos,
    )


def stop_from_pb(message: pb.StopConditions, *, eos_ids: frozenset[int]) -> StopConditions:
    """Return the conditions; the model's own end tokens are among them unless ignored."""
    limit = message.max_new_tokens if message.HasField("max_new_tokens") else 256
    if limit < 1:
        raise InvalidRequest("stop.max_new_tokens", limit, "must be at least 1")
    _check_stop_strings(message.strings)
    token_ids = frozenset(message.token_ids) | (frozenset() if message.ignore_eos else eos_ids)
    return StopConditions(limit, token_ids, tuple(message.strings))


def num_top_logprobs_from_pb(number: int) -> int:
    """Return the number of alternatives; raises InvalidRequest above the limit."""
    if number > MAX_TOP_LOGPROBS:
        raise InvalidRequest("num_top_logprobs", number, f"must be at most {MAX_TOP_LOGPROBS}")
    return number


def _check_stop_strings(strings: Sequence[str]) -> None:
    if len(strings) > MAX_STOP_STRINGS:
        raise InvalidRequest("stop.strings", len(strings), f"at most {MAX_STOP_STRINGS} strings")
    for index, string in enumerate(strings):
        if not string:
            raise InvalidRequest(f"stop.strings[{index}]", string, "must not be empty")
        if len(string) > MAX_STOP_CHARACTERS:
            why = f"at most {MAX_STOP_CHARACTERS} characters"
            raise InvalidRequest(f"stop.strings[{index}]", len(string), why)
