"""Push notifications: where they go to, and that they arrive."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import ParseDict

from mistakes import refused
from report import equal, until
from side import begin, cancel, short, story, task
from a2a.utils import errors


@dataclass
class Post:
    headers: dict
    body: dict

    def event(self):
        """Read strictly: a field that the specification does not have is an error."""
        return ParseDict(self.body, pb.StreamResponse())


class Receiver:
    """A web server that keeps what is posted to it. The first posts it refuses, as often as it is told."""

    def __init__(self, refusals=0):
        self.posts = []
        self.refused = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                post = Post({name.lower(): value for name, value in self.headers.items()}, body)
                is_refused = len(receiver.refused) < refusals
                (receiver.refused if is_refused else receiver.posts).append(post)
                self.send_response(503 if is_refused else 204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    async def ended(self, state):
        await until(f"a post of {state}", lambda: self.posts and short(self.posts[-1].event()).endswith(state))


def config(url, **fields):
    bearer = pb.AuthenticationInfo(scheme="Bearer", credentials="a-secret")
    return pb.TaskPushNotificationConfig(url=url, token="a-token", authentication=bearer, **fields)


async def push_configs_come_and_go(side):
    asked = await task(side, "tck-input-required", "INPUT_REQUIRED")
    client = side.once
    wanted = config("http://127.0.0.1:9/hook", id="mine", task_id=asked.id)
    made = await client.create_task_push_notification_config(wanted)
    equal((made.id, made.task_id, made.url), ("mine", asked.id, wanted.url))
    named = await client.create_task_push_notification_config(config("http://127.0.0.1:9/other", task_id=asked.id))
    assert named.id and named.id != "mine", "the agent names what has no name"

    async def listed():
        request = pb.ListTaskPushNotificationConfigsRequest(task_id=asked.id)
        return sorted(one.id for one in (await client.list_task_push_notification_configs(request)).configs)

    get = pb.GetTaskPushNotificationConfigRequest(task_id=asked.id, id="mine")
    delete = pb.DeleteTaskPushNotificationConfigRequest(task_id=asked.id, id="mine")
    equal(await client.get_task_push_notification_config(get), made)
    equal(await listed(), sorted(["mine", named.id]))
    await client.delete_task_push_notification_config(delete)
    await client.delete_task_push_notification_config(delete)
    equal(await listed(), [named.id])
    await refused(errors.TaskNotFoundError, client.get_task_push_notification_config(get))


async def push_of_everything_that_happens(side):
    with Receiver() as receiver:
        begun = await begin(side, "tck-stream-chunked", task_push_notification_config=config(receiver.url))
        await receiver.ended("COMPLETED")
    events = [post.event() for post in receiver.posts]
    expected = ["status WORKING", "artifact new more", "artifact append last", "status COMPLETED"]
    equal([line for line in story(events) if not line.startswith("task")], expected)
    for post, event in zip(receiver.posts, events):
        kind = event.WhichOneof("payload")
        told = getattr(event, kind)
        equal(told.id if kind == "task" else told.task_id, begun.id)
        equal(post.headers["authorization"], "Bearer a-secret")
        equal(post.headers["x-a2a-notification-token"], "a-token")
        equal(post.headers["content-type"], "application/a2a+json")


async def push_to_a_place_added_later(side):
    with Receiver() as receiver:
        begun = await begin(side, "tck-cancel")
        await side.once.create_task_push_notification_config(config(receiver.url, task_id=begun.id))
        await cancel(side, begun.id)
        await receiver.ended("CANCELED")


async def push_again_where_it_failed(side):
    with Receiver(refusals=1) as receiver:
        await begin(side, "tck-stream-001", task_push_notification_config=config(receiver.url))
        await receiver.ended("COMPLETED")
    equal(receiver.posts[0].body, receiver.refused[0].body)
    states = [line for line in story([post.event() for post in receiver.posts]) if line.startswith("status")]
    equal(states, ["status WORKING", "status COMPLETED"])


CHECKS = [
    push_configs_come_and_go,
    push_of_everything_that_happens,
    push_to_a_place_added_later,
    push_again_where_it_failed,
]
