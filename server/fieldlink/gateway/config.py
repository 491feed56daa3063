"""Settings of a gateway."""

from dataclasses import dataclass, field

from fieldlink.errors import ConfigError
from fieldlink.keys import KeyPair, KeyUse


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """How a gateway listens. Port 0 takes a free one; times are seconds."""

    server_key: KeyPair = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 0
    connections_limit: int = 1024
    """TCP connections at a time; one more is closed at once."""
    idle_timeout_s: float = 600.0
    """A TCP connection without a session for this long is closed."""
    write_timeout_s: float = 10.0
    """A peer that takes no bytes for this long is closed."""
    store_timeout_s: float = 10.0
    """Longest wait for the store before a request is refused."""
    telemetry_kept: int = 4096
    """Telemetry messages kept in memory, each device."""

    def __post_init__(self) -> None:
        """ConfigError for settings that cannot work."""
        if self.server_key.use is not KeyUse.SERVER:
            raise ConfigError(f"a {self.server_key.use.value} key cannot identify a server; use a server key")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port {self.port}: expected 0..65535")
