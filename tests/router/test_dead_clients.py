"""Clients that are gone without a word: what answers them is free within 10 s."""

from services.router.__main__ import opening
from services.router.settings import Settings
from tests.faults.in_process import verifier
from tests.faults.proxy import proxied
from tests.faults.services import HEARTBEAT_S, idle_at, num_sessions
from tests.router.routers import configuration_file, request
from tiercel import rpc
from tiercel.clients.router import RouterClient
from tiercel.replies import Committed


async def test_a_client_behind_a_black_hole(tmp_path):
    async with verifier("target", "m?base_s=0.02") as target:
        config = configuration_file(tmp_path, {"target": [target]}, {"alone": "target"})
        settings = Settings(config=config, poll_s=0.1, heartbeat_s=HEARTBEAT_S)
        async with (
            rpc.server(opening(settings), "127.0.0.1:0") as port,
            proxied(f"127.0.0.1:{port}") as (link, address),
            RouterClient(address) as client,
        ):
            answer = client.generate(request(max_new_tokens=6000))
            await anext(answer)
            assert isinstance(await anext(answer), Committed)
            assert await num_sessions(target) == 1
            link.stall()
            await idle_at(target)
            await answer.aclose()
            link.flow()
