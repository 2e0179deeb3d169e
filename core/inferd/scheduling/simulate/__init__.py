"""The real scheduler on a request trace in virtual time: `python -m inferd.scheduling.simulate`."""

from inferd.scheduling.simulate.cost import CostModel
from inferd.scheduling.simulate.report import Report
from inferd.scheduling.simulate.simulation import simulate
from inferd.scheduling.simulate.trace import Arrival, load_trace

__all__ = ["Arrival", "CostModel", "Report", "load_trace", "simulate"]
