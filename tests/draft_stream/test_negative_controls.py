"""Plausible bugs, put in one at a time: the state machines have to find every one."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.draft_stream.machines import DraftStream, SelfDraft
from tiercel.draft_stream import DrafterSide, ParentSide, Resync

QUICK = settings(
    max_examples=400,
    stateful_step_count=30,
    phases=[Phase.generate],
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
FOUND = (AssertionError, IndexError)  # the second where a side trips over its own positions


class CutsInTheSameEpoch(ParentSide):
    def advance(self, *args, **kwargs):
        epoch = self.epoch
        message, judgement = super().advance(*args, **kwargs)
        self.epoch = epoch
        return replace(message, epoch=epoch), judgement


class ResyncsInTheSameEpoch(ParentSide):
    def on_resync(self, *args, **kwargs):
        epoch = self.epoch
        message = super().on_resync(*args, **kwargs)
        self.epoch = epoch
        return message and replace(message, epoch=epoch)


class TakesBlocksOfAnyEpoch(ParentSide):
    def on_block(self, block):
        return super().on_block(replace(block, epoch=self.epoch))


class TakesBlocksOfAnyHash(ParentSide):
    def on_block(self, block):
        start = min(block.start_position, len(self._sequence))
        return super().on_block(replace(block, prefix_hash=self._sequence.hash_at(start)))


class KeepsItsRunOverAResync(ParentSide):
    def on_resync(self, *args, **kwargs):
        run, origins = self.run, self.origins
        message = super().on_resync(*args, **kwargs)
        if message:
            self._sequence.append(run)
            self._origins += origins
        return message


class ForgetsItsRunAtEveryAdvance(ParentSide):
    def advance(self, *args, **kwargs):
        result = super().advance(*args, **kwargs)
        self._sequence.cut(self.committed_length)
        self._origins.clear()
        return result


class TrustsEveryResync(ParentSide):
    def on_resync(self, resync, **kwargs):
        have = min(resync.have_position, self.committed_length)
        value = self._sequence.hash_at(have)
        return super().on_resync(replace(resync, have_position=have, prefix_hash=value), **kwargs)


class KeepsSourcesInPlace(ParentSide):
    def _commit(self, length):
        origins = self._origins
        super()._commit(length)
        self._origins = origins[: len(self._origins)]  # the first ones, not the last


class StaysExhausted(ParentSide):
    def _commit(self, length):
        exhausted = self._exhausted
        super()._commit(length)
        self._exhausted = exhausted


class NeverCuts(DrafterSide):
    def _cut(self, length):
        pass


class KeepsWhatIsAheadInANewEpoch(DrafterSide):
    epoch_to_compare = staticmethod(lambda advance: advance.epoch)

    def on_advance(self, advance):
        epoch, self.epoch = self.epoch, self.epoch_to_compare(advance)
        result = super().on_advance(advance)
        if isinstance(result, Resync):
            self.epoch = epoch
        return result


class CutsAtEveryAdvance(KeepsWhatIsAheadInANewEpoch):
    epoch_to_compare = staticmethod(lambda advance: -1)


class AppliesAdvancesOfAnyHash(DrafterSide):
    def on_advance(self, advance):
        self._trusted = advance.prefix_hash
        return super().on_advance(advance)

    def _hash_after(self, fork, rest):
        return self._trusted


class CountsOneTooManyAsSent(DrafterSide):
    def _cut(self, length):
        super()._cut(length)
        self._sent_length += 1


class SendsTheLastTokenAgain(DrafterSide):
    def block(self, num_held=0):
        block = super().block(num_held)
        self._sent_length -= bool(block.token_ids)
        return block


class SendsCommittedTokens(DrafterSide):
    def _skip_to(self, length):
        super()._skip_to(length - 1)


class ForgetsThatTokensWereCut(DrafterSide):
    def _cut(self, length):
        sent_length = self._sent_length
        super()._cut(length)
        self._sent_length = sent_length


class KeepsSourcesOfCutTokens(DrafterSide):
    def _cut(self, length):
        origins = self._origins.copy()
        super()._cut(length)
        self._origins = origins


class IgnoresANewWindow(DrafterSide):
    def on_advance(self, advance):
        return super().on_advance(replace(advance, max_tokens_ahead=4))


PARENTS = [
    CutsInTheSameEpoch,
    ResyncsInTheSameEpoch,
    TakesBlocksOfAnyEpoch,
    TakesBlocksOfAnyHash,
    KeepsItsRunOverAResync,
    ForgetsItsRunAtEveryAdvance,
    TrustsEveryResync,
    KeepsSourcesInPlace,
    StaysExhausted,
]
DRAFTERS = [
    NeverCuts,
    KeepsWhatIsAheadInANewEpoch,
    CutsAtEveryAdvance,
    AppliesAdvancesOfAnyHash,
    CountsOneTooManyAsSent,
    SendsTheLastTokenAgain,
    SendsCommittedTokens,
    ForgetsThatTokensWereCut,
    KeepsSourcesOfCutTokens,
    IgnoresANewWindow,
]


def run(machine, **sides):
    """Run the machine with other sides, without looking for the smallest failure."""
    run_state_machine_as_test(type(machine.__name__, (machine,), sides), settings=QUICK)


@pytest.mark.parametrize("machine", [DraftStream, SelfDraft])
@pytest.mark.parametrize("parent_type", PARENTS)
def test_a_broken_parent_is_found(machine, parent_type):
    with pytest.raises(FOUND):
        run(machine, parent_type=parent_type)


@pytest.mark.parametrize("machine", [DraftStream, SelfDraft])
@pytest.mark.parametrize("drafter_type", DRAFTERS)
def test_a_broken_drafter_is_found(machine, drafter_type):
    with pytest.raises(FOUND):
        run(machine, drafter_type=drafter_type)
