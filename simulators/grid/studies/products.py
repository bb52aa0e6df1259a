"""What grid operators buy of a load that can draw less: how fast, for how long, and who says so."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.quantities.factor import Assumption, Factor


@dataclass(frozen=True)
class Product:
    """One product of less power drawn.

    Attributes
    ----------
    name, title
        Short, and in words.
    response
        Until all of it must be delivered after the signal (or the frequency) says so, s.
    hold
        How long it is then held, s.
    window
        Delivery is judged by means over this time, s.
    """

    name: str
    title: str
    response: Factor
    hold: Factor
    window: Factor

    @property
    def length_s(self) -> float:
        """From the signal to the end of delivery, s."""
        return self.response.value + self.hold.value


FINGRID = (
    "fingrid.fi, Fast Frequency Reserve, technical requirements (Nordic FFR): 1.3 s at 49.7 Hz, 1.0 s at 49.6 Hz, "
    "0.7 s at 49.5 Hz"
)
PHOENIX_SOURCE = "arXiv:2507.00909: 256 GPUs in Phoenix, Arizona, -25 % for 3 h"


def _window(seconds: float, low: float, high: float) -> Factor:
    return Factor(seconds, low, high, "s", "a judgement: as finely as such delivery is usually metered")


PRODUCTS = (
    Product(
        "FFR",
        "fast frequency reserve",
        Factor(0.7, 0.7, 1.3, "s", FINGRID),
        Factor(
            30.0, 5.0, 30.0, "s", "ibid.: 30 s, or 5 s if power comes back at most by 20 % of it per second"
        ),
        _window(1.0, 0.1, 1.0),
    ),
    Product(
        "FCR",
        "frequency containment reserve",
        Factor(
            30.0,
            30.0,
            30.0,
            "s",
            "Regulation (EU) 2017/1485, article 154 and annex V; regelleistung.net, FCR",
        ),
        Factor(
            900.0,
            900.0,
            1800.0,
            "s",
            "ibid., article 156: 15 to 30 min from units with a limited reservoir of energy",
        ),
        _window(10.0, 1.0, 10.0),
    ),
    Product(
        "aFRR",
        "automatic frequency restoration reserve",
        Factor(
            300.0,
            300.0,
            450.0,
            "s",
            "regelleistung.net: within five minutes; elia.be: five minutes, once 7.5",
        ),
        Factor(
            900.0, 900.0, 14_400.0, "s", "one period of 15 min; capacity is bought in blocks of up to 4 h"
        ),
        _window(60.0, 4.0, 60.0),
    ),
    Product(
        "DR",
        "demand response",
        Factor(900.0, 600.0, 1800.0, "s", "a judgement: a notice of a quarter of an hour"),
        Factor(10_800.0, 7_200.0, 14_400.0, "s", PHOENIX_SOURCE),
        _window(300.0, 60.0, 900.0),
    ),
)
"""The products a certificate speaks of."""


@dataclass(frozen=True)
class Trial:
    """A field trial that is replayed.

    Attributes
    ----------
    name, gpus
        What it is called, and how many GPUs it had.
    share
        Of the cluster's power that was shed, 1.
    response_s, hold_s, window_s
        Until it was shed, for how long, and over which means that is judged, s.
    source
        Who reports it, and what is not reported.
    """

    name: str
    gpus: int
    share: float
    response_s: float
    hold_s: float
    window_s: float
    source: str


TRIALS = (
    Trial(
        "Phoenix",
        256,
        0.25,
        900.0,
        10_800.0,
        300.0,
        f"{PHOENIX_SOURCE}; notice and means are a judgement",
    ),
    Trial(
        "London",
        96,
        0.30,
        30.0,
        900.0,
        60.0,
        "computerweekly.com, tdworld.com (March 2026): Emerald AI, National Grid, Nebius, December 2025: 96 Blackwell "
        "Ultra GPUs shed 30 % of load in 30 s; how long this event lasted is not reported, 15 min is a judgement",
    ),
)
"""Trials of others. Their clusters ran jobs that may wait, training among them; the replay asks inference."""


def product_assumptions() -> list[Assumption]:
    """What a certificate rests on.

    Examples
    --------
    >>> [entry.factor.value for entry in product_assumptions() if entry.name == "FFR response"]
    [0.7]
    """
    return [
        Assumption(f"{product.name} {what}", factor)
        for product in PRODUCTS
        for what, factor in (
            ("response", product.response),
            ("hold", product.hold),
            ("window", product.window),
        )
    ]
