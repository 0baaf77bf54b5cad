"""All systems, in the order in which they are told of.

Decides nothing.
"""

from benchmarks import bankbook, etcd, floor, postgresql, redis_server
from benchmarks.cases import Case, System

SYSTEMS: tuple[System, ...] = (
    floor.SYSTEM,
    bankbook.SYSTEM,
    postgresql.SYSTEM,
    etcd.SYSTEM,
    redis_server.SYSTEM,
)

CASES: dict[str, Case] = {case.name: case for system in SYSTEMS for case in system.cases}

SYSTEM_OF: dict[str, System] = {case.name: system for system in SYSTEMS for case in system.cases}
