"""What pandapower's power flow reads of each element table, and which values it can work with.

From pandapower's documentation of its electric elements and from what its ``build_*`` modules read. Costs,
measurements, groups and what only optimal power flow, short circuit or state estimation use are not here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Columns of one element table, by what they must hold.

    Attributes
    ----------
    refers
        Column -> table in which its value must be an index.
    finite, positive
        Numbers, and numbers above 0, which every element in service must have.
    optional
        Finite numbers where the column is there and the row has one.
    optional_positive
        The same, above 0.
    impedance
        Groups of columns of which one must not be 0: together they are an impedance in series.
    there
        Columns that must be there, whatever they hold.
    flags
        Yes or no; the first says whether the element takes part.
    ordered
        Pairs of which the first must not be above the second, where both are there.
    within
        Column, least and most: what no element of a real network has, but a slip of the hand does.
    apart
        Pairs of columns that must not hold the same bus.
    tap
        Whether it has a tap changer: with a position, it needs neutral position and step.
    """

    refers: tuple[tuple[str, str], ...] = ()
    finite: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    optional_positive: tuple[str, ...] = ()
    impedance: tuple[tuple[str, ...], ...] = ()
    there: tuple[str, ...] = ()
    flags: tuple[str, ...] = ("in_service",)
    ordered: tuple[tuple[str, str], ...] = ()
    within: tuple[tuple[str, float, float], ...] = ()
    apart: tuple[tuple[str, str], ...] = ()
    tap: bool = False


def _up_to(most: float, *columns: str) -> tuple[tuple[str, float, float], ...]:
    return tuple((column, -most, most) for column in columns)


MOST_KV = 1_500.0
"""Above the highest voltage there is (1,200 kV)."""

_MOST_MW = 1e6
"""Several times what any country draws."""

_SET_POINT_PU = (("vm_pu", 0.5, 1.5),)
_POWERS = _up_to(_MOST_MW, "p_mw", "q_mvar")

_BUS = (("bus", "bus"),)
_ENDS = (("from_bus", "bus"), ("to_bus", "bus"))
_PQ = ("p_mw", "q_mvar", "scaling")
_PHASES = (*("p_a_mw", "q_a_mvar", "p_b_mw", "q_b_mvar", "p_c_mw", "q_c_mvar"), "scaling")
_WARD = ("ps_mw", "qs_mvar", "pz_mw", "qz_mvar")
_ZIP = tuple(f"const_{kind}_{power}_percent" for kind in "zi" for power in "pq")
_Q_LIMITS = (("min_q_mvar", "max_q_mvar"), ("min_p_mw", "max_p_mw"))
_CONVERTER = (("bus", "bus"), ("bus_dc", "bus_dc"))
_CONVERTER_CONTROL = ("control_value_ac", "control_value_dc")

TABLES: dict[str, Table] = {
    "bus": Table(positive=("vn_kv",), ordered=(("min_vm_pu", "max_vm_pu"),), within=_up_to(MOST_KV, "vn_kv")),
    "bus_dc": Table(positive=("vn_kv",)),
    "line": Table(
        refers=_ENDS,
        finite=("r_ohm_per_km", "x_ohm_per_km", "c_nf_per_km", "g_us_per_km"),
        positive=("length_km", "parallel", "df"),
        optional_positive=("max_i_ka", "max_loading_percent"),
        there=("max_i_ka",),
        impedance=(("r_ohm_per_km", "x_ohm_per_km"),),
        within=_up_to(1e6, "r_ohm_per_km", "x_ohm_per_km", "c_nf_per_km", "length_km"),
        apart=(("to_bus", "from_bus"),),
    ),
    "trafo": Table(
        refers=(("hv_bus", "bus"), ("lv_bus", "bus")),
        finite=("vkr_percent", "pfe_kw", "i0_percent", "shift_degree"),
        positive=("sn_mva", "vn_hv_kv", "vn_lv_kv", "parallel", "df"),
        optional_positive=("max_loading_percent",),
        impedance=(("vk_percent",),),
        within=(
            *_up_to(MOST_KV, "vn_hv_kv", "vn_lv_kv"),
            *_up_to(1e6, "sn_mva", "vk_percent", "pfe_kw"),
            *_up_to(720.0, "shift_degree"),
        ),
        apart=(("lv_bus", "hv_bus"),),
        tap=True,
    ),
    "trafo3w": Table(
        refers=(("hv_bus", "bus"), ("mv_bus", "bus"), ("lv_bus", "bus")),
        finite=(
            *("vkr_hv_percent", "vkr_mv_percent", "vkr_lv_percent"),
            *("pfe_kw", "i0_percent", "shift_mv_degree", "shift_lv_degree"),
        ),
        positive=("sn_hv_mva", "sn_mv_mva", "sn_lv_mva", "vn_hv_kv", "vn_mv_kv", "vn_lv_kv"),
        optional_positive=("max_loading_percent",),
        impedance=(("vk_hv_percent",), ("vk_mv_percent",), ("vk_lv_percent",)),
        there=("tap_side", "tap_at_star_point"),
        tap=True,
    ),
    "impedance": Table(
        refers=_ENDS,
        finite=("rft_pu", "xft_pu", "rtf_pu", "xtf_pu", "gf_pu", "bf_pu", "gt_pu", "bt_pu"),
        positive=("sn_mva",),
        impedance=(("rft_pu", "xft_pu"), ("rtf_pu", "xtf_pu")),
    ),
    "switch": Table(
        refers=_BUS, optional=("z_ohm",), optional_positive=("in_ka",), there=("z_ohm",), flags=("closed",)
    ),
    "load": Table(refers=_BUS, finite=(*_PQ, *_ZIP), within=_POWERS),
    "sgen": Table(refers=_BUS, finite=_PQ, within=_POWERS),
    "storage": Table(refers=_BUS, finite=_PQ, within=_POWERS),
    "asymmetric_load": Table(refers=_BUS, finite=_PHASES),
    "asymmetric_sgen": Table(refers=_BUS, finite=_PHASES),
    "motor": Table(
        refers=_BUS,
        finite=("pn_mech_mw", "loading_percent", "scaling"),
        positive=("efficiency_percent", "cos_phi"),
    ),
    "gen": Table(
        refers=_BUS,
        finite=("p_mw", "scaling", "slack_weight"),
        positive=("vm_pu",),
        there=("sn_mva",),
        flags=("in_service", "slack"),
        ordered=_Q_LIMITS,
        within=(*_up_to(_MOST_MW, "p_mw"), *_SET_POINT_PU),
    ),
    "ext_grid": Table(
        refers=_BUS,
        finite=("va_degree", "slack_weight"),
        positive=("vm_pu",),
        ordered=_Q_LIMITS,
        within=_SET_POINT_PU,
    ),
    "shunt": Table(refers=_BUS, finite=("p_mw", "q_mvar", "step"), positive=("vn_kv",)),
    "ward": Table(refers=_BUS, finite=_WARD),
    "xward": Table(
        refers=_BUS,
        finite=(*_WARD, "r_ohm", "x_ohm", "slack_weight"),
        positive=("vm_pu",),
        impedance=(("x_ohm",),),
    ),
    "dcline": Table(
        refers=_ENDS,
        finite=("p_mw", "loss_percent", "loss_mw"),
        positive=("vm_from_pu", "vm_to_pu"),
        ordered=(("min_q_from_mvar", "max_q_from_mvar"), ("min_q_to_mvar", "max_q_to_mvar")),
    ),
    "svc": Table(
        refers=_BUS,
        finite=("x_cvar_ohm", "thyristor_firing_angle_degree"),
        positive=("set_vm_pu",),
        impedance=(("x_l_ohm",), ("x_cvar_ohm",)),
        flags=("in_service", "controllable"),
    ),
    "tcsc": Table(
        refers=_ENDS,
        finite=("set_p_to_mw", "thyristor_firing_angle_degree"),
        impedance=(("x_l_ohm",), ("x_cvar_ohm",)),
        flags=("in_service", "controllable"),
    ),
    "ssc": Table(
        refers=_BUS,
        finite=("va_internal_degree",),
        positive=("set_vm_pu", "vm_internal_pu"),
        impedance=(("r_ohm", "x_ohm"),),
        flags=("in_service", "controllable"),
    ),
    "vsc": Table(
        refers=_CONVERTER,
        finite=("pl_dc_mw", *_CONVERTER_CONTROL),
        positive=("r_dc_ohm",),
        impedance=(("r_ohm", "x_ohm"),),
        flags=("in_service", "controllable"),
    ),
    "line_dc": Table(
        refers=(("from_bus_dc", "bus_dc"), ("to_bus_dc", "bus_dc")),
        finite=("g_us_per_km",),
        positive=("length_km", "r_ohm_per_km", "parallel", "df"),
        optional_positive=("max_i_ka",),
    ),
    "load_dc": Table(refers=(("bus_dc", "bus_dc"),), finite=("p_dc_mw", "scaling")),
    "source_dc": Table(refers=(("bus_dc", "bus_dc"),), positive=("vm_pu",)),
}

SWITCHED = {"b": "bus", "l": "line", "t": "trafo", "t3": "trafo3w"}
"""Value of ``switch.et`` -> table of its ``element``."""

SCALARS = {"sn_mva": 1e6, "f_hz": 1e3}
"""Numbers above 0, and up to what, of the network itself: base of per-unit values, MVA, and frequency, Hz."""
