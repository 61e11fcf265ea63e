"""The link of the network benchmark: everything arrives, in order, and not at once."""

import socket
import time

from bench.network.delayed_link import DelayedLink


def test_bytes_arrive_late_in_order_and_an_end_is_passed_on():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with DelayedLink(f"127.0.0.1:{port}") as link:
            link.round_trip_s = 0.02
            host, _, own = link.address.rpartition(":")
            with socket.create_connection((host, int(own)), timeout=150) as near:
                far, _ = server.accept()
                far.settimeout(150)
                began = time.monotonic()
                for number in range(100):
                    near.sendall(bytes([number]))
                got = b""
                while len(got) < 100:
                    got += far.recv(1000)
                # A lower bound: the link never lets anything through too early.
                assert time.monotonic() - began >= 0.01
                assert got == bytes(range(100))
                far.sendall(b"answer")
                far.close()
                assert near.makefile("rb").read() == b"answer"
