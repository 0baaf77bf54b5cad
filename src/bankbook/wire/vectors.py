"""Version vectors, between protocol buffers and the core's type.

Decides nothing. Proof: tests/wire/test_peers.py.
"""

from bankbook.core.vector import VersionVector
from bankbook.wire.basics import decode_origin, decode_seq, encode_origin
from bankbook.wire.v1 import replication_pb2


def encode_vector(vector: VersionVector) -> replication_pb2.VersionVector:
    """Return the message for a version vector."""
    return replication_pb2.VersionVector(
        components=[
            replication_pb2.Component(origin=encode_origin(origin), seq=seq) for origin, seq in vector
        ]
    )


def decode_vector(message: replication_pb2.VersionVector) -> VersionVector:
    """Return a version vector; raises MessageDamagedError."""
    return VersionVector((decode_origin(c.origin), decode_seq(c.seq)) for c in message.components)
