"""How tasks begin, go on and end."""

import time

import httpx
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict, ParseDict

from report import equal
from side import answer, as_caller, begin, cancel, get, message, said, state_name, task


async def card(side):
    bindings = [interface.protocol_binding for interface in side.card.supported_interfaces]
    equal(bindings[:3], ["JSONRPC", "HTTP+JSON", "GRPC"])
    equal({interface.protocol_version for interface in side.card.supported_interfaces}, {"1.0"})
    capabilities = side.card.capabilities
    assert capabilities.streaming and capabilities.push_notifications and capabilities.extended_agent_card
    url = next(interface.url for interface in side.card.supported_interfaces if interface.protocol_binding == "JSONRPC")
    async with httpx.AsyncClient() as http:
        raw = await http.get(f"{url}/.well-known/agent-card.json")
        again = await http.get(str(raw.url), headers={"If-None-Match": raw.headers["etag"]})
    assert "max-age" in raw.headers["cache-control"]
    equal(again.status_code, 304)
    # The SDK passes over fields that it does not know; this does not.
    equal(ParseDict(raw.json(), pb.AgentCard()), side.card)


async def extended_card(side):
    more = await side.once.get_extended_agent_card(pb.GetExtendedAgentCardRequest())
    equal([skill.id for skill in more.skills], ["script", "known"])
    equal(len(side.card.skills), 1)


async def blocking_send(side):
    done = await task(side, "tck-complete-task", "COMPLETED")
    equal(said(done), "Hello from TCK")
    equal(done.status.message.role, pb.ROLE_AGENT)
    assert done.context_id and done.status.HasField("timestamp")
    began = time.monotonic()
    await task(side, "tck-delayed-complete", "COMPLETED")
    assert time.monotonic() - began > 1.5, "it did not wait"


async def send_that_returns_immediately(side):
    begun = await begin(side, "tck-long-running")
    assert state_name(begun) in ("SUBMITTED", "WORKING"), begun
    assert state_name(await get(side, begun.id)) in ("SUBMITTED", "WORKING")
    await cancel(side, begun.id)


async def ends_of_all_kinds(side):
    for prefix, state in [
        ("tck-task-failure", "FAILED"),
        ("tck-reject-task", "REJECTED"),
        ("tck-auth-required", "AUTH_REQUIRED"),
    ]:
        ended = await task(side, prefix, state)
        assert said(ended)
        equal(await get(side, ended.id), ended)


async def artifacts_of_all_kinds(side):
    async def part(prefix):
        done = await task(side, prefix, "COMPLETED")
        equal((len(done.artifacts), done.artifacts[0].artifact_id), (1, "output"))
        return done.artifacts[0].parts[0]

    equal((await part("tck-artifact-text")).text, "Generated text content")
    file = await part("tck-artifact-file")
    equal((file.raw, file.filename, file.media_type), (b"tck", "output.txt", "text/plain"))
    equal((await part("tck-artifact-file-url")).url, "https://example.com/output.txt")
    equal(MessageToDict((await part("tck-artifact-data")).data), {"key": "value", "count": 42})


async def message_only_reply(side):
    got = await answer(side, message("tck-message-response"))
    equal(got.WhichOneof("payload"), "message")
    equal((got.message.role, got.message.parts[0].text), (pb.ROLE_AGENT, "Direct message response"))


async def follow_up_after_input_required(side):
    asked = await task(side, "tck-input-required", "INPUT_REQUIRED")
    done = await task(side, "tck-complete-task", "COMPLETED", task_id=asked.id, context_id=asked.context_id)
    equal((done.id, done.context_id), (asked.id, asked.context_id))
    users = [turn for turn in done.history if turn.role == pb.ROLE_USER]
    equal(len(users), 2)
    # The context can be left out: it is the task's.
    asked = await task(side, "tck-multi-turn", "INPUT_REQUIRED")
    await task(side, "tck-multi-turn", "COMPLETED", task_id=asked.id)


async def history_of_a_length(side):
    asked = await task(side, "tck-multi-turn", "INPUT_REQUIRED")
    await task(side, "tck-multi-turn", "COMPLETED", task_id=asked.id)
    whole = (await get(side, asked.id)).history
    assert len(whole) >= 2, whole
    equal(len((await get(side, asked.id, history_length=0)).history), 0)
    equal(list((await get(side, asked.id, history_length=1)).history), [whole[-1]])
    none = await answer(side, message("tck-complete-task"), history_length=0)
    equal(len(none.task.history), 0)


async def cancel_of_a_running_task(side):
    begun = await begin(side, "tck-cancel")
    canceled = await cancel(side, begun.id)
    equal(state_name(canceled), "CANCELED")
    equal(state_name(await get(side, begun.id)), "CANCELED")


async def list_by_pages(side):
    context = message("context").message_id
    made = []
    for prefix, state in [
        ("tck-artifact-text", "COMPLETED"),
        ("tck-complete-task", "COMPLETED"),
        ("tck-reject-task", "REJECTED"),
        ("tck-complete-task", "COMPLETED"),
        ("tck-input-required", "INPUT_REQUIRED"),
    ]:
        made.append((await task(side, prefix, state, context_id=context)).id)
    ids, sizes, token = [], [], ""
    while True:
        page = await listed(side, context_id=context, page_size=2, page_token=token)
        equal((page.page_size, page.total_size), (2, 5))
        assert not any(task.artifacts for task in page.tasks), "artifacts come only when asked for"
        ids += [task.id for task in page.tasks]
        sizes.append(len(page.tasks))
        token = page.next_page_token
        if not token:
            break
    equal(sizes, [2, 2, 1])
    equal(ids, made[::-1])


async def list_by_filters(side):
    context = message("context").message_id
    first = await task(side, "tck-artifact-text", "COMPLETED", context_id=context)
    second = await task(side, "tck-reject-task", "REJECTED", context_id=context)
    rejected = await listed(side, context_id=context, status=pb.TASK_STATE_REJECTED)
    equal([task.id for task in rejected.tasks], [second.id])
    whole = await listed(side, context_id=context, include_artifacts=True, history_length=0)
    equal([len(task.artifacts) for task in whole.tasks], [0, 1])
    assert not any(task.history for task in whole.tasks)
    later = await listed(side, context_id=context, status_timestamp_after=second.status.timestamp)
    assert second.id in [task.id for task in later.tasks]
    assert first.status.timestamp.ToNanoseconds() <= second.status.timestamp.ToNanoseconds()
    empty = await listed(side, context_id="a context without tasks")
    equal((len(empty.tasks), empty.total_size, empty.next_page_token), (0, 0, ""))


async def listed(side, **fields):
    return await side.once.list_tasks(pb.ListTasksRequest(**fields))


async def same_message_twice(side):
    asked = message("once", parts=[pb.Part(text="tck-complete-task")])
    first = await answer(side, asked)
    equal(await answer(side, asked), first)


async def tasks_of_others(side):
    """A caller's list has no tasks of others, and its own it can read."""
    asked = message("tck-input-required")
    mine = (await answer(side, asked, context=as_caller("somebody"))).task
    equal((await get(side, mine.id, context=as_caller("somebody"))).id, mine.id)
    seen = await listed(side, context_id=mine.context_id)
    equal(len(seen.tasks), 0)


CHECKS = [
    card,
    extended_card,
    blocking_send,
    send_that_returns_immediately,
    ends_of_all_kinds,
    artifacts_of_all_kinds,
    message_only_reply,
    follow_up_after_input_required,
    history_of_a_length,
    cancel_of_a_running_task,
    list_by_pages,
    list_by_filters,
    same_message_twice,
    tasks_of_others,
]
