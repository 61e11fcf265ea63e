import numpy as np
import pytest

from tests.engines.conftest import TinyLoader
from tests.engines.passes import logits_by_widths, random_tokens, same_bits
from tiercel.engines.language_model import Step
from tiercel.engines.onnx import OnnxModel
from tiercel.errors import InvalidRequest, ModelFault

DTYPES = ("fp32", "int8", "int4")
ARCHITECTURES = ("llama", "qwen2")


@pytest.fixture(params=[(dtype, kind) for dtype in DTYPES for kind in ARCHITECTURES])
def model(request: pytest.FixtureRequest, load_tiny: TinyLoader) -> OnnxModel:
    dtype, architecture = request.param
    return load_tiny(dtype, architecture=architecture)


@pytest.fixture(scope="module")
def fp32(load_tiny: TinyLoader) -> OnnxModel:
    return load_tiny("fp32")


def test_bits_do_not_depend_on_the_widths_of_the_passes(model: OnnxModel) -> None:
    tokens = random_tokens(300, model.description.vocab_size)
    whole = logits_by_widths(model, tokens, [300])
    for widths in (*([width] for width in range(1, 17)), [1, 5, 2], [128, 1], [129], [255, 2]):
        assert same_bits(logits_by_widths(model, tokens, widths), whole), widths


def test_bits_do_not_depend_on_the_threads(load_tiny: TinyLoader) -> None:
    tokens = random_tokens(40, 269)
    for dtype in DTYPES:
        one, two = (load_tiny(dtype, threads=threads) for threads in (1, 2))
        assert same_bits(logits_by_widths(one, tokens, [40]), logits_by_widths(two, tokens, [3, 1]))
        assert one.description.numerics_id == two.description.numerics_id


def test_bits_do_not_depend_on_how_many_logits_are_asked_for(model: OnnxModel) -> None:
    tokens = random_tokens(200, model.description.vocab_size)
    whole = logits_by_widths(model, tokens, [200])
    for count in (0, 1, 2, 71, 72, 73, 130, 200):
        cache = model.open()
        (rows,) = model.extend([Step(cache, tokens, count)])
        assert same_bits(rows, whole[200 - count :]), count
        assert cache.length == 200


def test_a_cache_that_was_truncated_is_as_if_it_had_never_been_longer(model: OnnxModel) -> None:
    tokens = random_tokens(60, model.description.vocab_size)
    whole = logits_by_widths(model, tokens, [60])
    cache = model.open()
    for kept in (0, 1, 2, 31, 59):
        cache.truncate(min(kept, cache.length))
        model.extend([Step(cache, tokens[cache.length : kept] or tokens[:1], 0)])
        cache.truncate(kept)
        model.extend([Step(cache, random_tokens(20, model.description.vocab_size, seed=1), 1)])
        cache.truncate(kept)
        (rows,) = model.extend([Step(cache, tokens[kept:], 60 - kept)])
        assert same_bits(rows, whole[kept:]), kept


def test_a_cache_not_rolled_back_gives_other_bits(fp32: OnnxModel) -> None:
    tokens = random_tokens(20, 269)
    cache = fp32.open()
    fp32.extend([Step(cache, tokens[:10], 0)])
    fp32.extend([Step(cache, [5, 6], 0)])
    (rows,) = fp32.extend([Step(cache, tokens[10:], 10)])
    assert not same_bits(rows, logits_by_widths(fp32, tokens, [20])[10:])


def test_padding_whole_rows_gives_the_bits_of_padding_the_attention(load_tiny: TinyLoader) -> None:
    for dtype in DTYPES:
        model, tokens = load_tiny(dtype), random_tokens(30, 269)
        attention = logits_by_widths(model, tokens, [1])
        model._pads_whole_row = True
        assert same_bits(logits_by_widths(model, tokens, [1]), attention)


def test_steps_of_one_call_do_not_touch_each_other(fp32: OnnxModel) -> None:
    first, second = random_tokens(12, 269, seed=1), random_tokens(9, 269, seed=2)
    caches = fp32.open(), fp32.open()
    fp32.extend([Step(caches[0], first[:5], 0), Step(caches[1], second[:4], 0)])
    rows = fp32.extend([Step(caches[0], first[5:], 7), Step(caches[1], second[4:], 5)])
    assert same_bits(rows[0], logits_by_widths(fp32, first, [12])[5:])
    assert same_bits(rows[1], logits_by_widths(fp32, second, [9])[4:])


def test_the_last_place_before_the_limit_takes_a_lone_token(load_tiny: TinyLoader) -> None:
    tokens = random_tokens(300, 269)
    for length in (8, 256, 257, 300):
        model = load_tiny("int4", max_length=length)
        assert model.description.max_length == length
        cache = model.open()
        model.extend([Step(cache, tokens[: length - 1], 0)])
        (row,) = model.extend([Step(cache, tokens[length - 1 : length], 1)])
        assert same_bits(row, logits_by_widths(model, tokens[:length], [length])[-1:])
        with pytest.raises(InvalidRequest, match="at most"):
            model.extend([Step(cache, [1], 1)])
        assert cache.length == length


@pytest.mark.parametrize(
    ("tokens", "num_logits"),
    [([], 0), ([1, 269], 1), ([-1], 1), ([1] * 513, 1), ([1], 2), ([1], -1)],
)
def test_a_bad_step_is_refused_before_any_cache_is_touched(
    fp32: OnnxModel, tokens: list[int], num_logits: int
) -> None:
    good, bad = fp32.open(), fp32.open()
    with pytest.raises(InvalidRequest):
        fp32.extend([Step(good, [1, 2], 1), Step(bad, tokens, num_logits)])
    assert (good.length, bad.length) == (0, 0)


def test_one_cache_cannot_stand_in_two_steps(fp32: OnnxModel) -> None:
    cache = fp32.open()
    with pytest.raises(InvalidRequest, match="two steps"):
        fp32.extend([Step(cache, [1], 1), Step(cache, [2], 1)])
    assert cache.length == 0


def test_nan_is_a_fault_that_leaves_the_cache_as_it_was(
    fp32: OnnxModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = random_tokens(12, 269)
    cache = fp32.open()
    fp32.extend([Step(cache, tokens[:6], 0)])
    real = OnnxModel._pass

    def poisoned(self: OnnxModel, cache, tokens, wanted, out) -> None:  # type: ignore[no-untyped-def]
        real(self, cache, tokens, wanted, out)
        out.logits[-1, 3] = np.nan

    monkeypatch.setattr(OnnxModel, "_pass", poisoned)
    with pytest.raises(ModelFault):
        fp32.extend([Step(cache, tokens[6:], 6)])
    assert cache.length == 6
    monkeypatch.undo()
    (rows,) = fp32.extend([Step(cache, tokens[6:], 6)])
    assert same_bits(rows, logits_by_widths(fp32, tokens, [12])[6:])


def test_the_buffer_grows_with_the_tokens_and_is_given_back(fp32: OnnxModel) -> None:
    cache = fp32.open()
    small = cache.num_bytes
    fp32.extend([Step(cache, random_tokens(300, 269), 0)])
    assert cache.num_bytes == 2 * small
    cache.close()
    assert cache.num_bytes == 0
    with pytest.raises(ValueError, match="closed"):
        fp32.extend([Step(cache, [1], 1)])


def test_truncating_beyond_the_length_is_refused(fp32: OnnxModel) -> None:
    cache = fp32.open()
    fp32.extend([Step(cache, [1, 2, 3], 0)])
    for length in (-1, 4):
        with pytest.raises(ValueError, match="truncate"):
            cache.truncate(length)


def test_numerics_tell_models_and_dtypes_apart(load_tiny: TinyLoader) -> None:
    models = [load_tiny(dtype, architecture=kind) for dtype in DTYPES for kind in ARCHITECTURES]
    assert len({model.description.numerics_id for model in models}) == len(models)
    assert all(model.description.bit_exact for model in models)


@pytest.mark.parametrize("length", [0, -1, 513])
def test_a_length_that_the_model_cannot_hold_is_refused(load_tiny: TinyLoader, length: int) -> None:
    with pytest.raises(InvalidRequest, match="max_length"):
        load_tiny("fp32", max_length=length)


def test_an_unknown_dtype_is_refused(load_tiny: TinyLoader) -> None:
    with pytest.raises(InvalidRequest, match="fp32, int8, int4"):
        load_tiny("int3")
