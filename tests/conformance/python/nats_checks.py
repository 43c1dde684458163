"""Checks of the agent over NATS, with a client that knows the binding's page only: python nats_checks.py URL-OF-THE-CARD'S-HOST."""

import asyncio
import json
import pathlib
import re
import sys
import time
import urllib.parse
import urllib.request
import uuid

from nats_client import BINDING, Agent, NobodyThere, Refused, digest
from report import Report, equal

NOWHERE = {"id": "task-that-never-was"}
# The agent's heartbeat on the wire is at least this fast here, so that nobody waits long.
FAST_MS = 200


def message(prefix, text="for the conformance agent", **fields):
    return {"messageId": f"{prefix}-{uuid.uuid4()}", "role": "ROLE_USER", "parts": [{"text": text}], **fields}


def sent(prefix, text="for the conformance agent", configuration=None, **fields):
    request = {"message": message(prefix, text, **fields)}
    return request | ({"configuration": configuration} if configuration else {})


def state(task):
    return task["status"]["state"].removeprefix("TASK_STATE_")


async def task(agent, prefix, expected, **fields):
    got = (await agent.call("SendMessage", sent(prefix, **fields)))["task"]
    equal(state(got), expected)
    return got


async def begin(agent, prefix, **fields):
    request = sent(prefix, configuration={"returnImmediately": True}, **fields)
    return (await agent.call("SendMessage", request))["task"]


def story(events):
    lines = []
    for event in events:
        [(kind, value)] = event.items()
        kind = kind.removesuffix("Update")
        if kind == "artifact":
            lines.append(f"artifact {'append' if value.get('append') else 'new'}")
        else:
            lines.append(kind if kind == "message" else f"{kind} {state(value)}")
    return lines


async def refused(reason, asking):
    try:
        got = await asking
    except Refused as error:
        equal(error.reason, reason)
        return error
    raise AssertionError(f"it was not refused: {got}")


async def card(agent):
    public = await agent.call("GetAgentCard")
    [interface] = [one for one in public["supportedInterfaces"] if one["protocolBinding"] == BINDING]
    equal((interface["url"], interface["protocolVersion"]), (agent.url, "1.0"))
    extended = await agent.call("GetExtendedAgentCard", {})
    equal([len(one["skills"]) for one in (public, extended)], [1, 2])


async def discovery(agent):
    async def first(subject):
        return json.loads((await agent.connection.request(subject, timeout=5)).data)

    _, tenant, name = agent.prefix.split(".")
    info = await first(f"$SRV.INFO.a2a-{tenant}")
    metadata = info["metadata"]
    equal([metadata[key] for key in ("tenant", "agent", "protocolBinding", "protocolVersion")], [tenant, name, BINDING, "1.0"])
    equal([endpoint["name"] for endpoint in info["endpoints"]], ["rpc"])
    for verb in ("PING", "STATS"):
        equal((await first(f"$SRV.{verb}.a2a-{tenant}.{info['id']}"))["id"], info["id"])


async def life_sign(agent):
    subscription = await agent.connection.subscribe(f"{agent.prefix}.alive")
    told = json.loads((await subscription.next_msg(timeout=15)).data)
    assert {"tenant", "agent", "replica", "operations", "streams", "everyMs"} <= told.keys(), told


async def send_and_get(agent):
    done = await task(agent, "tck-complete-task", "COMPLETED")
    equal(done["status"]["message"]["parts"], [{"text": "Hello from TCK"}])
    equal(await agent.call("GetTask", {"id": done["id"]}), done)
    short = await agent.call("GetTask", {"id": done["id"], "historyLength": 0})
    assert not short.get("history"), short
    reply = await agent.call("SendMessage", sent("tck-message-response"))
    equal(reply["message"]["parts"], [{"text": "Direct message response"}])


async def same_message_twice(agent):
    request = sent("once", "tck-complete-task")
    equal(await agent.call("SendMessage", request), await agent.call("SendMessage", request))


async def follow_up(agent):
    asked = await task(agent, "tck-input-required", "INPUT_REQUIRED")
    done = await task(agent, "tck-complete-task", "COMPLETED", taskId=asked["id"])
    equal((done["id"], done["contextId"]), (asked["id"], asked["contextId"]))


async def list_by_pages(agent):
    context = f"context-{uuid.uuid4()}"
    made = [(await task(agent, "tck-complete-task", "COMPLETED", contextId=context))["id"] for _ in range(3)]
    first = await agent.call("ListTasks", {"contextId": context, "pageSize": 2})
    second = await agent.call("ListTasks", {"contextId": context, "pageSize": 2, "pageToken": first["nextPageToken"]})
    equal([one["id"] for page in (first, second) for one in page["tasks"]], made[::-1])
    equal((second["nextPageToken"], second["pageSize"], second["totalSize"]), ("", 2, 3))


async def cancel(agent):
    begun = await begin(agent, "tck-cancel")
    equal(state(await agent.call("CancelTask", {"id": begun["id"]})), "CANCELED")


async def push_configs(agent):
    asked = await task(agent, "tck-input-required", "INPUT_REQUIRED")
    named = {"taskId": asked["id"], "id": "mine"}
    made = await agent.call("CreateTaskPushNotificationConfig", named | {"url": "http://127.0.0.1:9/"})
    equal(await agent.call("GetTaskPushNotificationConfig", named), made)
    listed = await agent.call("ListTaskPushNotificationConfigs", {"taskId": asked["id"]})
    equal(listed["configs"], [made])
    equal(await agent.call("DeleteTaskPushNotificationConfig", named), {})
    await refused("TASK_NOT_FOUND", agent.call("GetTaskPushNotificationConfig", named))


async def errors(agent):
    done = (await task(agent, "tck-complete-task", "COMPLETED"))["id"]
    error = await refused("TASK_NOT_FOUND", agent.call("GetTask", NOWHERE))
    equal((error.code, error.domain), (-32001, "a2a-protocol.org"))
    await refused("TASK_NOT_CANCELABLE", agent.call("CancelTask", {"id": done}))
    await refused("UNSUPPORTED_OPERATION", agent.call("SendMessage", sent("tck-complete-task", taskId=done)))
    await refused("UNSUPPORTED_OPERATION", anext(agent.stream("SubscribeToTask", {"id": done})))
    strange = sent("tck-complete-task")
    strange["message"]["parts"][0]["mediaType"] = "application/x-unheard-of"
    await refused("CONTENT_TYPE_NOT_SUPPORTED", agent.call("SendMessage", strange))
    error = await refused("INVALID_PARAMS", agent.call("GetTask", {}))
    equal(error.details[1]["fieldViolations"][0]["field"], "id")
    await refused("INVALID_PARAMS", agent.call("GetTask", NOWHERE | {"tenant": "another"}))
    await refused("PARSE_ERROR", agent.call("GetTask", b"{"))
    await refused("METHOD_NOT_FOUND", agent.call("GetWeather", {}))


async def errors_of_headers(agent):
    await refused("VERSION_NOT_SUPPORTED", agent.call("GetTask", NOWHERE, version="0.3"))
    await refused("VERSION_NOT_SUPPORTED", agent.call("GetTask", NOWHERE, version=""))
    await refused("INVALID_REQUEST", agent.call("GetTask", NOWHERE, digest=digest(b"something else")))
    # Names compare without case.
    inbox = await agent.inbox()
    body = json.dumps(NOWHERE).encode()
    headers = {"a2a-VERSION": "1.0", "A2a-mEthod": "GetTask", "a2a-digest": digest(body), "A2A-Unheard-Of": "1"}
    await agent.connection.publish(agent.subject, body, reply=inbox.address, headers=headers)
    answer = await inbox.next(5)
    equal(json.loads(answer.data)["data"][0]["reason"], "TASK_NOT_FOUND")
    equal((answer.headers["nats-service-error"], answer.headers["nats-service-error-code"]), ("TASK_NOT_FOUND", "404"))


async def tasks_of_others(agent):
    mine = await task(agent, "tck-input-required", "INPUT_REQUIRED")
    other = await Agent.connect(agent.url, "stranger")
    await refused("TASK_NOT_FOUND", other.call("GetTask", {"id": mine["id"]}))
    await other.close()


async def nobody_there(agent):
    nobody = Agent(agent.connection, "a2a.conformance.nobody", agent.sender)
    try:
        await nobody.call("GetTask", NOWHERE)
    except NobodyThere:
        return
    raise AssertionError("somebody answered")


async def answers_go_to_inboxes_only(agent):
    heard = await agent.connection.subscribe("elsewhere.>")
    headers = {"A2A-Version": "1.0", "A2A-Method": "GetAgentCard", "A2A-Digest": digest(b"")}
    await agent.connection.publish(agent.subject, b"", reply="elsewhere.1", headers=headers)
    await agent.call("GetAgentCard")
    equal(heard.pending_msgs, 0)


async def heartbeats_while_an_operation_waits(agent):
    heard = []
    await agent.call("SendMessage", sent("tck-delayed-complete"), within=1, heard=heard, heartbeat=FAST_MS)
    assert len(heard) >= 5 and set(heard) == {"heartbeat"}, heard
    request = sent("tck-delayed-complete", contextId=f"context-{uuid.uuid4()}")
    await refused("UNAVAILABLE", agent.call("SendMessage", request, timeout=300))
    listed = await agent.call("ListTasks", {"contextId": request["message"]["contextId"]})
    equal(len(listed["tasks"]), 1)


async def stream(agent):
    frames = agent.stream("SendStreamingMessage", sent("tck-stream-artifact-chunked"))
    events = [event async for event in frames]
    equal(story(events), ["task SUBMITTED", "status WORKING", "artifact new", "artifact append", "status COMPLETED"])
    # The end has a number too.
    equal(frames.number, len(events) + 1)
    reply = [event async for event in agent.stream("SendStreamingMessage", sent("tck-message-response"))]
    equal(story(reply), ["message"])


async def client_on_the_page(agent):
    """The program that the page shows, with this agent for the one that it asks."""
    page = (pathlib.Path(__file__).parents[3] / "schemas" / "a2a-nats.md").read_text()
    [program] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    parts = urllib.parse.urlsplit(agent.url)
    asked = {
        "nats://127.0.0.1:4222": f"{parts.scheme}://{parts.netloc}",
        "a2a.acme.script.rpc.shop": agent.subject,
        '"m1"': f'"tck-stream-001-{uuid.uuid4()}"',
    }
    for shown, meant in asked.items():
        assert shown in program, shown
        program = program.replace(shown, meant)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=pipe, stderr=pipe)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    *events, end = [line.split(" ", 1) for line in out.decode().splitlines()]
    equal(story([json.loads(event) for status, event in events if status == "ok"])[-1], "status COMPLETED")
    equal((end[0], process.returncode, err.decode()), ("end", 0, ""))


async def subscribe(agent):
    begun = await begin(agent, "tck-cancel")
    frames = agent.stream("SubscribeToTask", {"id": begun["id"]})
    first = await anext(frames)
    equal(first["task"]["id"], begun["id"])
    await agent.call("CancelTask", {"id": begun["id"]})
    rest = [event async for event in frames]
    equal(story(rest)[-1], "status CANCELED")
    await refused("TASK_NOT_FOUND", anext(agent.stream("SubscribeToTask", NOWHERE)))


async def stream_takes_no_more_than_is_acknowledged(agent):
    frames = agent.stream("SendStreamingMessage", sent("tck-stream-001"), window=1)
    first = await anext(frames)
    # Not acknowledged yet: the task ends, and nothing of it comes.
    id = first["task"]["id"]
    while state(await agent.call("GetTask", {"id": id})) != "COMPLETED":
        await asyncio.sleep(0.05)
    equal(frames.inbox.subscription.pending_msgs, 0)
    rest = [event async for event in frames]
    equal(story(rest), ["status WORKING", "artifact new", "status COMPLETED"])


async def heartbeats_of_a_stream(agent):
    frames = agent.stream("SendStreamingMessage", sent("tck-delayed-complete"), heartbeat=FAST_MS)
    equal(story([event async for event in frames])[-1], "status COMPLETED")
    assert frames.heartbeats >= 5, frames.heartbeats
    equal(frames.gaps, 0)


async def stream_is_resumed_after_a_loss(agent):
    """A frame is dropped here, so that the next one leaves a gap."""
    frames = agent.stream("SendStreamingMessage", sent("tck-delayed-complete"), heartbeat=FAST_MS)
    events = [await anext(frames)]
    lost = await frames.inbox.next(2)
    equal((lost.status, lost.number), ("ok", 2))
    events += [event async for event in frames]
    equal(story(events), ["task SUBMITTED", "status WORKING", "status COMPLETED"])
    assert frames.gaps >= 1


async def stream_without_a_word_is_dropped(agent):
    begun = await begin(agent, "tck-cancel")
    frames = agent.stream("SubscribeToTask", {"id": begun["id"]}, heartbeat=FAST_MS)
    await anext(frames)
    # Not a word: after three heartbeats the replica gives up. A little later it has forgotten the stream.
    heard = []
    try:
        while True:
            heard.append((await frames.inbox.next(5 * FAST_MS / 1000)).status)
    except TimeoutError:
        pass
    assert 2 <= heard.count("heartbeat") <= 5, heard
    await frames.resume()
    answer = await frames.inbox.next(2)
    equal(answer.status, "resume")
    again = agent.stream("SubscribeToTask", {"id": begun["id"]})
    equal((await anext(again))["task"]["id"], begun["id"])
    await again.cancel()
    await agent.call("CancelTask", {"id": begun["id"]})


async def falls_silent(inbox):
    """What was sent before the cancel was heard still comes; after that nothing does, not even a heartbeat."""
    for _ in range(20):
        before = inbox.subscription.pending_msgs
        await asyncio.sleep(5 * FAST_MS / 1000)
        if inbox.subscription.pending_msgs == before:
            return
    raise AssertionError("the canceled stream goes on")


async def canceled_stream_leaves_the_task(agent):
    begun = await begin(agent, "tck-cancel")
    frames = agent.stream("SubscribeToTask", {"id": begun["id"]}, heartbeat=FAST_MS)
    await anext(frames)
    inbox = frames.inbox
    await frames.answer(frames.control, "cancel")
    await falls_silent(inbox)
    assert state(await agent.call("GetTask", {"id": begun["id"]})) in ("SUBMITTED", "WORKING")
    await agent.call("CancelTask", {"id": begun["id"]})


async def large_bodies_in_pieces(agent):
    """The request is larger than the server takes, and so are the answer and the stream's first frame, which hold it again."""
    text = "ä€𝄞x" * 300_000
    assert len(text.encode()) > agent.connection.max_payload
    inboxes = []
    open_inbox = agent.inbox

    async def inbox():
        inboxes.append(await open_inbox())
        return inboxes[-1]

    agent.inbox = inbox
    done = await task(agent, "tck-complete-task", "COMPLETED", text=text)
    equal(done["history"][0]["parts"], [{"text": text}])
    events = [event async for event in agent.stream("SendStreamingMessage", sent("tck-stream-001", text))]
    equal(events[0]["task"]["history"][0]["parts"], [{"text": text}])
    equal(story(events)[-1], "status COMPLETED")
    assert all(one.pieces_seen >= 3 for one in inboxes), [one.pieces_seen for one in inboxes]


async def piece_that_does_not_come(agent):
    inbox = await agent.inbox()
    label = {"A2A-Chunk": "1/2", "A2A-Chunk-Id": "half", "A2A-Length": "10", "A2A-Digest": digest(b"x" * 10)}
    headers = {"A2A-Version": "1.0", "A2A-Method": "GetTask"} | label
    began = time.monotonic()
    await agent.connection.publish(agent.subject, b"x" * 5, reply=inbox.address, headers=headers)
    equal((await inbox.next(5)).status, "continue")
    answer = await inbox.next(15)
    equal(json.loads(answer.data)["data"][0]["reason"], "UNAVAILABLE")
    assert time.monotonic() - began > 9


async def body_that_is_too_large(agent):
    inbox = await agent.inbox()
    label = {"A2A-Chunk": "1/100", "A2A-Chunk-Id": "huge", "A2A-Length": str(33 << 20), "A2A-Digest": digest(b"")}
    headers = {"A2A-Version": "1.0", "A2A-Method": "GetTask"} | label
    await agent.connection.publish(agent.subject, b"x", reply=inbox.address, headers=headers)
    error = json.loads((await inbox.next(5)).data)
    equal((error["code"], error["data"][0]["reason"]), (-32000, "RESOURCE_EXHAUSTED"))
    assert len(error["data"]) == 1, "no RetryInfo: it is not worth waiting"


OPERATIONS = [card, discovery, send_and_get, same_message_twice, follow_up, list_by_pages, cancel, push_configs]
MISTAKES = [errors, errors_of_headers, tasks_of_others, nobody_there, answers_go_to_inboxes_only]
STREAMS = [
    stream,
    client_on_the_page,
    subscribe,
    stream_takes_no_more_than_is_acknowledged,
    heartbeats_of_a_stream,
    stream_is_resumed_after_a_loss,
    stream_without_a_word_is_dropped,
    canceled_stream_leaves_the_task,
]
LARGE = [large_bodies_in_pieces, body_that_is_too_large, heartbeats_while_an_operation_waits]
# Each of them waits for ten seconds of the agent's.
SLOW = [[life_sign], [piece_that_does_not_come]]


async def main():
    with urllib.request.urlopen(f"{sys.argv[1]}/.well-known/agent-card.json") as public:
        interfaces = json.load(public)["supportedInterfaces"]
    url = next(interface["url"] for interface in interfaces if interface["protocolBinding"] == BINDING)
    report = Report("nats")

    async def run(checks):
        agent = await Agent.connect(url, "python")
        await report.run("python", checks, agent)
        await agent.close()

    await asyncio.gather(*(run(checks) for checks in [OPERATIONS + MISTAKES, STREAMS, LARGE, *SLOW]))
    report.end()


asyncio.run(main())
