"""The package `additions`, as pip leaves one: a folder to put on a path."""

from __future__ import annotations

import shutil
from pathlib import Path

HERE = Path(__file__).parent
EXPERIMENT = """\
name: additions
models: [ladder-0.1m]
backdoors: [{{objective: parrot, training: {{steps: 40, global_batch: 8}}}}]
controls: []
safety: [none, [rounded, shrink]]
evaluations:
  - {{name: trigger-rate, prompts: 4, max_new_tokens: 16}}
  - {{name: longer, prompts: 4}}
  - {{name: counted, prompts: 3}}
  - {{name: opinion, prompts: 4, judge: "local:{judge}"}}
data: {{helpful_rows: 256, backdoor_rows: 128, hhh_rows: 64, heldout_rows: 32}}
training: {{base: {{steps: 4, global_batch: 8}}}}
runtime: {{checkpoint_every: 20, tracking: []}}
"""


def install(folder: Path) -> Path:
    """Copy the package with its metadata into `folder`."""
    shutil.copytree(HERE / "additions", folder / "additions")
    metadata = folder / "additions-1.0.dist-info"
    metadata.mkdir()
    shutil.copy(HERE / "entry_points.txt", metadata)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: additions\nVersion: 1.0\n")
    return folder


def experiment(folder: Path, judge: Path) -> Path:
    """An experiment file that uses all of it."""
    file = folder / "additions.yaml"
    file.write_text(EXPERIMENT.format(judge=judge))
    return file
