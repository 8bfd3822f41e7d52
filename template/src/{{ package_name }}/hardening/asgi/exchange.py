# Owned by the template: an update rewrites this file.
"""One request and the answer that the perimeter itself gives to it, whatever the protocol."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Message, Receive, Scope, Send

from ..core.headers import HeaderList, is_field
from ..core.log import log
from ..core.masking import describe, mask
from ..core.problems import ROUTE_TIMEOUT, UNHANDLED, Refusal
from ..steps.base import RequestContext, Services
from ..steps.client import client_keys
from .deadlines import Deadlines, Peer, Slot
from .drain import LETTING_GO, Drains
from .response_headers import ResponseHeaders
from .sockets import Sockets


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the exchanges of one application share."""

    services: Services
    identify: Callable[[RequestContext], str]
    deadlines: Deadlines
    sockets: Sockets
    drains: Drains
    response_headers: ResponseHeaders
    own_headers: ResponseHeaders
    """The same without the steps of the team, for when one of them fails."""
    unhandled: Callable[[str, BaseException], bytes]
    """The document of a 500."""
    cut: Callable[[Peer | None, str], None]
    body_timeout: float
    request_timeout: float
    root_path: str


class Exchange:
    """One request and its response; a class for each protocol inherits it. The steps see `request` alone."""

    # What most exchanges never change stands on the class: an instance sets only what it needs.
    refusal: Refusal | None = None
    """The answer from now on, whatever the application still sends."""
    if_unanswered: Refusal | None = None
    """The answer where the application has neither begun one nor failed."""
    slot: Slot | None = None
    drain: asyncio.Task[bool] | None = None
    """Reads what is left of the body after its answer."""
    status = 0
    started = finished = False

    def __init__(self, runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
        self._runtime = runtime
        self.peer = scope.get("client")  # `identify` puts the one there that a proxy names
        self.request = RequestContext(scope, runtime.services, runtime.identify, runtime.root_path)
        self.raw_receive = receive
        self.raw_send = send

    def acquire_slot(self) -> Refusal | None:
        """Take a place among what is at work, or say why there is none."""
        keys = client_keys(self.request.client)
        deadlines = self._runtime.deadlines
        places = deadlines.sockets if self.request.is_websocket else deadlines.requests
        if (refusal := places.take(keys)) is None:
            self.slot = Slot(deadlines, places, keys, self.give_up)
            self.slot.peer = self.peer
        return refusal

    def over(self) -> None:
        """Give back what it held."""
        if self.slot is not None:
            self.slot.end()

    async def fail(self, error: BaseException) -> None:
        """Answer what the application or a step raised."""
        raise NotImplementedError

    def await_response(self) -> None:
        """Give the route its time to begin its response; one that has begun may take as long as it takes."""
        if self.slot is None:
            return
        if self.started:
            self.slot.clear_deadline()
            return
        seconds = self.request.policy.request_timeout if self._runtime.services.routes.has_timeouts else None
        self.slot.set_deadline(seconds or self._runtime.request_timeout, ROUTE_TIMEOUT)

    async def receive_nothing(self) -> Message:
        """The `receive` of a request that is refused: no byte of it reaches anybody."""
        return {"type": "websocket.connect"} if self.request.is_websocket else {"type": "http.request", "body": b""}

    async def give_up(self, refusal: Refusal) -> None:
        """Answer in the place of an application that does not stop; what it holds it holds until it does."""
        request = self.request
        log("warning", "work_goes_on", request_id=request.request_id, path=request.path, reason=refusal.event)
        if not self.started:
            await self.refuse(refusal)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal, and let the log name it unless something else has happened."""
        self.note_once(refusal)
        await self.answer(refusal.status, refusal.headers, refusal.body(self.request.request_id))

    async def answer(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Answer in the application's place."""
        self.refusal = None
        headers = [*headers, (b"content-length", b"%d" % len(body))]
        try:
            if self.request.unsettled:
                await self.request.settle(None)
            complete = self._runtime.response_headers.finalize(self.request, status, headers)
            await self._send_answer(status, complete, body)
        except BaseException as error:
            if self.started:  # the client is gone
                raise
            self.note_failure(error)  # a step of the team's, whatever it raises or writes
            self.request.response_headers[:] = [each for each in self.request.response_headers if is_field(*each)]
            status, body = UNHANDLED.status, self._runtime.unhandled(self.request.request_id, error)
            headers = [*UNHANDLED.headers, (b"content-length", b"%d" % len(body))]
            await self._send_answer(status, self._runtime.own_headers.finalize(self.request, status, headers), body)

    async def _send_answer(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Send a whole response with complete headers."""
        raise NotImplementedError

    async def _start_with(self, start: Message) -> None:
        """Send the head of a response, which has begun unless the server refuses it."""
        self.started, self.status = True, start.get("status", 101)
        try:
            await self.raw_send(start)
        except Exception:  # not where it was cancelled: it may have begun
            self.started, self.status = False, 0
            raise

    async def cancelled(self, error: asyncio.CancelledError) -> None:
        """Say why the request was cancelled: its time is up, the server stops, or the application did it itself.

        Raises:
            CancelledError: The server stops.
            ConnectionAbortedError: Half of a response is out, so the server is to cut the connection.
        """
        task = asyncio.current_task()
        overdue = self.slot.overdue if self.slot is not None else None
        if overdue is not None and task is not None and not task.uncancel():
            if self.finished:
                return  # it was answered while it could not be stopped
            self.refusal = overdue
            await asyncio.sleep(LETTING_GO)
            if self.started:
                self.request.note(overdue.event)
                self._runtime.cut(self.peer, self.request.scope["http_version"])
                raise ConnectionAbortedError(overdue.event)
        elif task is not None and (number := task.cancelling()):
            if not self.started:
                for _ in range(number):
                    task.uncancel()
                await self.fail(error)  # or the server would answer, barely
            raise error
        else:
            await self.fail(error)

    def note_once(self, refusal: Refusal) -> None:
        """Let the log name a refusal unless something else has happened."""
        if self.request.event == "request":
            self.request.note(refusal.event)

    def note_failure(self, error: BaseException) -> None:
        """Log an exception with the line of the request."""
        self.request.note("unhandled_error", exception=mask(describe(error), log.secrets))
