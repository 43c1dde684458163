"""A client of A2A on NATS, written from schemas/a2a-nats.md and nothing else, as somebody with another language would."""

import asyncio
import base64
import hashlib
import json
import uuid
from urllib.parse import urlsplit

import nats

BINDING = "https://paramedic.dev/a2a/bindings/nats/v1"
HEARTBEAT_S = 5
# Room for the headers of a piece.
HEADER_BYTES = 4096


class Refused(Exception):
    """An error of the agent. The reason tells errors apart."""

    def __init__(self, error, number):
        super().__init__(f"{error['code']} {error['message']}")
        info = error["data"][0]
        assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo", error
        self.code, self.reason, self.domain, self.details = error["code"], info["reason"], info["domain"], error["data"]
        self.number = number


class NobodyThere(Exception):
    """NATS found no replica."""


class Silence(Exception):
    """The agent said nothing for three heartbeats."""


class Received:
    """A whole message of the agent."""

    def __init__(self, headers, reply, data):
        self.headers, self.reply, self.data = headers, reply, data
        self.status = headers["a2a-status"]
        self.number = int(headers["a2a-seq"]) if "a2a-seq" in headers else None
        if data and headers.get("a2a-digest") != digest(data):
            raise AssertionError(f"another digest: {headers}")

    def json(self):
        return json.loads(self.data)


def digest(body):
    return "sha-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()


def headers_of(message):
    """Names compare without case. NATS's own status comes among them."""
    return {name.lower(): value for name, value in (message.headers or {}).items()}


class Inbox:
    """Where answers come: pieces put together, what has no status ignored."""

    def __init__(self, subscription, address):
        self.subscription, self.address = subscription, address
        self.pieces = {}
        # Pieces of the messages so far.
        self.pieces_seen = 0

    async def next(self, within):
        async with asyncio.timeout(within):
            while True:
                message = await self.subscription.next_msg(timeout=None)
                headers = headers_of(message)
                if headers.get("status") == "503":
                    raise NobodyThere
                whole = self.whole(headers, message)
                if whole and "a2a-status" in whole.headers:
                    return whole

    def whole(self, headers, message):
        if "a2a-chunk" not in headers:
            return Received(headers, message.reply, message.data) if "a2a-status" in headers else None
        self.pieces_seen += 1
        number, count = map(int, headers["a2a-chunk"].split("/"))
        pieces = self.pieces.setdefault(headers["a2a-chunk-id"], {})
        pieces[number] = (headers, message)
        if len(pieces) < count:
            return None
        del self.pieces[headers["a2a-chunk-id"]]
        first_headers, first = pieces[1]
        data = b"".join(pieces[number][1].data for number in range(1, count + 1))
        assert len(data) == int(first_headers["a2a-length"])
        return Received(first_headers, first.reply, data)

    async def close(self):
        await self.subscription.unsubscribe()


class Agent:
    """An agent, and as whom we come."""

    def __init__(self, connection, prefix, sender, url=None):
        self.connection, self.prefix, self.sender, self.url = connection, prefix, sender, url
        self.subject = f"{prefix}.rpc.{sender}"

    @classmethod
    async def connect(cls, url, sender):
        """The path of the URL is the agent's subjects' beginning."""
        parts = urlsplit(url)
        connection = await nats.connect(f"{parts.scheme}://{parts.netloc}", inbox_prefix=f"_INBOX_{sender}".encode())
        return cls(connection, parts.path.removeprefix("/"), sender, url)

    async def close(self):
        await self.connection.close()

    async def inbox(self):
        address = self.connection.new_inbox()
        # One message of the agent may be larger than what the client keeps by itself.
        return Inbox(await self.connection.subscribe(address, pending_bytes_limit=1 << 28), address)

    async def ask(self, method, request, inbox, **headers):
        """Sends a request, in pieces if it is too large."""
        body = request if isinstance(request, bytes) else b"" if request is None else json.dumps(request).encode()
        # The page wants a digest where there is a body; the agent wants one in any case.
        given = {"A2A-Version": "1.0", "A2A-Method": method, "A2A-Digest": digest(body)}
        given |= {f"A2A-{name.title()}": str(value) for name, value in headers.items()}
        room = self.connection.max_payload - HEADER_BYTES
        if len(body) <= room:
            await self.connection.publish(self.subject, body, reply=inbox.address, headers=given)
            return
        pieces = [body[start : start + room] for start in range(0, len(body), room)]
        id = uuid.uuid4().hex
        label = lambda number: {"A2A-Chunk": f"{number}/{len(pieces)}", "A2A-Chunk-Id": id}
        first = given | label(1) | {"A2A-Length": str(len(body))}
        await self.connection.publish(self.subject, pieces[0], reply=inbox.address, headers=first)
        answer = await inbox.next(HEARTBEAT_S)
        if answer.status == "error":
            raise Refused(answer.json(), answer.number)
        assert answer.status == "continue" and answer.reply.startswith(f"{self.subject}."), answer.reply
        for number, piece in enumerate(pieces[1:], start=2):
            await self.connection.publish(answer.reply, piece, reply=inbox.address, headers=label(number))

    async def call(self, method, request=None, within=65, heard=None, **headers):
        """An operation with one answer. `heard` takes what comes before it."""
        inbox = await self.inbox()
        try:
            await self.ask(method, request, inbox, **headers)
            while True:
                answer = await inbox.next(within)
                if answer.status == "ok":
                    return answer.json()
                if answer.status == "error":
                    raise Refused(answer.json(), answer.number)
                if heard is not None:
                    heard.append(answer.status)
        finally:
            await inbox.close()

    def stream(self, method, request, **headers):
        return Stream(self, method, request, headers)


class Stream:
    """Frames in order, each acknowledged when the next one is asked for. Goes on where it was if something is missing."""

    def __init__(self, agent, method, request, headers):
        self.agent, self.method, self.request, self.headers = agent, method, request, headers
        self.heartbeat_s = headers.get("heartbeat", HEARTBEAT_S * 1000) / 1000
        self.inbox = None
        # The exchange that was heard first, the number of the last frame in order, and where to answer it.
        self.exchange = None
        self.number = 0
        self.control = None
        self.heartbeats = 0
        self.gaps = 0
        self.ended = False

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.inbox is None:
            await self.open()
        elif self.control:
            await self.answer(self.control)
        while not self.ended:
            event = await self.event()
            if event is not None:
                return event
        await self.inbox.close()
        raise StopAsyncIteration

    async def open(self):
        self.inbox = await self.agent.inbox()
        await self.agent.ask(self.method, self.request, self.inbox, **self.headers)

    async def event(self):
        """The next event; none if something else came."""
        message = await self.heard()
        if message.status == "error" and message.number is None:
            await self.inbox.close()
            raise Refused(message.json(), None)
        if not self.is_mine(message):
            return None
        if message.status == "heartbeat":
            await self.beat(message)
            return None
        assert message.status in ("ok", "end", "error"), f"the replica says {message.status}"
        if message.number <= self.number:
            return None
        if message.number > self.number + 1:
            self.gaps += 1
            await self.resume()
            return None
        self.number, self.control = message.number, message.reply
        if message.status == "ok":
            return message.json()
        await self.answer(message.reply)
        self.ended = True
        if message.status == "error":
            raise Refused(message.json(), message.number)
        return None

    async def heard(self):
        """What comes next. A heartbeat that is half its time late is a reason to ask for what was on its way."""
        try:
            return await self.inbox.next(1.5 * self.heartbeat_s)
        except TimeoutError:
            if self.control:
                await self.resume()
        try:
            return await self.inbox.next(1.5 * self.heartbeat_s)
        except TimeoutError:
            raise Silence from None

    def is_mine(self, message):
        assert message.reply.startswith(f"{self.agent.subject}."), message.reply
        exchange = message.reply.rsplit(".", 1)[0]
        self.exchange = self.exchange or exchange
        return exchange == self.exchange

    async def beat(self, heartbeat):
        self.heartbeats += 1
        await self.answer(heartbeat.reply)
        if heartbeat.number > self.number:
            self.gaps += 1
            self.control = self.control or heartbeat.reply
            await self.resume()

    async def answer(self, subject, control=None):
        headers = {"A2A-Control": control} if control else None
        await self.agent.connection.publish(subject, b"", reply=self.inbox.address, headers=headers)

    async def resume(self):
        """Everything after the last frame in order once more, to another inbox."""
        await self.inbox.close()
        self.inbox = await self.agent.inbox()
        await self.answer(self.control, "resume")

    async def cancel(self):
        """Nobody listens any more."""
        await self.answer(self.control, "cancel")
        await self.inbox.close()
