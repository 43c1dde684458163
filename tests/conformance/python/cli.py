"""Checks of the agent with the program of the crate a2a-cli: python cli.py PROGRAM URL. Needs nothing but Python."""

import asyncio
import json
import sys

from report import Report, equal

PROGRAM, URL = sys.argv[1:3]
TRANSPORTS = {"jsonrpc": "jsonrpc", "http+json": "rest"}


class Cli:
    """The program over one binding."""

    def __init__(self, transport):
        self.given = ["--agent-card", URL, "--transport", transport, "--output", "json", "--compact", "--poll-interval", "200ms"]

    async def start(self, *arguments):
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(PROGRAM, *self.given, *arguments, stdout=pipe, stderr=pipe)

    async def run(self, *arguments):
        """What it printed, one JSON document for each line."""
        process = await self.start(*arguments)
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return [json.loads(line) for line in out.splitlines()]

    async def refused(self, *arguments):
        """The error that it told of."""
        process = await self.start(*arguments)
        _, err = await process.communicate()
        assert process.returncode != 0, arguments
        return json.loads(err)["error"]["code"]

    async def send(self, text, *arguments):
        [answer] = await self.run("send", *arguments, text)
        return answer.get("task") or answer

    async def begin(self, text):
        return await self.send(text, "--return-immediately", "--async")


def state(task):
    return task["status"]["state"].removeprefix("TASK_STATE_")


def story(events):
    lines = []
    for event in events:
        [(kind, value)] = event.items()
        if kind == "artifactUpdate":
            lines.append("append" if value.get("append") else "new")
        else:
            lines.append(f"{kind} {state(value)}")
    return lines


async def card(cli):
    await cli.run("card", "get", "--validate")
    [public] = await cli.run("card", "get")
    [extended] = await cli.run("card", "get", "--extended")
    equal([len(shown["skills"]) for shown in (public, extended)], [1, 2])


async def send(cli):
    done = await cli.send("tck-complete-task")
    equal((state(done), done["status"]["message"]["parts"]), ("COMPLETED", [{"text": "Hello from TCK"}]))
    equal(state(await cli.send("tck-delayed-complete")), "COMPLETED")
    equal(state(await cli.send("tck-reject-task")), "REJECTED")
    reply = await cli.send("tck-message-response")
    equal(reply["message"]["parts"], [{"text": "Direct message response"}])


async def parts_of_all_kinds(cli):
    [answer] = await cli.run("send", "--text-part", "tck-complete-task", "--data-part", '{"a": [1, null]}')
    equal([list(part)[0] for part in answer["task"]["history"][0]["parts"]], ["text", "data"])


async def follow_up(cli):
    asked = await cli.send("tck-input-required")
    equal(state(asked), "INPUT_REQUIRED")
    done = await cli.send("tck-complete-task", "--task-id", asked["id"], "--context-id", asked["contextId"])
    equal((done["id"], state(done)), (asked["id"], "COMPLETED"))


async def stream(cli):
    events = await cli.run("send", "--stream", "tck-stream-artifact-chunked")
    equal(story(events), ["task SUBMITTED", "statusUpdate WORKING", "new", "append", "statusUpdate COMPLETED"])


async def get(cli):
    done = await cli.send("tck-artifact-text")
    [got] = await cli.run("task", "get", done["id"])
    equal(got, done)
    [short] = await cli.run("task", "get", done["id"], "--history-length", "0")
    assert "history" not in short, short


async def list_by_pages(cli):
    context = (await cli.send("tck-complete-task"))["contextId"]
    for _ in range(2):
        await cli.send("tck-complete-task", "--context-id", context)
    given = ["task", "list", "--context-id", context, "--page-size", "2"]
    [first] = await cli.run(*given)
    [second] = await cli.run(*given, "--page-token", first["nextPageToken"])
    equal([len(page["tasks"]) for page in (first, second)], [2, 1])
    equal((second["nextPageToken"], second["totalSize"]), ("", 3))
    equal(len({task["id"] for page in (first, second) for task in page["tasks"]}), 3)
    [none] = await cli.run("task", "list", "--context-id", context, "--status", "failed")
    equal(none["tasks"], [])


async def cancel(cli):
    begun = await cli.begin("tck-cancel")
    [canceled] = await cli.run("task", "cancel", begun["id"])
    equal((canceled["id"], state(canceled)), (begun["id"], "CANCELED"))


async def subscribe(cli):
    begun = await cli.begin("tck-cancel")
    following = await cli.start("task", "subscribe", begun["id"])
    first = json.loads(await following.stdout.readline())
    equal(first["task"]["id"], begun["id"])
    await cli.run("task", "cancel", begun["id"])
    rest = (await following.communicate())[0]
    equal(story(json.loads(line) for line in rest.splitlines())[-1], "statusUpdate CANCELED")


async def push_configs(cli):
    asked = await cli.send("tck-input-required")
    given = ["task", "push-config"]
    place = ["http://127.0.0.1:9/", "--config-id", "mine", "--token", "a-token"]
    [made] = await cli.run(*given, "create", asked["id"], *place)
    equal((made["id"], made["taskId"], made["token"]), ("mine", asked["id"], "a-token"))
    [got] = await cli.run(*given, "get", asked["id"], "mine")
    equal(got, made)
    [listed] = await cli.run(*given, "list", asked["id"])
    equal(listed["configs"], [made])
    await cli.run(*given, "delete", asked["id"], "mine")
    [listed] = await cli.run(*given, "list", asked["id"])
    assert not listed.get("configs"), listed


async def errors(cli):
    done = (await cli.send("tck-complete-task"))["id"]
    equal(await cli.refused("task", "get", "task-that-never-was"), "TASK_NOT_FOUND")
    equal(await cli.refused("task", "cancel", done), "TASK_NOT_CANCELABLE")
    equal(await cli.refused("task", "subscribe", done), "UNSUPPORTED_OPERATION")
    equal(await cli.refused("send", "--task-id", done, "tck-complete-task"), "UNSUPPORTED_OPERATION")


CHECKS = [card, send, parts_of_all_kinds, follow_up, stream, get, list_by_pages, cancel, subscribe, push_configs, errors]


async def main():
    report = Report("a2a-cli")
    await asyncio.gather(*(report.run(binding, CHECKS, Cli(transport)) for binding, transport in TRANSPORTS.items()))
    report.end()


asyncio.run(main())
