"""Operators of aiconfigurator's engine by what their time depends on, and the same operators in other engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Times = list[tuple[str, float, float, str]]
"""What the engine answers: name, ms, energy and origin of each operator."""

# contexts that tell operators which depend on them from operators that do not
_SHORT, _LONG = 256, 8192


@dataclass(frozen=True)
class Operators:
    """Positions of one phase's operators in the engine, by group.

    `names` has every operator's name without the phase; `missing` are experts this engine has no measurements of.
    """

    attention: tuple[int, ...]
    sampling: tuple[int, ...]
    communication: tuple[int, ...]
    rest: tuple[int, ...]
    names: Mapping[int, str] = field(default_factory=dict)
    missing: tuple[int, ...] = ()

    @property
    def experts(self) -> tuple[int, ...]:
        """Those of `rest` that are routed experts, with what overlaps them."""
        return tuple(i for i in self.rest if is_experts(self.names[i]))

    def like(self, other: Operators, wanted: Callable[[str], bool]) -> dict[int, int]:
        """Where `other` has this engine's operators whose name is `wanted`; those without a counterpart left out."""
        theirs = {name: i for i, name in other.names.items() if i in other.rest and i not in other.missing}
        return {
            i: theirs[self.names[i]] for i in self.rest if wanted(self.names[i]) and self.names[i] in theirs
        }


class Alternative(NamedTuple):
    """Another engine, and where in it this engine's operators are."""

    handle: Any
    context: dict[int, int]
    generation: dict[int, int]


def is_product(name: str) -> bool:
    """Whether it is a matrix product of dense weights."""
    return "gemm" in name.split("_")


def is_experts(name: str) -> bool:
    """Whether it is the experts of routed layers, with what overlaps them."""
    words = name.split("_")
    return "moe" in words and "dispatch" not in words


def grouped(evaluate: Callable[[int, int], Times]) -> Operators:
    """Sort operators into groups by trying them; `evaluate(i, context)` fails beyond the last one."""
    groups: dict[str, list[int]] = {"attention": [], "sampling": [], "communication": [], "rest": []}
    names: dict[int, str] = {}
    missing: list[int] = []
    for i in range(1000):
        try:
            name, short, *_ = evaluate(i, _SHORT)[0]
        except ValueError:
            break
        except Exception as error:  # the engine's own errors share no base class
            if "MoE data missing" not in str(error):
                raise
            names[i] = "moe"
            groups["rest"].append(i)
            missing.append(i)
            continue
        words = name.split("_")
        names[i] = "_".join(words[1:])
        if "logits" in words:
            group = "sampling"
        elif evaluate(i, _LONG)[0][1] != short or "attention" in words:
            group = "attention"
        elif "ar" in words or "allreduce" in words or "dispatch" in words:
            group = "communication"
        else:
            group = "rest"
        groups[group].append(i)
    positions = {group: tuple(indices) for group, indices in groups.items()}
    return Operators(**positions, names=names, missing=tuple(missing))


def groups_of(handle: Any) -> tuple[Operators, Operators]:
    """Operators of a prompt and of a decode."""
    return (
        grouped(lambda i, n: handle.evaluate_context_ops([i], batch_size=1, s=64, prefix=n, x=64)),  # type: ignore[no-any-return]
        grouped(lambda i, n: handle.evaluate_generation_ops([i], batch_size=8, s=n)),  # type: ignore[no-any-return]
    )


def fastest(
    which: tuple[int, ...],
    own: Callable[[list[int]], Times],
    others: list[tuple[dict[int, int], Callable[[list[int]], Times]]],
    missing: tuple[int, ...] = (),
) -> float:
    """Operators `which` one after another, each as fast as the fastest engine has it, s."""
    compared = [i for i in which if any(i in positions for positions, _ in others)]
    alone = [i for i in which if i not in compared and i not in missing]
    # the engine adds up operators of one name, so those that are compared are asked for one by one
    total = sum(value[1] for value in own(alone)) if alone else 0.0
    for i in compared:
        times = [evaluate([positions[i]])[0][1] for positions, evaluate in others if i in positions]
        total += min(times if i in missing else [*times, own([i])[0][1]])
    return total * 1e-3
