from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_hundred_broken_files_get_a_hundred_clear_answers(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "tests.config.mutations", "100", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=250,
        check=True,
    )
    found = json.loads(answer.stdout)
    assert not [one["crash"] for one in found["said"] if "crash" in one]
    assert len(found["said"]) == 100
    assert not found["ray"]
    for one in found["said"]:
        assert one["lines"]
        for line in one["lines"]:
            assert one["file"] in line
            assert "\n" not in line
            assert "Traceback" not in line
            assert len(line) < 600, line
