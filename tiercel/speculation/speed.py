"""How fast a model is of late, as its passes show: pure, whatever measures the time."""

from tiercel.descriptions import Speed
from tiercel.speculation.step_times import StepTimes

# What was seen before counts for so much when a pass is added: some fifty passes, a second or two.
_KEPT = 0.98
# A piece of a prompt moves the time of its tokens by so much.
_NEWEST = 0.2


class SpeedMeter:
    """Running means of one model's passes; those over prompts are told from all others."""

    def __init__(self) -> None:
        self._steps = StepTimes(_KEPT)
        self._prefill_s = 0.0

    def note_pass(self, num_rows: int, seconds: float) -> None:
        """Take in a pass over so many tokens, of any number of sessions."""
        self._steps.note(num_rows, seconds)

    def note_prompt(self, num_tokens: int, seconds: float) -> None:
        """Take in a pass over a piece of a prompt."""
        seen, known = seconds / num_tokens, self._prefill_s
        self._prefill_s = known + _NEWEST * (seen - known) if known else seen

    @property
    def speed(self) -> Speed:
        """The means now; how long passes wait is not known here."""
        return Speed(self._steps.plain_s, self._steps.row_s, self._prefill_s)
