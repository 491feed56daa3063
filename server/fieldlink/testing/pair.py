"""Both ends of a link, joined by two byte pipes and one clock that the test owns."""

from collections.abc import Callable

from fieldlink import link as links
from fieldlink.keys import KeyPair

Wire = Callable[[bytes], bytes]


class ConnectionPair:
    """An initiator and a responder. Messages are consumed on arrival unless `consume` is switched off.

    `uplink` and `downlink` may damage what passes.
    """

    def __init__(self, *, server: KeyPair, device: KeyPair, device_id: bytes = b"device") -> None:
        self.now = 0.0
        self.unix_time = 1_700_000_000
        self.consume = True
        self.accept: Callable[[links.HandshakeReceived], bool] = lambda event: event.peer_key == device.public
        self.uplink: Wire = lambda data: data
        self.downlink: Wire = lambda data: data
        self.server = links.Responder(static_private=server.private)
        self.device = links.Initiator(
            static_private=device.private,
            remote_public=server.public,
            device_id=device_id,
            now=0.0,
            jitter=lambda: 0.0,
        )
        self.server_events: list[links.Event] = []
        self.device_events: list[links.Event] = []

    def pump(self, rounds: int = 1000) -> None:
        """Carries bytes both ways until nothing moves. AssertionError when that never ends."""
        for _ in range(rounds):
            self.device.poll(self.now)
            self.server.poll(self.now)
            self._server_events()
            self._device_events()
            up, down = self.device.data_to_send(), self.server.data_to_send()
            if not up and not down:
                return
            self.server.receive_data(self.uplink(up))
            self.device.receive_data(self.downlink(down))
        raise AssertionError(f"the link is not quiet after {rounds} rounds")

    def _server_events(self) -> None:
        while (event := self.server.next_event(self.now)) is not None:
            self.server_events.append(event)
            if isinstance(event, links.HandshakeReceived):
                if self.accept(event):
                    self.server.accept(self.now, unix_time=self.unix_time)
                else:
                    self.server.reject()
            elif isinstance(event, links.Message) and self.consume:
                self.server.consume(event.channel, len(event.payload))

    def _device_events(self) -> None:
        while (event := self.device.next_event(self.now)) is not None:
            self.device_events.append(event)
            if isinstance(event, links.Message) and self.consume:
                self.device.consume(event.channel, len(event.payload))

    def advance(self, seconds: float) -> None:
        """Lets time pass, stopping at every deadline on the way."""
        end = self.now + seconds
        while True:
            times = (self.device.next_deadline(), self.server.next_deadline())
            pending = [time for time in times if time is not None and time <= end]
            if not pending:
                break
            self.now = max(self.now, min(pending))
            self.pump()
        self.now = end
        self.pump()

    def connect(self) -> None:
        """Pumps until both ends are up. AssertionError when that takes longer than a minute of link time."""
        for _ in range(600):
            self.pump()
            if self.device.is_up and self.server.is_up:
                return
            self.advance(0.1)
        raise AssertionError("the link did not come up")

    def messages(self, side: str) -> list[links.Message]:
        """Messages that `device` or `server` received so far."""
        events = self.device_events if side == "device" else self.server_events
        return [event for event in events if isinstance(event, links.Message)]
