"""The agent as one binding's client of a2a-sdk sees it, and what checks say again and again."""

import uuid
from dataclasses import dataclass

import grpc
import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.client.client import Client, ClientCallContext
from a2a.types import a2a_pb2 as pb
from a2a.utils.constants import TransportProtocol

from report import equal

BINDINGS = {"jsonrpc": TransportProtocol.JSONRPC, "http+json": TransportProtocol.HTTP_JSON, "grpc": TransportProtocol.GRPC}
# Longer than the agent's longest script that is waited for.
TIMEOUT_S = 20


@dataclass
class Side:
    """Clients over one binding."""

    binding: str
    card: pb.AgentCard
    # Sends and waits for the answer.
    once: Client
    # Sends and hears what happens.
    streaming: Client


async def sides(url):
    """One for each binding, by way of the public card."""
    async with httpx.AsyncClient() as http:
        card = await A2ACardResolver(http, url).get_agent_card()
    return [side(name, protocol, card) for name, protocol in BINDINGS.items()]


def side(name, protocol, card):
    def client(streaming):
        http = httpx.AsyncClient(timeout=TIMEOUT_S)
        config = ClientConfig(
            streaming=streaming,
            httpx_client=http,
            grpc_channel_factory=grpc.aio.insecure_channel,
            supported_protocol_bindings=[protocol],
        )
        return ClientFactory(config).create(card)

    return Side(name, card, client(streaming=False), client(streaming=True))


def message(prefix, **fields):
    """What the agent shall do is said by the beginning of the message's id."""
    parts = fields.pop("parts", None) or [pb.Part(text="for the conformance agent")]
    return pb.Message(message_id=f"{prefix}-{uuid.uuid4()}", role=pb.ROLE_USER, parts=parts, **fields)


def request(asked, **configuration):
    return pb.SendMessageRequest(message=asked, configuration=pb.SendMessageConfiguration(**configuration))


async def answer(side, asked, context=None, **configuration):
    """The one answer of a send that does not stream."""
    events = [event async for event in side.once.send_message(request(asked, **configuration), context=context)]
    equal(len(events), 1)
    return events[0]


async def task(side, prefix, state, **fields):
    """Sends what must come back as a task in this state."""
    got = await answer(side, message(prefix, **fields))
    equal(got.WhichOneof("payload"), "task")
    equal(state_name(got.task), state)
    return got.task


async def begin(side, prefix, **configuration):
    """Sends without waiting for the end."""
    got = await answer(side, message(prefix), return_immediately=True, **configuration)
    equal(got.WhichOneof("payload"), "task")
    return got.task


async def stream(side, asked):
    """All that is told after a message, until the agent ends the stream."""
    return [event async for event in side.streaming.send_message(request(asked))]


async def get(side, id, context=None, **fields):
    return await side.once.get_task(pb.GetTaskRequest(id=id, **fields), context=context)


async def cancel(side, id):
    return await side.once.cancel_task(pb.CancelTaskRequest(id=id))


def state_name(task):
    return pb.TaskState.Name(task.status.state).removeprefix("TASK_STATE_")


def said(task):
    """The text of a status."""
    return task.status.message.parts[0].text


def story(events):
    """A stream in short."""
    return [short(event) for event in events]


def short(event):
    kind = event.WhichOneof("payload")
    if kind == "task":
        return f"task {state_name(event.task)}"
    if kind == "status_update":
        return f"status {state_name(event.status_update)}"
    if kind == "artifact_update":
        update = event.artifact_update
        return f"artifact {'append' if update.append else 'new'} {'last' if update.last_chunk else 'more'}"
    return kind


def as_caller(name):
    """The agent takes a bearer token for the caller's name."""
    return ClientCallContext(service_parameters={"Authorization": f"Bearer {name}"})

