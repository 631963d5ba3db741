"""What the core asks of the world: Protocols, nothing else.

Every implementation and every fake shipped in `modeldyno.testing` passes the contract suite of its port
(`modeldyno.testing.contracts`). Store, object store, clock and entropy are synchronous and safe to call from several
threads; instances and load are asynchronous and stay on the loop that made them.
"""

from modeldyno.ports.compiling import Compiler, CompileRequest
from modeldyno.ports.hosting import Event, HostingStore
from modeldyno.ports.instances import DeployRequest, Instance, InstanceBackend, Tag, Usage
from modeldyno.ports.load import LoadGenerator, LoadSession, LoadTarget
from modeldyno.ports.objects import ArchiveFacts, ArchiveLimits, ObjectStore
from modeldyno.ports.spool import SpoolSource
from modeldyno.ports.store import Claim, JobPage, LogLine, Page, Place, Store
from modeldyno.ports.surroundings import Clock, Entropy

__all__ = [
    "ArchiveFacts",
    "ArchiveLimits",
    "Claim",
    "Clock",
    "CompileRequest",
    "Compiler",
    "DeployRequest",
    "Entropy",
    "Event",
    "HostingStore",
    "Instance",
    "InstanceBackend",
    "JobPage",
    "LoadGenerator",
    "LoadSession",
    "LoadTarget",
    "LogLine",
    "ObjectStore",
    "Page",
    "Place",
    "SpoolSource",
    "Store",
    "Tag",
    "Usage",
]
