"""A faithful local EPoint for development and tests; it shares the wire with the service and nothing else."""

from gql_epoint.simulator.app import create_simulator
from gql_epoint.simulator.server import RunningSimulator, running, serve
from gql_epoint.simulator.settings import (
    SANDBOX_MERCHANTS,
    CallbackPlan,
    Merchant,
    OrderPlan,
    SimulatorSettings,
    Switches,
)

__all__ = [
    "SANDBOX_MERCHANTS",
    "CallbackPlan",
    "Merchant",
    "OrderPlan",
    "RunningSimulator",
    "SimulatorSettings",
    "Switches",
    "create_simulator",
    "running",
    "serve",
]
