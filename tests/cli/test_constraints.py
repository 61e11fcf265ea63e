"""`tiercel generate` with something that the answer has to match."""

from pathlib import Path

import pytest

SCHEMA = '{"type": "integer"}'


@pytest.fixture
def schema(tmp_path: Path) -> str:
    path = tmp_path / "schema.json"
    path.write_text(SCHEMA)
    return str(path)


def test_a_schema_and_a_grammar_are_read_from_files(tiercel, router, schema: str):
    assert tiercel("generate", "Why?", "--json-schema", schema).exit_code == 0
    assert tiercel("generate", "Why?", "--grammar", schema).exit_code == 0
    assert tiercel("generate", "Why?", "--regex", "yes|no").exit_code == 0
    assert tiercel("generate", "Why?").exit_code == 0
    by_schema, by_grammar, by_regex, free = (one.constraint for one in router.requests)
    assert by_schema.json_schema == by_grammar.lark_grammar == SCHEMA
    assert by_regex.regex == "yes|no"
    assert free.WhichOneof("form") is None


def test_an_answer_that_was_cut_short_is_told(tiercel, schema: str):
    """The scripted answers end at their limit."""
    words = "ended before it could match its constraint"
    assert words in tiercel("generate", "Why?", "--json-schema", schema).stderr
    assert words not in tiercel("generate", "Why?").stderr


@pytest.mark.parametrize("others", [("--regex", "a"), ("--regex", "")])
def test_two_of_them_are_bad_usage(tiercel, router, schema: str, others: tuple[str, ...]):
    result = tiercel("generate", "Why?", "--json-schema", schema, *others)
    assert result.exit_code == 2 and "only one of" in result.stderr
    assert not router.requests


def test_a_file_that_is_not_there_or_no_text_is_bad_usage(tiercel, tmp_path: Path):
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for path in (binary, tmp_path / "none"):
        assert tiercel("generate", "Why?", "--grammar", str(path)).exit_code == 2
