"""The draft-stream protocol as pure state machines: no gRPC, no clock, no model.

`ParentSide` is the one writer of truth, `DrafterSide` follows it; the services only move the
messages between them.
"""

from tiercel.draft_stream.drafter_side import DrafterSide
from tiercel.draft_stream.messages import Advance, Block, Origin, Resync
from tiercel.draft_stream.parent_side import BlockFate, Judgement, ParentSide
from tiercel.draft_stream.token_sequence import TokenSequence

__all__ = [
    "Advance",
    "Block",
    "BlockFate",
    "DrafterSide",
    "Judgement",
    "Origin",
    "ParentSide",
    "Resync",
    "TokenSequence",
]
