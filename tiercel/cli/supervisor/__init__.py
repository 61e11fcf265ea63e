"""Processes of services on this machine: started, watched, started again, and never left behind."""

from tiercel.cli.supervisor.child import Child, ChildSpec, SupervisorError
from tiercel.cli.supervisor.supervisor import Supervisor

__all__ = ["Child", "ChildSpec", "Supervisor", "SupervisorError"]
