"""The power flow against OpenDSS, which shares no code with pandapower: CIGRE's medium-voltage network, rebuilt."""

import math

import numpy as np
import pytest

from simulators.grid.network import Network
from tests.grid.networks import fresh_net


def commands(net, site_bus, p_mw, q_mvar):
    """The network in OpenDSS's words, in positive sequence; transformers as series impedance and ratio."""
    yield "clear"
    yield f"set defaultbasefrequency={net.f_hz}"
    for number, row in enumerate(net.ext_grid.itertuples()):
        kv = net.bus.vn_kv[row.bus]
        new = f"new circuit.grid bus1=b{row.bus}" if number == 0 else f"new vsource.s{number} bus1=b{row.bus}"
        yield f"{new} basekv={kv / math.sqrt(3)} pu={row.vm_pu} angle=0 phases=1 r1=0 x1=1e-9 r0=0 x0=1e-9"
    opened = net.switch[(net.switch.et == "l") & ~net.switch.closed.astype(bool)]
    opened = set(zip(opened.element, opened.bus, strict=True))
    for row in net.line[net.line.in_service].itertuples():
        # a line open at one end still charges: it then ends nowhere
        ends = [
            f"open{row.Index}" if (row.Index, bus) in opened else f"b{bus}"
            for bus in (row.from_bus, row.to_bus)
        ]
        yield (
            f"new line.l{row.Index} bus1={ends[0]} bus2={ends[1]} phases=1 r1={row.r_ohm_per_km} "
            f"x1={row.x_ohm_per_km} c1={row.c_nf_per_km} r0={row.r_ohm_per_km} x0={row.x_ohm_per_km} "
            f"c0={row.c_nf_per_km} length={row.length_km} units=km basefreq={net.f_hz}"
        )
    for row in net.trafo.itertuples():
        kva = 1000.0 * row.sn_mva / 3.0
        x_percent = math.sqrt(row.vk_percent**2 - row.vkr_percent**2)
        steps = 0.0 if row.tap_side is None else (row.tap_pos - row.tap_neutral) * row.tap_step_percent
        hv_tap = 1.0 + steps / 100.0 if row.tap_side == "hv" else 1.0
        yield (
            f"new transformer.t{row.Index} phases=1 windings=2 xhl={x_percent} %loadloss={row.vkr_percent} "
            f"%noloadloss=0 %imag=0 buses=[b{row.hv_bus} b{row.lv_bus}] "
            f"kvs=[{row.vn_hv_kv / math.sqrt(3)} {row.vn_lv_kv / math.sqrt(3)}] kvas=[{kva} {kva}] "
            f"taps=[{hv_tap if math.isfinite(hv_tap) else 1.0} 1] ppm_antifloat=0"
        )
    loads = [(row.bus, row.p_mw * row.scaling, row.q_mvar * row.scaling) for row in net.load.itertuples()]
    for number, (bus, p, q) in enumerate([*loads, (site_bus, p_mw, q_mvar)]):
        kv = net.bus.vn_kv[bus] / math.sqrt(3)
        yield (
            f"new load.d{number} bus1=b{bus} phases=1 kv={kv} kw={1000.0 * p / 3.0} kvar={1000.0 * q / 3.0} "
            "model=1 vminpu=0.5 vmaxpu=1.5"
        )
    yield f"set frequency={net.f_hz}"
    yield "set tolerance=1e-10"
    yield "set maxiterations=200"
    yield "solve"


@pytest.mark.parametrize(("bus", "p_mw", "q_mvar"), [(9, 0.5, 0.1), (6, 2.0, 0.4), (14, 0.0, 0.0)])
def test_cigre_mv_is_the_same_in_opendss(bus, p_mw, q_mvar):
    dss = pytest.importorskip("dss")
    net = fresh_net("cigre_mv")
    network = Network(net)
    network.attach(bus, "site")
    result = network.step(p_mw, q_mvar)
    for line in commands(net, bus, p_mw, q_mvar):
        dss.DSS.Text.Command = line
    circuit = dss.DSS.ActiveCircuit
    assert circuit.Solution.Converged
    for at, index in enumerate(net.bus.index):
        circuit.SetActiveBus(f"b{index}")
        volts = circuit.ActiveBus.Voltages
        theirs = math.hypot(volts[0], volts[1]) / (1000.0 * net.bus.vn_kv[index] / math.sqrt(3))
        assert result.vm_pu[at] == pytest.approx(theirs, abs=1e-8), index
    losses_mw = 3.0 * np.asarray(circuit.Losses)[0] / 1e6
    assert result.p_loss_mw == pytest.approx(losses_mw, rel=1e-6)
