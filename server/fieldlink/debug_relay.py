"""The server's table of debug sessions (PROTOCOL.md, section 6). Sans-IO: frames and the time in, frames out.

It knows *links* (one proven P2P session each, of a device or a client) by numbers that its owner gets from
`add_device` and `add_client`, and *sessions*, each between one client link and one device link. What it is
told to relay it cannot read: it only counts and hashes it.

Flow control: what arrives on a link waits in the outbox of the link that it goes to, and the credit for it is
given back (`take_released`) only when it left that outbox. So a receiver that is slow makes the sender wait,
on the debug channel and nowhere else. Because all sessions of a link share that channel's credit, a receiver
that takes nothing for STALL_LIMIT_S loses the session.

The owner calls `receive` for each message of channel 3, `poll` a few times a second, `remove` when a link is
lost; after each call it empties `take_frame` of every link in `take_ready` as far as the link has
room, gives back the credit in `take_released`, and deals with `take_closed`.
"""

import hashlib
import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from fieldlink import debug_messages as frames
from fieldlink.audit import Traffic
from fieldlink.debug_messages import EndReason, Permission
from fieldlink.errors import LocalProtocolError, RemoteProtocolError, TokenError
from fieldlink.token import Token, open_token, read_unverified_token

STALL_LIMIT_S: Final = 6.0
"""A relayed frame that waits so long for its receiver ends the session."""

SESSIONS_PER_LINK: Final = 8
"""Sessions that one device or one client may have."""

OUTBOX_LIMIT: Final = 64
"""Frames that may wait for a link before new sessions are refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest:
    """A client asks for a session: `judge` it, then `reserve` and `grant` it, or `refuse` it.

    `size` is its share of the client's credit.
    """

    link: int
    frame: frames.Open
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A session is over. `ended_by`: "client", "device" or "server"."""

    session: "Session"
    reason: int
    ended_by: str


@dataclass(slots=True)
class _Meter:
    """Counts and hashes what was relayed one way."""

    frames: int = 0
    size: int = 0
    _hash: "hashlib.blake2b" = field(default_factory=lambda: hashlib.blake2b(digest_size=32))

    def add(self, payload: bytes) -> None:
        self.frames += 1
        self.size += len(payload)
        self._hash.update(len(payload).to_bytes(4, "little") + payload)

    def total(self) -> Traffic:
        return Traffic(frames=self.frames, size=self.size, digest=self._hash.digest())


@dataclass(slots=True, eq=False)
class _Link:
    number: int
    name: str
    is_device: bool
    outbox: "deque[_Outgoing]" = field(default_factory=deque)
    sessions: "dict[int, Session]" = field(default_factory=dict)
    manifest: bytes | None = None  # devices: digest of the envelope in the last check
    e2e_public: bytes = b""  # clients
    next_session: int = 1


@dataclass(slots=True, eq=False, kw_only=True)
class Session:
    """One debug session; everything but the totals is fixed when it is reserved."""

    client: str
    device_id: str
    session_id: bytes
    token: Token
    expires_at: float
    client_link: _Link = field(repr=False)
    client_number: int
    device_link: _Link = field(repr=False)
    device_number: int
    granted: bool = False
    closed: bool = False
    to_device: _Meter = field(default_factory=_Meter, repr=False)
    to_client: _Meter = field(default_factory=_Meter, repr=False)

    @property
    def controls(self) -> bool:
        """Whether it may do more than read."""
        return self.token.permissions != Permission.READ


class RelayTap(Protocol):
    """Stands where a server could lie: sees each relayed frame and says what goes on, and to which session.

    For tests of what devices and clients make of such a server; a gateway for users has none.
    """

    def __call__(
        self, session: Session, to_client: bool, payload: bytes, /
    ) -> Iterable[tuple[Session, bytes]]:
        """What to pass on instead of `payload`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outgoing:
    payload: bytes
    origin: _Link | None  # whose credit it holds
    size: int
    session: Session | None  # relayed frames only
    since: float


class DebugTable:
    """All links and sessions of one gateway. `now` is any monotonic clock, `unix_now` seconds since 1970."""

    def __init__(self, *, fleet_public: bytes | None = None, tap: "RelayTap | None" = None) -> None:
        self._fleet_public = fleet_public
        self._tap = tap
        self._links: dict[int, _Link] = {}
        self._devices: dict[str, _Link] = {}
        self._numbers = itertools.count(1)
        self._sessions: dict[Session, None] = {}  # a set that keeps its order
        self._ready: dict[int, None] = {}
        self._released: list[tuple[int, int]] = []
        self._closed: list[Closed] = []

    # ---- links

    def add_device(self, device_id: str) -> int:
        """A device has a proven session. Its number stays good until `remove`."""
        link = _Link(number=next(self._numbers), name=device_id, is_device=True)
        self._links[link.number] = self._devices[device_id] = link
        return link.number

    def add_client(self, name: str, e2e_public: bytes) -> int:
        """A client has a proven session; `e2e_public` (32 bytes) is the key that its tokens must name."""
        link = _Link(number=next(self._numbers), name=name, is_device=False, e2e_public=e2e_public)
        self._links[link.number] = link
        return link.number

    def note_manifest(self, link_number: int, digest: bytes) -> None:
        """A device told what is installed (BLAKE2b-256 of the envelope). Until then it cannot be debugged."""
        self._links[link_number].manifest = digest

    def remove(self, link_number: int, now: float) -> None:
        """A link is lost: its sessions end, and the other sides hear of it."""
        link = self._links.pop(link_number)
        if self._devices.get(link.name) is link:
            del self._devices[link.name]
        for session in tuple(link.sessions.values()):
            self._close(session, EndReason.LINK_LOST, "device" if link.is_device else "client", now)
        for outgoing in link.outbox:
            self._release(outgoing.origin, outgoing.size)
        link.outbox.clear()
        self._ready.pop(link_number, None)

    def shut_down(self, now: float) -> None:
        """Ends every session; both sides hear of it."""
        for session in tuple(self._sessions):
            self._close(session, EndReason.SHUTTING_DOWN, "server", now)

    # ---- what links send

    def receive(self, link_number: int, payload: bytes, now: float) -> OpenRequest | None:
        """One message of channel 3. RemoteProtocolError when it ends the link.

        A `relay` or `ended` for a session that is not there crossed an `ended` of ours: it is ignored.
        """
        link = self._links[link_number]
        frame = frames.decode_frame(payload)
        match frame:
            case frames.Relay():
                self._relay(link, frame, len(payload), now)
            case frames.Ended():
                self._ended(link, frame, now)
                self._release(link, len(payload))
            case frames.Open() if not link.is_device:
                if frame.session in link.sessions:
                    raise RemoteProtocolError(f"open: session {frame.session} is open already")
                return OpenRequest(link=link_number, frame=frame, size=len(payload))
            case _:
                sender = "device" if link.is_device else "client"
                raise RemoteProtocolError(f"debug frame {type(frame).__name__} from a {sender}")
        return None

    def _relay(self, link: _Link, frame: frames.Relay, size: int, now: float) -> None:
        session = link.sessions.get(frame.session)
        if session is None or not session.granted:
            self._release(link, size)
            return
        meter = session.to_client if link.is_device else session.to_device
        meter.add(frame.payload)
        if self._tap is None:
            self._put_relayed(session, link.is_device, frame.payload, now, origin=link, size=size)
            return
        self._release(link, size)
        for to, payload in self._tap(session, link.is_device, frame.payload):
            if not to.closed:
                self._put_relayed(to, link.is_device, payload, now)

    def _put_relayed(
        self,
        session: "Session",
        to_client: bool,
        payload: bytes,
        now: float,
        *,
        origin: _Link | None = None,
        size: int = 0,
    ) -> None:
        target = session.client_link if to_client else session.device_link
        number = session.client_number if to_client else session.device_number
        relayed = frames.encode(frames.Relay(session=number, payload=payload))
        self._put(target, relayed, now, origin=origin, size=size, session=session)

    def _ended(self, link: _Link, frame: frames.Ended, now: float) -> None:
        session = link.sessions.get(frame.session)
        if session is not None:
            self._close(session, frame.reason, "device" if link.is_device else "client", now)

    # ---- opening

    def judge(self, request: OpenRequest, unix_now: float) -> EndReason | None:
        """Why the request must be refused; None when it may be granted.

        OFFLINE also stands for a device that does not exist: the owner can tell the two apart.
        """
        client = self._links[request.link]
        try:
            token = self.read_token(request)
        except TokenError:
            return EndReason.NOT_AUTHORISED
        if token.client != client.e2e_public or not token.allows_device(request.frame.device_id):
            return EndReason.NOT_AUTHORISED
        if token.is_expired(unix_now):
            return EndReason.EXPIRED
        device = self._find(request.frame.device_id)
        if device is None or device.manifest is None:
            return EndReason.OFFLINE
        return EndReason.BUSY if self._is_busy(device, client, token) else None

    def read_token(self, request: OpenRequest) -> Token:
        """The request's token. TokenError when it is malformed or, with a fleet key, not signed by it."""
        if self._fleet_public is None:
            return read_unverified_token(request.frame.token)
        return open_token(request.frame.token, self._fleet_public)

    def _find(self, device_id: bytes) -> _Link | None:
        return self._devices.get(device_id.decode("ascii", "replace"))

    @staticmethod
    def _is_busy(device: _Link, client: _Link, token: Token) -> bool:
        if max(len(device.sessions), len(client.sessions)) >= SESSIONS_PER_LINK:
            return True
        if len(device.outbox) >= OUTBOX_LIMIT:
            return True
        controlled = any(session.controls for session in device.sessions.values())
        return controlled and token.permissions != Permission.READ

    def reserve(self, request: OpenRequest, now: float, unix_now: float) -> Session:
        """The session of a request that `judge` just had nothing against. Nobody is told until `grant`."""
        client, token = self._links[request.link], self.read_token(request)
        device = self._find(request.frame.device_id)
        if device is None or device.manifest is None or request.frame.session in client.sessions:
            raise LocalProtocolError("reserve: the request was not judged")
        session = Session(
            client=client.name,
            device_id=device.name,
            session_id=request.frame.session_id,
            token=token,
            expires_at=now + token.expires - unix_now,
            client_link=client,
            client_number=request.frame.session,
            device_link=device,
            device_number=device.next_session,
        )
        device.next_session += 1
        self._sessions[session] = None
        client.sessions[session.client_number] = device.sessions[session.device_number] = session
        return session

    def grant(self, session: Session, request: OpenRequest, now: float) -> bool:
        """Tells both sides. False when the session ended meanwhile (its client was told why)."""
        client, device = session.client_link, session.device_link
        if session.closed or device.manifest is None:
            self._release(client, request.size)
            return False
        session.granted = True
        to_device = frames.OpenDevice(
            session=session.device_number, session_id=session.session_id, token=request.frame.token
        )
        to_client = frames.Opened(session=session.client_number, manifest=device.manifest)
        self._put(device, frames.encode(to_device), now)
        self._put(client, frames.encode(to_client), now, origin=client, size=request.size)
        return True

    def cancel(self, session: Session, request: OpenRequest, reason: EndReason, now: float) -> None:
        """Takes a reserved session back; its client is told."""
        self._release(session.client_link, request.size)
        if not session.closed:
            self._close(session, reason, "server", now)

    def refuse(self, request: OpenRequest, reason: EndReason, now: float) -> None:
        """Tells the client that there is no session."""
        link = self._links.get(request.link)
        if link is not None:
            ended = frames.encode(frames.Ended(session=request.frame.session, reason=reason))
            self._put(link, ended, now, origin=link, size=request.size)

    # ---- closing

    def _close(self, session: Session, reason: int, ended_by: str, now: float) -> None:
        session.closed = True
        del self._sessions[session]
        del session.client_link.sessions[session.client_number]
        del session.device_link.sessions[session.device_number]
        # Whoever ended it knows; a device that was never told of the session is told nothing.
        if ended_by != "client":
            self._put_ended(session.client_link, session.client_number, reason, now)
        if ended_by != "device" and session.granted:
            self._put_ended(session.device_link, session.device_number, reason, now)
        self._closed.append(Closed(session=session, reason=int(reason), ended_by=ended_by))

    def _put_ended(self, link: _Link, number: int, reason: int, now: float) -> None:
        if link.number in self._links:
            self._put(link, frames.encode(frames.Ended(session=number, reason=reason)), now)

    # ---- time

    def poll(self, now: float) -> None:
        """Ends the sessions whose token expired, and those whose receiver takes nothing."""
        for session in [each for each in self._sessions if each.expires_at <= now]:
            self._close(session, EndReason.EXPIRED, "server", now)
        for link in self._links.values():
            while (stalled := self._stalled(link)) is not None and stalled.since + STALL_LIMIT_S <= now:
                self._drop_relayed(link, stalled.session)
                if stalled.session is not None and not stalled.session.closed:
                    self._close(stalled.session, EndReason.LINK_LOST, "server", now)

    @staticmethod
    def _stalled(link: _Link) -> "_Outgoing | None":
        return next((outgoing for outgoing in link.outbox if outgoing.session is not None), None)

    def _drop_relayed(self, link: _Link, session: Session | None) -> None:
        kept = deque(outgoing for outgoing in link.outbox if outgoing.session is not session)
        for outgoing in link.outbox:
            if outgoing.session is session:
                self._release(outgoing.origin, outgoing.size)
        link.outbox = kept

    # ---- what the owner does

    def _put(
        self,
        link: _Link,
        payload: bytes,
        now: float,
        *,
        origin: _Link | None = None,
        size: int = 0,
        session: Session | None = None,
    ) -> None:
        link.outbox.append(_Outgoing(payload=payload, origin=origin, size=size, session=session, since=now))
        self._ready[link.number] = None

    def _release(self, origin: _Link | None, size: int) -> None:
        if origin is not None and origin.number in self._links:
            self._released.append((origin.number, size))

    def take_ready(self) -> list[int]:
        """Links that have got something to send since the last call."""
        ready = list(self._ready)
        self._ready.clear()
        return ready

    def take_frame(self, link_number: int) -> bytes | None:
        """The next message for channel 3 of a link that has room for it; None when there is none."""
        link = self._links.get(link_number)
        if link is None or not link.outbox:
            return None
        outgoing = link.outbox.popleft()
        self._release(outgoing.origin, outgoing.size)
        return outgoing.payload

    def take_released(self) -> list[tuple[int, int]]:
        """(link, bytes): received bytes of channel 3 whose credit can be given back."""
        released, self._released = self._released, []
        return released

    def take_closed(self) -> list[Closed]:
        """Sessions that have ended since the last call."""
        closed, self._closed = self._closed, []
        return closed

    def sessions(self) -> list[Session]:
        """Sessions that are open or about to be."""
        return list(self._sessions)
