"""What there is to choose from, with its source; and single simulators as processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

import typer

from simulators.console import App
from simulators.errors import InputError

Rows = Iterable[Sequence[str]]


def sites() -> Rows:
    """Bundled sites: name, title, what each series is from."""
    from simulators.profiles.site import known_sites, load_site

    yield ("site", "place", "start", "data")
    for name in known_sites():
        site = load_site(name)
        parts = {
            "carbon": site.carbon, "price": site.price, "weather": site.weather, "PV": site.pv, "wind": site.wind,
        }  # fmt: skip
        data = "; ".join(f"{what}: {ref.licence}" for what, ref in parts.items() if ref is not None)
        yield (name, site.title, f"{site.start:%Y-%m-%d}", data)


def models() -> Rows:
    """Language models: name, size, where the shape is from."""
    from simulators.inference.catalogue import model, model_files, model_names
    from simulators.paths import shown

    yield ("model", "parameters", "active", "shape from")
    for name in model_names():
        file = shown(model_files(name)[-1])
        source = file if file.startswith("data/") else "aiconfigurator-core"
        try:
            shape = model(name)
        except InputError as error:
            yield (name, "-", "-", f"{source}; not simulated: {str(error).rpartition(': ')[2]}")
            continue
        yield (name, f"{shape.parameters / 1e9:.1f} G", f"{shape.active_parameters / 1e9:.1f} G", source)


def gpus() -> Rows:
    """GPUs: name, title, power limit, sets of prices of their power law (the default first) and what each rests on."""
    from simulators.inference.catalogue import gpu, gpu_names
    from simulators.inference.power.prices import default_prices, price_sets, prices

    yield ("gpu", "title", "limit", "power law (basis, times power above idle)", "data sheet")
    for name in gpu_names():
        sheet = gpu(name)
        default = default_prices(sheet)
        sets = [prices(sheet, each) for each in sorted(price_sets(sheet), key=lambda each: each != default)]
        told = ", ".join(f"{each.name} ({each.basis}, {each.low:.1f} to {each.high:.1f})" for each in sets)
        yield (name, sheet.title, f"{sheet.tdp_w:g} W", told, f"data/gpus/{name}.toml")


def turbines() -> Rows:
    """Wind turbines: type, rated power, usual hub height, where the power curve is from."""
    from simulators.generation.turbines import turbine, turbine_names

    yield ("turbine", "rated", "hub height", "power curve from")
    for name in turbine_names():
        machine = turbine(name)
        height = "-" if machine.hub_height_m is None else f"{machine.hub_height_m:g} m"
        yield (name, f"{machine.nominal_w / 1e3:g} kW", height, machine.source)


def networks() -> Rows:
    """Power networks that need no file."""
    from simulators.grid.sources import NETWORKS

    yield ("network", "source")
    for name, (function, _) in NETWORKS.items():
        yield (name, f"pandapower.networks.{function}")
    yield ("1-MV-rural--0-sw, ...", "SimBench codes, with the extra: pip install 'wattloop[grid]'")
    yield ("my_net.json", "pandapower.to_json")


def policies() -> Rows:
    """Policies: name, what each does, its parameters."""
    from simulators.scheduler.policies import policies as known

    yield ("policy", "what it does", "parameters")
    for policy in known():
        parameters = ", ".join(f"{entry.name}={entry.default}" for entry in policy.parameters)
        yield (policy.name, policy.summary, parameters)
    yield ("my_policy.py:MyPolicy", "your own class, with decide(observation)", "its dataclass fields")


def formats() -> Rows:
    """File formats: name, what each holds, unit, resolution, what its times stand at, sign, specification."""
    from simulators.profiles.registry import FORMATS
    from simulators.traffic.traces.formats import LAYOUTS

    yield ("format", "title", "holds", "unit", "resolution", "times at", "known by", "specified in")
    for entry in FORMATS:
        yield (
            entry.name,
            entry.title,
            entry.holds,
            entry.unit,
            entry.resolution,
            entry.label,
            entry.sign,
            entry.source,
        )
    for name, layout in LAYOUTS.items():
        sign = f"columns {layout.arrival[0]}, {layout.prefill[0]}, {layout.decode[0]}"
        yield (name, f"{name} trace", "requests", "-", "-", "arrival", sign, "traffic/traces/formats.py")


LISTS: dict[str, Callable[[], Rows]] = {
    entry.__name__: entry for entry in (sites, models, gpus, turbines, networks, policies, formats)
}


def table(rows: Rows) -> str:
    """Rows as aligned text, the first of them as a header.

    Examples
    --------
    >>> print(table([("gpu", "limit"), ("h100", "700 W")]))
    gpu   limit
    h100  700 W
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(line.rstrip() for line in lines)


def app(name: str) -> App:
    """The command of a list, or `simulator`."""
    return App.of(_simulator if name == "simulator" else _shower(name))


def _shower(name: str) -> Callable[[], None]:
    def show() -> None:
        print(table(LISTS[name]()))

    show.__doc__ = LISTS[name].__doc__
    return show


def _simulator(
    room: Annotated[
        str, typer.Argument(help="carbon, price, generation, controller, traffic, inference, ...")
    ],
    listen: Annotated[str, typer.Option(help="address to wait at, HOST:PORT")] = "127.0.0.1:5555",
) -> None:
    """Run one simulator as a process of its own; a study says where: --where inference=127.0.0.1:5555."""
    from simulators.remote import serve

    serve(room, listen)
