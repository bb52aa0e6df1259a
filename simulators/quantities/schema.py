"""The columns of a run's tables, declared once: name, unit, source, how they add up, what to call them.

Recorder, summary, series, figures and report read them here. A new column is one line: what gives the attribute
is recorded into it, whatever it is wired to.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Over = Literal["mean", "sum", "last", "lowest", "highest"]


class Column(NamedTuple):
    """One column of ``timeseries.parquet``; `site` is a key of the table, not a prefix of its columns.

    Attributes
    ----------
    name, unit
        Of the column. Powers are means over the step.
    part, attribute
        The part of a site (or ``network``) and the mosaik attribute it is recorded from.
    over_time
        How steps make a longer one.
    over_sites
        How sites make a whole; None where that has no meaning.
    label
        For people.
    """

    name: str
    unit: str
    part: str
    attribute: str
    over_time: Over
    over_sites: Over | None
    label: str


TIMESERIES: tuple[Column, ...] = (
    Column("carbon_intensity_g_per_kwh", "gCO2eq/kWh", "carbon", "CI[gCO2eq/kWh]", "mean", None,
           "Average carbon intensity of grid power"),
    Column("marginal_intensity_g_per_kwh", "gCO2eq/kWh", "carbon", "CI_marginal[gCO2eq/kWh]", "mean", None,
           "Marginal carbon intensity of grid power"),
    Column("grid_carbon_free", "1", "carbon_free", "carbon_free[1]", "mean", None, "Carbon-free share of grid power"),
    Column("contracted_mw", "MW", "contract", "P[MW]", "mean", "sum", "Delivered by the plant under contract"),
    Column("price_per_kwh", "1/kWh", "price", "price[1/kWh]", "mean", None, "Price of grid power"),
    Column("pv_mw", "MW", "pv", "P[MW]", "mean", "sum", "PV"),
    Column("wind_mw", "MW", "wind", "P[MW]", "mean", "sum", "Wind"),
    Column("hold", "1", "controller", "hold[1]", "mean", None, "Policy holds deferrable requests"),
    Column("refused", "1", "controller", "refused[1]", "sum", "sum", "Commands that an actuator refused"),
    Column("arrived", "1", "traffic", "arrived[1]", "sum", "sum", "Requests arrived"),
    Column("held", "1", "traffic", "held[1]", "last", "sum", "Requests held by the policy"),
    Column("gpu_mw", "MW", "cluster", "P[MW]", "mean", "sum", "GPUs"),
    Column("prefill_mw", "MW", "cluster", "P_prefill[MW]", "mean", "sum", "GPUs in prefill"),
    Column("decode_mw", "MW", "cluster", "P_decode[MW]", "mean", "sum", "GPUs in decode"),
    Column("idle_mw", "MW", "cluster", "P_idle[MW]", "mean", "sum", "GPUs idle"),
    Column("prefill_pool_mw", "MW", "cluster", "P_prefill_pool[MW]", "mean", "sum", "GPUs that only prefill"),
    Column("decode_pool_mw", "MW", "cluster", "P_decode_pool[MW]", "mean", "sum", "GPUs that only decode"),
    Column("transfer_mw", "MW", "cluster", "P_transfer[MW]", "mean", "sum", "KV caches between pools"),
    Column("mfu", "1", "cluster", "mfu[1]", "mean", "mean", "Model FLOPs utilisation"),
    Column("mbu", "1", "cluster", "mbu[1]", "mean", "mean", "Memory bandwidth utilisation"),
    Column("completed", "1", "cluster", "completed[1]", "sum", "sum", "Requests completed"),
    Column("rejected", "1", "cluster", "rejected[1]", "sum", "sum", "Requests rejected"),
    Column("running", "1", "cluster", "running[1]", "last", "sum", "Requests running"),
    Column("waiting", "1", "cluster", "waiting[1]", "last", "sum", "Requests queued"),
    Column("awake", "1", "cluster", "awake[1]", "mean", "sum", "Replicas that serve"),
    Column("hosts_off", "1", "cluster", "hosts_off[1]", "mean", "sum", "Servers switched off"),
    Column("prefill_tokens", "1", "cluster", "prefill_tokens[1]", "sum", "sum", "Prompt tokens processed"),
    Column("decode_tokens", "1", "cluster", "decode_tokens[1]", "sum", "sum", "Output tokens"),
    Column("it_mw", "MW", "facility", "P_it[MW]", "mean", "sum", "IT"),
    Column("cooling_mw", "MW", "facility", "P_cooling[MW]", "mean", "sum", "Cooling"),
    Column("losses_mw", "MW", "facility", "P_losses[MW]", "mean", "sum", "Power chain losses"),
    Column("facility_mw", "MW", "facility", "P[MW]", "mean", "sum", "Facility"),
    Column("water_m3_per_h", "m3/h", "facility", "water[m3/h]", "mean", "sum", "Water evaporated on site"),
    Column("charge_mw", "MW", "storage", "P_charge[MW]", "mean", "sum", "Battery charge"),
    Column("discharge_mw", "MW", "storage", "P_discharge[MW]", "mean", "sum", "Battery discharge"),
    Column("import_mw", "MW", "storage", "P_import[MW]", "mean", "sum", "Grid import"),
    Column("export_mw", "MW", "storage", "P_export[MW]", "mean", "sum", "Grid export"),
    Column("curtailed_mw", "MW", "storage", "P_curtailed[MW]", "mean", "sum", "Curtailed"),
    Column("pv_curtailed_mw", "MW", "storage", "P_pv_curtailed[MW]", "mean", "sum", "PV curtailed"),
    Column("wind_curtailed_mw", "MW", "storage", "P_wind_curtailed[MW]", "mean", "sum", "Wind curtailed"),
    Column("unserved_mw", "MW", "storage", "P_unserved[MW]", "mean", "sum", "Load not met"),
    Column("islanded", "1", "storage", "islanded[1]", "mean", "highest", "Grid away"),
    Column("soc", "1", "storage", "SoC[1]", "mean", None, "State of charge"),
    Column("stored_mwh", "MWh", "storage", "E[MWh]", "last", "sum", "Energy stored"),
    Column("vm_pu", "p.u.", "bus", "vm_pu[1]", "mean", None, "Voltage at the site's bus"),
    Column("line_loading_max_percent", "%", "network", "line_loading_max[%]", "highest", None, "Highest line loading"),
    Column("trafo_loading_max_percent", "%", "network", "trafo_loading_max[%]", "highest", None,
           "Highest transformer loading"),
    Column("loss_mw", "MW", "network", "P_loss[MW]", "mean", None, "Network losses"),
    Column("slack_mw", "MW", "network", "P_slack[MW]", "mean", None, "Power of the external grid"),
    Column("vm_min_pu", "p.u.", "network", "vm_min[1]", "lowest", None, "Lowest voltage of the network"),
    Column("vm_max_pu", "p.u.", "network", "vm_max[1]", "highest", None, "Highest voltage of the network"),
    Column("violations", "1", "network", "violations[1]", "highest", None, "Limits violated"),
    Column("converged", "1", "network", "converged[1]", "lowest", None, "Power flow solved"),
)  # fmt: skip
"""In the order in which they stand in the table."""

BY_NAME = {column.name: column for column in TIMESERIES}


class RequestColumn(NamedTuple):
    """One column of ``requests.parquet`` (one row per finished request)."""

    name: str
    unit: str
    dtype: str
    label: str


REQUESTS: tuple[RequestColumn, ...] = (
    RequestColumn("request_id", "1", "int64", "Number in order of arrival"),
    RequestColumn("arrived_at", "s", "float64", "Arrival, from the start of the run"),
    RequestColumn("released_at", "s", "float64", "Release to the cluster"),
    RequestColumn("scheduled_at", "s", "float64", "Start of its first batch"),
    RequestColumn("prefill_completed_at", "s", "float64", "First output token"),
    RequestColumn("completed_at", "s", "float64", "Last output token"),
    RequestColumn("prefill_tokens", "1", "int64", "Prompt tokens"),
    RequestColumn("decode_tokens", "1", "int64", "Output tokens"),
    RequestColumn("restarts", "1", "int64", "Times it began anew: evicted, or its replica failed"),
    RequestColumn("deferrable", "1", "bool", "Whether a policy could hold it back"),
    RequestColumn("deadline", "s", "float64", "When it must be complete; infinite without a deadline"),
    RequestColumn("replica", "1", "int64", "Replica that served it"),
    RequestColumn("tenant", "1", "int64", "Who sent it"),
    RequestColumn("energy_j", "J", "float64", "GPU energy attributed to it"),
    RequestColumn(
        "copies", "1", "float64", "Requests this row stands for: copies of the cluster that served it"
    ),
)
