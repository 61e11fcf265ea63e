"""Ports for services that start later: different, free, and nobody else is given them."""

import socket

import pytest

from tiercel.cli.supervisor import ports


def test_they_are_different_and_free_and_the_system_hands_none_out():
    given = ports.free_ports(50)
    assert len(set(given)) == 50
    if ports._first_handed_out() > 30_000:
        assert max(given) < ports._first_handed_out()
    for port in given:
        socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.parametrize("text", ["20002 60999", "1024 65535", None])
def test_where_the_system_hands_out_nearly_all_they_are_free_all_the_same(
    tmp_path, monkeypatch: pytest.MonkeyPatch, text: str | None
):
    file = tmp_path / "range"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(ports, "_RANGE", file)
    assert len(set(ports.free_ports(20))) == 20


def test_one_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch):
    [first, second] = ports.free_ports(2)
    monkeypatch.setattr(ports, "range", lambda *_: [first, second], raising=False)
    with socket.create_server(("127.0.0.1", first)):
        assert ports.free_ports(1) == [second]
