"""Chat templates: jinja2 in a sandbox, with the functions that models' templates expect."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tiercel.errors import InvalidRequest, ModelUnavailable
from tiercel.types import Message


class ChatTemplate:
    """One model's way to write a conversation as text."""

    def __init__(self, source: str | None, names: dict[str, str]) -> None:
        """Compile `source`; `names` are the special tokens that it may use, such as bos_token."""
        self._names = names
        self._template = None if source is None else _compiled(source)

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        """Return the conversation as text; raises InvalidRequest if the template refuses it."""
        if self._template is None:
            raise InvalidRequest("messages", len(messages), "this model has no chat template")
        if not messages:
            raise InvalidRequest("messages", [], "a conversation needs at least one message")
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return self._template.render(
                messages=turns, add_generation_prompt=add_generation_prompt, **self._names
            )
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            roles = [message.role for message in messages]
            raise InvalidRequest("messages", roles, f"the chat template says: {error}") from error


def _compiled(source: str) -> jinja2.Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        return environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise ModelUnavailable(f"the model's chat template cannot be read: {error}") from error


def _refuse(why: str) -> NoReturn:
    raise jinja2.TemplateError(why)


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
