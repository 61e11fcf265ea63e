"""The benchmark of feedback: it counts what it says, and tells a slow router from its like."""

import numpy as np

from bench.feedback import away, throughput


async def test_events_are_reported_and_their_time_in_redis_is_told():
    told = await throughput.measure(num_clients=2, batch=4, seconds=0.2)
    assert len(told.call_s) >= 2
    assert told.events_per_s > 0
    assert told.lua_us > 0 and told.processor_us > 0
    assert "2 clients, 4 a batch" in str(told)


def test_a_state_in_which_requests_take_longer_stands_out():
    draws = np.random.default_rng(1)
    taken = {state: draws.normal(1.0, 0.01, (20, 50)) for state in away.STATES}
    taken["hangs"] *= 1.5
    told = {line[:14].strip(): line.split("  ") for line in away.lines(taken)}
    ratios = {state: float(told[state][-1].split()[0]) for state in away.STATES}
    assert ratios[away.THERE] == 1.0
    assert 1.45 < ratios["hangs"] < 1.55
    assert 0.97 < ratios["there, again"] < 1.03
