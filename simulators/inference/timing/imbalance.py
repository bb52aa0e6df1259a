"""How uneven routed tokens lie on the GPUs that hold the experts: the busiest GPU's load over the mean one's.

A layer ends when its busiest GPU does; the others wait for it. Three causes, as factors:

- **Chance.** Even if every expert is as likely as another, tokens do not fall evenly: `by_chance`, the expected maximum
  over the GPUs in closed form. Loads of E/r experts each, of which every token uses k of E, are hypergeometric; their
  maximum is taken as that of r normal variables, whose mean is tabulated by quadrature. Each layer of each iteration
  draws anew, so the sum over layers comes close to the mean, and the mean is used.
- **Taste.** Some experts are used more than others for as long as the traffic is alike. It depends on model, traffic
  and on whether the server re-balances (EPLB): a factor of the user's (`--expert-imbalance`), 1 by default.
- **As measured.** aiconfigurator's kernels of experts spread over GPUs were timed on the busiest GPU of a draw from a
  power law over the experts (its collector's `power_law_logits_v3`); `as_measured` repeats that draw with a seed. They
  hold this much imbalance already, chance included.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from simulators.inference.catalogue import Model
from simulators.inference.timing.tables import FloatArray

POWER_LAW = 1.01
"""Exponent of the power law of most of the measured experts (DeepSeek, Kimi, MiniMax, Nemotron, Qwen3.5); 1.2 for the
others makes 2 to 10 % of difference."""
DRAWS = 64
TASTE_RANGE = (1.0, 2.0)
"""Busiest over mean beyond chance: 1 where experts are re-balanced or copied; the power law of the measured kernels has
1.5 to 1.7 on 8 GPUs and 2 to 3 on 32."""


@cache
def mean_maximum(count: int) -> float:
    """Expected maximum of `count` independent standard normal variables.

    Examples
    --------
    >>> round(mean_maximum(2), 4) # 1 / sqrt(pi)
    0.5642
    """
    if count < 2:
        return 0.0
    from scipy import integrate, stats  # takes 0.2 s to import, and only experts spread over GPUs need it

    density = stats.norm.pdf
    found, _ = integrate.quad(
        lambda x: x * count * density(x) * stats.norm.cdf(x) ** (count - 1), -10.0, 10.0, epsabs=1e-10
    )
    return float(found)


def most(model: Model, gpus: int) -> float:
    """The busiest GPU's load over the mean one's when every token goes to it with all the experts it may, 1."""
    return gpus * min(model.experts_per_token, model.num_experts / gpus) / model.experts_per_token


def by_chance(model: Model, gpus: int, tokens: FloatArray) -> FloatArray:
    """Expected load of the busiest of `gpus` GPUs over the mean load when routing is even; shape as `tokens`.

    Parameters
    ----------
    model
        Whose experts lie whole on the GPUs, equally many on each.
    gpus
        How many there are.
    tokens
        Routed in a layer.

    Examples
    --------
    >>> from simulators.inference.catalogue import model
    >>> by_chance(model("Qwen/Qwen3-235B-A22B"), 8, np.array([16.0, 16384.0])).round(2)
    array([1.35, 1.01])
    """
    if gpus == 1 or not model.num_experts:
        return np.ones_like(tokens)
    each, experts = model.experts_per_token, model.num_experts
    mean = np.maximum(tokens, 1.0) * each / gpus
    drawn_apart = (experts - each) / max(experts - 1, 1)
    factor = 1.0 + mean_maximum(gpus) * np.sqrt(drawn_apart / mean)
    return np.asarray(np.minimum(factor, most(model, gpus)))


def busiest(model: Model, gpus: int, tokens: FloatArray, taste: float | None) -> FloatArray:
    """Load of the busiest GPU over the mean one's: chance, times `taste` if given; shape as `tokens`."""
    return np.asarray(np.minimum((taste or 1.0) * by_chance(model, gpus, tokens), most(model, gpus)))


def as_measured(model: Model, gpus: int, tokens: FloatArray, seed: int = 0) -> FloatArray:
    """The same as the measured kernels have it: mean of the busiest GPU over draws from their power law.

    Drawn at powers of four and read between them, so that it costs little; shape as `tokens`.

    Examples
    --------
    >>> from simulators.inference.catalogue import model
    >>> found = as_measured(model("deepseek-ai/DeepSeek-R1"), 8, np.array([4096.0]))
    >>> bool(1.4 < found[0] < 1.8)
    True
    """
    if gpus == 1 or not model.num_experts:
        return np.ones_like(tokens)
    at = 4.0 ** np.arange(10)
    drawn = np.array([_drawn(model.num_experts, model.experts_per_token, gpus, n, seed) for n in at])
    return np.asarray(np.interp(np.log(np.maximum(tokens, 1.0)), np.log(at), drawn))


@cache
def _drawn(experts: int, each: int, gpus: int, tokens: float, seed: int) -> float:
    rng = np.random.default_rng(seed)
    low, high = (1.0, 0.8 * tokens) if tokens * each > experts else (0.01, 2.0)
    low, high = min(low, high), max(low, high)
    power = 1.0 - POWER_LAW
    uniform = rng.random((DRAWS, experts))
    loads = ((high**power - low**power) * uniform + low**power) ** (1.0 / power)
    loads *= tokens * each / loads.sum(axis=1, keepdims=True)
    loads = np.minimum(loads, tokens)  # no token uses an expert twice
    per_gpu = loads.reshape(DRAWS, gpus, -1).sum(axis=2)
    return float((per_gpu.max(axis=1) / per_gpu.mean(axis=1)).mean())
