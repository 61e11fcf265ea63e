"""Goals that only running services can meet: slowed, crowded, asked what is new, taught wrong.

    python -m bench.live.chains DATA --out chains.json [--figures FOLDER] [--config FILE] [--quick]
    python -m bench.live.plans DATA --answers answers.jsonl --out plans.json [--limit N] [--quick]
    python -m bench.live.strictness DATA --scenario lenient|strict|shift [--quick]

`DATA` is a folder of JSONL files such as gsm8k_test.jsonl, rows of `id` and `prompt` (see
docs/evaluation.md). Every result names commit, machine and seeds.

* `chains`: the adaptive router against every static chain of a configuration, in one run.
* `plans`: prompts that nobody trained on, under policies and static plans, against the replay.
* `strictness`: a lossy rule whose strictness starts wrong, against the best fixed strictness.
"""
