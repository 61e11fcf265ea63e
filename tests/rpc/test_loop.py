"""grpc.aio on uvloop, in a process of its own: servers and clients of the tests run on asyncio."""

import subprocess
import sys

SCRIPT = """
import asyncio

import grpc

from tiercel import rpc
from tiercel.errors import Overloaded
from tiercel.rpc.interceptor import ErrorsToStatus

NUMBER = 300


async def echo(messages, context):
    async for message in messages:
        if message == b"full":
            raise Overloaded("full", 2.5)
        yield message


async def numbers():
    for number in range(NUMBER):
        yield str(number).encode()


async def main():
    server = grpc.aio.server(interceptors=(ErrorsToStatus(),))
    handlers = {"Echo": grpc.stream_stream_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Test", handlers),))
    port = server.add_insecure_port("localhost:0")
    await server.start()
    async with rpc.channel(f"localhost:{port}") as channel:
        call = channel.stream_stream("/Test/Echo")
        streams = [[got async for got in call(numbers())] for _ in range(3)]
        assert streams == [[str(number).encode() for number in range(NUMBER)]] * 3
        with rpc.translated():
            try:
                [_ async for _ in call(iter([b"full"]))]
            except grpc.aio.AioRpcError as failure:
                print(type(rpc.error_from_rpc(failure)).__name__)
    await server.stop(None)
    print(type(asyncio.get_running_loop()).__module__)


rpc.run(main())
"""


def test_streams_and_errors_pass_over_uvloop():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["Overloaded", "uvloop"]
