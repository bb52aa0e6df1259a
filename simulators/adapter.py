"""What every mosaik adapter of this project is: ids, the step, what is connected, and a summary at the end.

An adapter translates between mosaik and a model that knows nothing of it. It is started with plain values, hands out
numbers, lists and dictionaries, and tells its summary through an extra method, so it may as well run in another process
or on another host (`simulators.remote`).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import mosaik_api_v3
import numpy as np
from mosaik_api_v3.types import (
    CreateResult,
    InputData,
    Meta,
    ModelDescription,
    OutputData,
    OutputRequest,
    Time,
)
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InputError

Array = NDArray[np.float64]
Entity = TypeVar("Entity")


class Given:
    """What is connected to one entity in one step: values by attribute and source.

    Examples
    --------
    >>> given = Given("Battery-0", {"P_gen[MW]": {"PV-0": 0.5, "Wind-0": 0.25}, "CI[gCO2eq/kWh]": {"Carbon-0": 300.0}})
    >>> given.total("P_gen[MW]"), given.only("CI[gCO2eq/kWh]"), given.only("price[1/kWh]", 0.0)
    (0.75, 300.0, 0.0)
    """

    def __init__(self, eid: str, attributes: Mapping[str, Mapping[str, Any]]) -> None:
        self._eid = eid
        self.attributes = attributes

    def values(self, attribute: str) -> list[Any]:
        """All that is connected, by source in a fixed order: mosaik's changes from run to run, and sums with it."""
        sources = self.attributes.get(attribute)
        if not sources:
            return []
        return [sources[name] for name in sorted(sources)] if len(sources) > 1 else list(sources.values())

    def by_source(self, attribute: str) -> dict[str, Any]:
        """All that is connected by the id of its source within its simulator, in a fixed order."""
        sources = self.attributes.get(attribute, {})
        return {name.partition(".")[2] or name: sources[name] for name in sorted(sources)}

    def total(self, attribute: str, absent: float = 0.0) -> float:
        """The sum of what is connected; `absent` if nothing is."""
        values = self.values(attribute)
        return math.fsum(values) if len(values) > 1 else float(values[0]) if values else absent

    def only(self, attribute: str, absent: Any = math.nan) -> Any:
        """The one value that is connected; `absent` if none is.

        Raises
        ------
        InputError
            If several are.
        """
        values = self.values(attribute)
        if len(values) > 1:
            raise InputError(f"{self._eid}: {attribute} has {len(values)} sources, expected one")
        return values[0] if values else absent

    def joined(self, attribute: str) -> list[Any]:
        """The items of all connected lists, one list after the other."""
        return [item for items in self.values(attribute) for item in items or ()]


class GivenSeries(Given):
    """What is connected to one entity over a whole run: a series of one value per step for each attribute and source.

    Examples
    --------
    >>> given = GivenSeries("Battery-0", {"P_gen[MW]": {"PV-0": np.array([0.5, 0.0]), "Wind-0": np.array([0.25, 1.0])}})
    >>> given.total("P_gen[MW]").tolist(), given.total("P_load[MW]", 0.0)
    ([0.75, 1.0], 0.0)
    """

    def total(self, attribute: str, absent: Any = 0.0) -> Any:
        """The sums of what is connected, as `Given.total` of each step makes them; `absent` if nothing is."""
        values = self.values(attribute)
        if len(values) > 2:
            return np.array([math.fsum(together) for together in zip(*values, strict=True)])
        return sum(values[1:], values[0]) if values else absent


class Adapter(mosaik_api_v3.Simulator, Generic[Entity]):
    """Base of the adapters: a time-based simulator with a fixed step whose entities are models.

    A room's adapter names its `MODELS` and says how an entity is made (`make`), advanced (`advance`) and read
    (`outputs`). `summarise` tells the entity's figures at the end as plain values; mosaik's extra method
    ``summary(eid)`` hands them out. ``name=`` on creation gives the entity's id, else the model's name and a number do.
    """

    MODELS: ClassVar[dict[str, ModelDescription]]
    REBUILT: ClassVar[tuple[str, ...]] = ("meta", "mosaik", "time_resolution")

    def __init__(self) -> None:
        models = {
            name: {**model, "params": [*model["params"], "name"]} for name, model in self.MODELS.items()
        }
        meta: Any = {
            "api_version": "3.0", "type": "time-based", "models": models, "extra_methods": ["summary"],
        }  # fmt: skip
        super().__init__(meta)
        self.entities: dict[str, Entity] = {}
        self.step_size = 60
        self.now = 0

    def init(self, sid: str, time_resolution: float = 1.0, step_size: int = 60, **parameters: Any) -> Meta:
        """Set the step, s, and hand further parameters to `set_up`."""
        if time_resolution != 1.0:
            raise InputError(f"{sid}: time resolution {time_resolution} s, expected 1 s")
        if step_size != int(step_size) or step_size <= 0:
            raise InputError(f"{sid}: step size {step_size} s, expected a whole number above 0")
        self.step_size = int(step_size)
        self.set_up(**parameters)
        return self.meta

    def rebuild(self, before: Mapping[str, Any]) -> None:
        """Everything else is as it was kept (`simulators.kept`); what mosaik sets is new."""

    def set_up(self, *values: Any, **parameters: Any) -> None:
        """Take the parameters of the simulator; a room that has some overrides this."""

    def create(self, num: int, model: str, name: str | None = None, **parameters: Any) -> list[CreateResult]:
        """Make `num` entities of a model."""
        if num != 1 and name is not None:
            raise InputError(f"{name}: {num} entities of one name, expected one")
        created: list[CreateResult] = []
        for _ in range(num):
            eid = name or f"{model}-{len(self.entities)}"
            if eid in self.entities:
                raise InputError(f"{eid}: an entity of this name exists, expected another name")
            self.entities[eid] = self.make(eid, model, **parameters)
            created.append({"eid": eid, "type": model, **self.children(eid)})  # type: ignore[typeddict-item]
        return created

    def step(self, time: Time, inputs: InputData, max_advance: Time) -> Time:
        """Advance every entity over [time, time + step size)."""
        self.now = time
        for eid, entity in self.entities.items():
            self.advance(eid, entity, Given(eid, inputs.get(eid, {})))
        return time + self.step_size

    def over_run(
        self, eid: str, given: GivenSeries, attributes: Sequence[str], steps: int
    ) -> dict[str, Array]:
        """A whole run of an entity at once: what `steps` steps of it would give, to the last bit.

        A room whose model works on series overrides this; otherwise it is step by step.

        Parameters
        ----------
        eid, given
            The entity, and what is connected to it, numbers.
        attributes
            What is wanted of it, numbers.

        Returns
        -------
        dict
            Arrays of shape (steps,) by attribute.
        """
        entity = self.entities[eid]
        series = {
            attribute: {source: values.tolist() for source, values in sources.items()}
            for attribute, sources in given.attributes.items()
        }
        found = {attribute: np.empty(steps) for attribute in attributes}
        for step in range(steps):
            self.now = step * self.step_size
            now = {
                attribute: {source: values[step] for source, values in sources.items()}
                for attribute, sources in series.items()
            }
            self.advance(eid, entity, Given(eid, now))
            outputs = self.outputs(eid, entity, list(attributes))
            for attribute, values in found.items():
                values[step] = outputs[attribute]
        return found

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """Hand out what was asked for."""
        return {eid: self.outputs(eid, self.entities[eid], attrs) for eid, attrs in outputs.items()}

    def within(self, eid: str, attributes: list[str]) -> dict[str, Any]:
        """As `get_data` of one entity, for a reader in this process: tables may be arrays, which nobody changes."""
        return self.outputs(eid, self.entities[eid], attributes)

    def summary(self, eid: str) -> dict[str, Any]:
        """The figures of an entity so far, plain values."""
        return self.summarise(eid, self.entities[eid])

    def children(self, eid: str) -> dict[str, list[CreateResult]]:
        """``{"children": [...]}`` of an entity that has some."""
        return {}

    def make(self, eid: str, model: str, *values: Any, **parameters: Any) -> Entity:
        """The model of a new entity from plain values."""
        raise NotImplementedError

    def advance(self, eid: str, entity: Entity, given: Given) -> None:
        """Simulate one step of an entity; one whose outputs are known beforehand has nothing to do."""

    def outputs(self, eid: str, entity: Entity, attributes: list[str]) -> dict[str, Any]:
        """The values of some attributes in the present step."""
        raise NotImplementedError

    def summarise(self, eid: str, entity: Entity) -> dict[str, Any]:
        """Figures for `summary`."""
        return {}


class Series:
    """Values known for every step of a run beforehand.

    Parameters
    ----------
    values
        One per step.
    what
        For the message when the run goes on beyond them.
    """

    def __init__(self, values: ArrayLike, what: str) -> None:
        # an array of numbers, not of objects: a year of minutes is 4 MB; its items are Python's own floats
        self._values = array("d", np.asarray(values, dtype=np.float64).tobytes())
        self._what = what

    def at(self, step: int) -> float:
        """The value in step number `step`."""
        if step >= len(self._values):
            raise InputError(
                f"{self._what}: has values for {len(self._values)} steps, the run goes on at step {step}"
            )
        return self._values[step]

    def first(self, steps: int) -> Array:
        """The values of the first `steps` steps."""
        self.at(steps - 1)
        return np.frombuffer(self._values)[:steps]
