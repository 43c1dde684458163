"""What is told meanwhile."""

import asyncio

from a2a.types import a2a_pb2 as pb

from report import equal
from side import begin, cancel, get, message, request, short, state_name, story, stream, task

WHOLE = ["task SUBMITTED", "status WORKING", "artifact new last", "status COMPLETED"]


async def streamed_task(side):
    events = await stream(side, message("tck-stream-001"))
    equal(story(events), WHOLE)
    first = events[0].task
    for event in events[1:]:
        update = getattr(event, event.WhichOneof("payload"))
        equal((update.task_id, update.context_id), (first.id, first.context_id))
    equal(events[2].artifact_update.artifact.parts[0].text, "Stream hello from TCK")
    equal(state_name(await get(side, first.id)), "COMPLETED")


async def artifact_in_chunks(side):
    events = await stream(side, message("tck-stream-artifact-chunked"))
    pieces = [event for event in events if event.WhichOneof("payload") == "artifact_update"]
    equal(story(pieces), ["artifact new more", "artifact append last"])
    equal({event.artifact_update.artifact.artifact_id for event in pieces}, {"output"})
    whole = await get(side, events[0].task.id)
    equal(len(whole.artifacts), 1)
    equal("".join(part.text for part in whole.artifacts[0].parts), "chunk-1 chunk-2")


async def streamed_file(side):
    events = await stream(side, message("tck-stream-artifact-file"))
    equal(story(events), WHOLE)
    equal(events[2].artifact_update.artifact.parts[0].raw, b"tck")


async def streamed_message_only_reply(side):
    events = await stream(side, message("tck-message-response"))
    equal(story(events), ["message"])


async def stream_that_goes_on_after_a_follow_up(side):
    """Somebody must answer meanwhile; the stream stays open until the task ends."""
    heard = []
    async for event in side.streaming.send_message(request(message("tck-input-required"))):
        heard.append(event)
        if short(event) == "status INPUT_REQUIRED":
            await task(side, "tck-stream-001", "COMPLETED", task_id=heard[0].task.id)
    equal(story(heard)[:2], ["task SUBMITTED", "status INPUT_REQUIRED"])
    equal(story(heard)[-3:], WHOLE[1:])


async def subscribe(side):
    begun = await begin(side, "tck-cancel")
    heard = []
    async for event in subscription(side, begun.id):
        heard.append(event)
        if len(heard) == 1:
            equal(event.WhichOneof("payload"), "task")
            equal(event.task.id, begun.id)
            await cancel(side, begun.id)
    equal(story(heard)[-1], "status CANCELED")


async def subscribers_hear_the_same(side):
    asked = await task(side, "tck-input-required", "INPUT_REQUIRED")
    streams = [subscription(side, asked.id) for _ in range(3)]
    # The task itself comes first, so all are there before anything happens.
    for first in await asyncio.gather(*(anext(events) for events in streams)):
        equal(short(first), "task INPUT_REQUIRED")

    async def rest(events):
        return [event async for event in events]

    listening = asyncio.gather(*(rest(events) for events in streams))
    await task(side, "tck-stream-chunked", "COMPLETED", task_id=asked.id)
    first, second, third = await listening
    equal(second, first)
    equal(third, first)
    equal(story(first)[-1], "status COMPLETED")


def subscription(side, id):
    return side.streaming.subscribe(pb.SubscribeToTaskRequest(id=id))


CHECKS = [
    streamed_task,
    artifact_in_chunks,
    streamed_file,
    streamed_message_only_reply,
    stream_that_goes_on_after_a_follow_up,
    subscribe,
    subscribers_hear_the_same,
]
