"""Constrained output: grammars, and masks of the tokens that they let follow."""

from tiercel.constraints.grammars import Grammars
from tiercel.constraints.rules import check_rule
from tiercel.constraints.token_mask import TokenMask

__all__ = ["Grammars", "TokenMask", "check_rule"]
