from tests.speculation.answers import HOT, answer, ask, plain
from tests.speculation.fleet import Fleet, Weights


async def test_first(fleet: Fleet):
    root = await fleet.model("root")
    middle = await fleet.model("middle", Weights("int8"))
    small = await fleet.model("small", Weights("int4"))
    suffix = await fleet.suffix()
    for sampling in ({}, HOT):
        asked = ask(**sampling)
        expected = await plain(fleet, root, asked)
        for plan in (
            root.plan(middle.plan()),
            root.plan(middle.plan(small.plan(suffix.plan()))),
            root.plan(middle.plan(), suffix.plan()),
        ):
            got = await answer(fleet, root, plan, asked)
            assert got.same == expected.same
            print(got.end.usage.pairs)
