"""MiniCloud's protocol for Python: `Server` asks one, `Keys` are the public keys of whoever asks.

It needs Python's standard library alone, and starts quickly: the mcc tools are thin shells over it.
"""

from pileus.mcc.client import Launched, ListedInstance, ProtocolError, Server, XmlRpcFault
from pileus.mcc.keys import Keys

__all__ = ["Keys", "Launched", "ListedInstance", "ProtocolError", "Server", "XmlRpcFault"]
