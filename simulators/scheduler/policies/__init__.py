"""The policies by name, and how one is made from what a user writes.

``carbon`` is a bundled policy, ``carbon:quantile=0.2,spread=false`` one with parameters, ``my_policy.py:MyPolicy`` a
class of the user's own with ``decide(observation)``, ``my_policy.py:MyPolicy:factor=2`` that with parameters.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any, cast

from simulators.errors import InputError, nearest
from simulators.own_code import load_class, made, own_file, parse_options
from simulators.scheduler.observation import NEEDS
from simulators.scheduler.policies.autoscale import Autoscale
from simulators.scheduler.policies.bunch import Bunch
from simulators.scheduler.policies.carbon import CarbonThreshold
from simulators.scheduler.policies.clamp import Clamp
from simulators.scheduler.policies.consolidate import Consolidate
from simulators.scheduler.policies.consolidate_clock import ConsolidateClock
from simulators.scheduler.policies.droop import Droop
from simulators.scheduler.policies.mpc import JointMpc
from simulators.scheduler.policies.none import NoPolicy
from simulators.scheduler.policies.oracle import Oracle
from simulators.scheduler.policies.placebo import Placebo
from simulators.scheduler.policies.price import PriceThreshold
from simulators.scheduler.policies.solar import SolarFollowing
from simulators.scheduler.policies.voltage import VoltageThreshold
from simulators.scheduler.policies.wait import WaitAwhile
from simulators.scheduler.policies.watt import WattBudget
from simulators.scheduler.policy import Policy

POLICIES: dict[str, type[Any]] = {
    "none": NoPolicy,
    "carbon": CarbonThreshold,
    "solar": SolarFollowing,
    "price": PriceThreshold,
    "voltage": VoltageThreshold,
    "placebo": Placebo,
    "bunch": Bunch,
    "wait": WaitAwhile,
    "autoscale": Autoscale,
    "consolidate": Consolidate,
    "consolidate+clock": ConsolidateClock,
    "watt": WattBudget,
    "clamp": Clamp,
    "droop": Droop,
    "mpc": JointMpc,
    "oracle": Oracle,
}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a policy: its name, default and meaning with its unit."""

    name: str
    default: object
    about: str


@dataclass(frozen=True)
class Known:
    """A bundled policy: its name, what it does in one line, its parameters."""

    name: str
    summary: str
    parameters: tuple[Parameter, ...]


def policies() -> list[Known]:
    """The bundled policies.

    Examples
    --------
    >>> [policy.name for policy in policies()]  # doctest: +ELLIPSIS
    ['none', 'carbon', 'solar', 'price', 'voltage', 'placebo', ...]
    """
    return [
        Known(name, (cls.__doc__ or "").splitlines()[0], _parameters(cls)) for name, cls in POLICIES.items()
    ]


def _parameters(cls: type[Any]) -> tuple[Parameter, ...]:
    told: dict[str, str] = {}
    names: list[str] = []
    for line in (cls.__doc__ or "").partition("Attributes\n")[2].splitlines()[1:]:
        if line.startswith("        "):
            for name in names:
                told[name] = f"{told.get(name, '')} {line.strip()}".strip()
        elif line.strip():
            names = [name.strip() for name in line.split(",")]
    return tuple(
        Parameter(entry.name, entry.default, told.get(entry.name, ""))
        for entry in fields(cls)
        if entry.init and entry.default is not MISSING
    )


def policy(spec: str) -> Policy:
    """The policy a specification names.

    Parameters
    ----------
    spec
        As the module says.

    Raises
    ------
    InputError
        If the name or a parameter is unknown, a parameter is out of range, or the user's class cannot be had.

    Examples
    --------
    >>> policy("carbon:quantile=0.2").quantile
    0.2
    """
    if own_file(spec) is not None:
        cls, rest = load_class(spec, "policy")
        if not callable(getattr(cls, "decide", None)):
            raise InputError(
                f"policy {spec}: has no method decide(observation), expected one that returns commands"
            )
        return cast(Policy, made(cls, parse_options(rest, f"policy {spec}"), f"policy {spec}"))
    name, _, rest = spec.partition(":")
    if name not in POLICIES:
        hint = nearest(name, list(POLICIES))
        raise InputError(
            f"policy: {name!r} is unknown, expected one of {', '.join(POLICIES)} or FILE.py:CLASS{hint}"
        )
    return cast(Policy, made(POLICIES[name], parse_options(rest, f"policy {name!r}"), f"policy {name!r}"))


@dataclass(frozen=True)
class Outlook:
    """How far ahead a policy wants to see, as its attributes of these names say.

    Attributes
    ----------
    horizon_s
        Reach of its forecasts, s; inf: to the end of the run; None: as long as requests may be deferred.
    forecast_step_s
        What one value is to be the mean of, s; None: a step of the run.
    foresight
        Whether it is told what will happen, whatever forecast the study names.
    """

    horizon_s: float | None = None
    forecast_step_s: float | None = None
    foresight: bool = False


def outlook_of(spec: str) -> Outlook:
    """How far ahead a policy wants to see.

    Raises
    ------
    InputError
        As `policy`; also if what its class says is out of range.

    Examples
    --------
    >>> outlook_of("carbon")
    Outlook(horizon_s=None, forecast_step_s=None, foresight=False)
    """
    chosen = policy(spec)
    found = Outlook(**{name: getattr(chosen, name, None) for name in ("horizon_s", "forecast_step_s")},
                    foresight=bool(getattr(chosen, "foresight", False)))  # fmt: skip
    for name in ("horizon_s", "forecast_step_s"):
        value = getattr(found, name)
        if value is not None and not (isinstance(value, int | float) and value > 0):
            raise InputError(f"policy {spec}: {name} is {value!r}, expected a number of seconds above 0")
    return found


def needs_of(spec: str) -> frozenset[str]:
    """The signals a policy asks for; a user's own class that does not say asks for all.

    Raises
    ------
    InputError
        As `policy`; also if it asks for what there is not.

    Examples
    --------
    >>> sorted(needs_of("price"))
    ['price', 'queue']
    """
    chosen = policy(spec)
    needs = getattr(chosen, "needs", None)
    if needs is None:
        return frozenset(NEEDS)
    if isinstance(needs, str):  # {"carbon"} meant, and a string is letters
        needs = {needs}
    try:
        wanted = set(needs)
    except TypeError:
        raise InputError(f"policy {spec}: needs is {needs!r}, expected some of {', '.join(NEEDS)}") from None
    if unknown := sorted(map(str, wanted - set(NEEDS))):
        raise InputError(f"policy {spec}: needs {unknown[0]!r}, expected some of {', '.join(NEEDS)}")
    return frozenset(wanted)
