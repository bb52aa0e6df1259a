"""Forecasts of a signal: what a scheduler is told about the coming steps.

A forecast issued at step i is an array of `horizon` values, the first of which is the step's own, known
value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InputError

Array = NDArray[np.float64]

DAY_S = 86400
WEEK_S = 7 * DAY_S


class Forecast(Protocol):
    """Something that looks ahead."""

    def at(self, step: int) -> Array:
        """The forecast issued at step number `step`; shape (horizon,), the first value is now."""
        ...


class Perfect:
    """Tells what will happen.

    Parameters
    ----------
    values
        The signal; shape (n,). It may reach beyond the run; past its end the last value is repeated.
    step_s
        Length of a step, s.
    horizon_s
        How far it looks ahead, s; a whole number of steps, at least one.
    """

    def __init__(self, values: ArrayLike, step_s: int, horizon_s: int = DAY_S) -> None:
        self._values, self._horizon = _checked(values, step_s, horizon_s)
        self._padded = np.concatenate((self._values, np.full(self._horizon, self._values[-1])))

    def at(self, step: int) -> Array:
        return self._padded[step : step + self._horizon]


class Persistence:
    """Tells that the coming day will be like the last 24 hours.

    The value forecast for a time is the one at the same time of day, one day (or as many as needed to lie
    in the past) before. As long as no such value is known, in the first day of the run, today's latest
    one stands in.

    Parameters are those of `Perfect`; `step_s` must divide a day.
    """

    def __init__(self, values: ArrayLike, step_s: int, horizon_s: int = DAY_S) -> None:
        self._values, self._horizon = _checked(values, step_s, horizon_s)
        if DAY_S % step_s:
            raise InputError(f"persistence forecast: step is {step_s} s, expected a divisor of a day")
        self._per_day = DAY_S // step_s
        ahead = np.arange(self._horizon)
        # lead 0 is known; leads 1..per_day look one day back, the next ones two
        self._back = np.where(ahead == 0, 0, ahead - self._per_day * -(-ahead // self._per_day))

    def at(self, step: int) -> Array:
        source = step + self._back
        return self._values[np.where(source < 0, step, source)]


class Seasonal:
    """Tells that the coming time will be like the same time of the week before (seasonal naive).

    As long as no week is known the day before stands in (`Persistence`), and before that the present value.

    Parameters are those of `Perfect`; `step_s` must divide a day.
    """

    def __init__(self, values: ArrayLike, step_s: int, horizon_s: int = DAY_S) -> None:
        self._values, self._horizon = _checked(values, step_s, horizon_s)
        self._daily = Persistence(values, step_s, horizon_s)
        per_week = WEEK_S // step_s
        ahead = np.arange(self._horizon)
        self._back = np.where(ahead == 0, 0, ahead - per_week * -(-ahead // per_week))

    def at(self, step: int) -> Array:
        source = step + self._back
        return np.where(source < 0, self._daily.at(step), self._values[np.maximum(source, 0)])


class Noisy:
    """Tells what will happen with an error that grows with lead time.

    The relative error is a random walk over the lead time whose standard deviation is 0 now and
    `relative_error` a day ahead; every issue draws its own. Values stay >= 0. The same seed gives the
    same forecasts whatever order they are asked for in.

    Parameters
    ----------
    values, step_s, horizon_s
        As for `Perfect`.
    relative_error
        Standard deviation of the relative error one day ahead, >= 0.
    seed
        Of the random numbers.
    """

    def __init__(
        self,
        values: ArrayLike,
        step_s: int,
        horizon_s: int = DAY_S,
        relative_error: float = 0.1,
        seed: int = 0,
    ) -> None:
        if not 0 <= relative_error < np.inf:
            raise InputError(f"noisy forecast: relative_error is {relative_error}, expected a number >= 0")
        self._truth = Perfect(values, step_s, horizon_s)
        self._seed = seed
        self._per_step = relative_error * np.sqrt(step_s / DAY_S)

    def at(self, step: int) -> Array:
        truth = self._truth.at(step)
        draws = np.random.default_rng([self._seed, step]).standard_normal(len(truth))
        draws[0] = 0.0
        return np.asarray(np.maximum(truth * (1.0 + self._per_step * np.cumsum(draws)), 0.0))


class Issued:
    """Tells what was told: forecasts as their publisher issued them.

    At a step the latest issue that is out counts, interpolated to the run's steps; the step's own value is known, and
    beyond the last value of an issue that one holds. Before the first issue the present value stands in.

    Parameters
    ----------
    values, step_s, horizon_s
        As for `Perfect`: the signal itself.
    issued_s
        When each forecast came out, from the run's start, s, ascending; shape (n,).
    lead_s
        From the issue to its first value and between values, s.
    forecasts
        Shape (n, values).
    """

    def __init__(
        self,
        values: ArrayLike,
        step_s: int,
        horizon_s: int = DAY_S,
        *,
        issued_s: ArrayLike,
        lead_s: int,
        forecasts: ArrayLike,
    ) -> None:
        self._values, self._horizon = _checked(values, step_s, horizon_s)
        self._step_s = step_s
        self._issued_s = np.asarray(issued_s, dtype=np.float64)
        self._forecasts = np.asarray(forecasts, dtype=np.float64)
        if self._forecasts.ndim != 2 or len(self._forecasts) != len(self._issued_s) or lead_s < 1:
            raise InputError("issued forecast: expected one row of values for every time of issue")
        self._leads_s = lead_s * (1.0 + np.arange(self._forecasts.shape[1]))

    def at(self, step: int) -> Array:
        now_s = step * self._step_s
        told = np.full(self._horizon, self._values[step])
        latest = int(np.searchsorted(self._issued_s, now_s, side="right")) - 1
        if latest >= 0:
            ahead_s = now_s - self._issued_s[latest] + self._step_s * np.arange(1, self._horizon)
            told[1:] = np.interp(ahead_s, self._leads_s, self._forecasts[latest])
        return told


class Coarse:
    """Another forecast in means over several steps, the first of them beginning with the present one.

    Parameters
    ----------
    fine
        The forecast.
    steps
        How many of its steps make one; a rest at the end of its horizon is left out.
    """

    def __init__(self, fine: Forecast, steps: int) -> None:
        self._fine = fine
        self._steps = steps

    def at(self, step: int) -> Array:
        told = self._fine.at(step)
        whole = max(1, len(told) // self._steps)
        found: Array = told[: whole * self._steps].reshape(whole, -1).mean(axis=1)
        return found


FORECASTS: dict[str, Callable[..., Forecast]] = {
    "perfect": Perfect,
    "persistence": Persistence,
    "seasonal": Seasonal,
    "noisy": Noisy,
    "file": Issued,
}


def forecast(name: str, values: ArrayLike, step_s: int, horizon_s: int = DAY_S, **options: Any) -> Forecast:
    """The forecast called `name`, one of `FORECASTS`; `options` go to its class.

    With ``mean_s`` among them it is told in means over so many seconds (`Coarse`).

    Raises
    ------
    InputError
        If the name or an option is unknown.

    Examples
    --------
    >>> hourly = [300.0, 250.0, 200.0, 400.0]
    >>> forecast("perfect", hourly, 3600, horizon_s=3 * 3600).at(1).tolist()
    [250.0, 200.0, 400.0]
    >>> forecast("persistence", hourly, 3600, horizon_s=3 * 3600).at(1).tolist()
    [250.0, 250.0, 250.0]
    """
    mean_s = options.pop("mean_s", step_s)
    if mean_s % step_s or mean_s < step_s:
        raise InputError(f"forecast: means over {mean_s} s, expected whole steps of {step_s} s")
    if name not in FORECASTS:
        raise InputError(f"forecast: {name!r} is unknown, expected one of {', '.join(FORECASTS)}")
    allowed = {"noisy": ("relative_error", "seed"), "file": ("issued_s", "lead_s", "forecasts")}.get(name, ())
    if unknown := set(options) - set(allowed):
        raise InputError(
            f"forecast {name!r}: unknown option {sorted(unknown)[0]!r}, "
            f"expected one of {', '.join(allowed) or 'none at all'}"
        )
    made = FORECASTS[name](values, step_s, horizon_s, **options)
    return made if mean_s == step_s else Coarse(made, mean_s // step_s)


def _checked(values: ArrayLike, step_s: int, horizon_s: int) -> tuple[Array, int]:
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1 or not len(series) or not np.all(np.isfinite(series)):
        raise InputError("forecast: expected a signal with one number for every step")
    if step_s < 1 or horizon_s < step_s or horizon_s % step_s:
        raise InputError(f"forecast: horizon is {horizon_s} s, expected a multiple of the step ({step_s} s)")
    return series, horizon_s // step_s
