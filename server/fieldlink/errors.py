"""The errors of the package.

::

    FieldlinkError
    ├── LocalProtocolError        our side asked for something that the protocol forbids now
    │   └── QueueFullError        a channel's bounded queue has no room: wait, or drop and count
    ├── RemoteProtocolError       the peer (or the wire) broke the protocol
    ├── ConfigError               bad input from a person: option, file, version string, port
    │   └── KeyFileError          a key file that is missing, damaged, or of the wrong kind
    ├── ManifestError             a manifest or envelope that is malformed or not signed as it must be
    ├── TokenError                a debug token that is malformed or not signed as it must be
    ├── StoreError                the server's store is damaged or cannot be used
    │   └── NotFoundError         the store does not hold what was asked for
    ├── AuditError                the audit log is not intact
    └── GatewayError              the server cannot run
"""


class FieldlinkError(Exception):
    """Root of everything that fieldlink raises on purpose. Its text is one line."""


class LocalProtocolError(FieldlinkError):
    """Our side used the protocol wrongly: a bug in the caller."""


class QueueFullError(LocalProtocolError):
    """A channel's bounded send queue is full."""


class RemoteProtocolError(FieldlinkError):
    """The peer sent something that the protocol does not allow, or the wire damaged it."""


class ConfigError(FieldlinkError):
    """Bad input from a person."""


class KeyFileError(ConfigError):
    """A key file is missing, damaged, or holds another kind of key than the one needed."""


class ManifestError(FieldlinkError):
    """A manifest or its envelope is malformed, or its signature does not hold."""


class TokenError(FieldlinkError):
    """A debug token is malformed, or its signature does not hold."""


class StoreError(FieldlinkError):
    """The server's store is damaged, or cannot be read or written."""


class NotFoundError(StoreError):
    """The store does not hold what was asked for."""


class AuditError(FieldlinkError):
    """The audit log was changed. `entry`: number of the first entry that shows it; None: the head does."""

    def __init__(self, text: str, entry: int | None = None) -> None:
        super().__init__(text)
        self.entry = entry


class GatewayError(FieldlinkError):
    """The gateway cannot start or go on."""
