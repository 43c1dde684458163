"""What is refused, and with which error of the specification."""

import grpc
from a2a.client.client import ClientCallContext
from a2a.client.errors import A2AClientError
from a2a.types import a2a_pb2 as pb
from a2a.types.a2a_pb2_grpc import A2AServiceStub
from a2a.utils import errors
from a2a.utils.grpc_status import status_from_call
from google.rpc import error_details_pb2

from report import equal
from side import answer, as_caller, cancel, get, message, request, task

NOWHERE = "task-that-never-was"


async def refused(kind, asking):
    """Waits for an error, of exactly this kind."""
    try:
        got = await asking
    except (errors.A2AError, A2AClientError) as error:
        equal(type(error).__name__, kind.__name__)
        return error
    raise AssertionError(f"it was not refused: {got}")


async def first(events):
    return await anext(events)


def send(side, asked):
    return answer(side, asked)


def stream(side, asked):
    return first(side.streaming.send_message(request(asked)))


def subscribe(side, id):
    return first(side.streaming.subscribe(pb.SubscribeToTaskRequest(id=id)))


async def task_not_found(side):
    kind = errors.TaskNotFoundError
    await refused(kind, get(side, NOWHERE))
    await refused(kind, cancel(side, NOWHERE))
    await refused(kind, subscribe(side, NOWHERE))
    await refused(kind, send(side, message("tck-complete-task", task_id=NOWHERE)))
    await refused(kind, stream(side, message("tck-complete-task", task_id=NOWHERE)))
    config = pb.TaskPushNotificationConfig(task_id=NOWHERE, url="http://127.0.0.1:9/")
    await refused(kind, side.once.create_task_push_notification_config(config))
    mine = await task(side, "tck-input-required", "INPUT_REQUIRED")
    await refused(kind, get(side, mine.id, context=as_caller("a-stranger")))


async def task_not_cancelable(side):
    done = await task(side, "tck-complete-task", "COMPLETED")
    await refused(errors.TaskNotCancelableError, cancel(side, done.id))


async def unsupported_operation(side):
    kind = errors.UnsupportedOperationError
    done = await task(side, "tck-complete-task", "COMPLETED")
    await refused(kind, send(side, message("tck-complete-task", task_id=done.id)))
    await refused(kind, stream(side, message("tck-complete-task", task_id=done.id)))
    await refused(kind, subscribe(side, done.id))


async def content_type_not_supported(side):
    strange = pb.Part(text="?", media_type="application/x-unheard-of")
    await refused(errors.ContentTypeNotSupportedError, send(side, message("tck-complete-task", parts=[strange])))


async def version_not_supported(side):
    if side.binding == "grpc":
        # The SDK always sends its own version over gRPC and a second one beside it, so this goes without its client.
        for version in ["0.3", "9.9", None]:
            equal(await grpc_reason(side, version), "VERSION_NOT_SUPPORTED")
        return
    for version in ["0.3", "9.9", ""]:
        context = ClientCallContext(service_parameters={"A2A-Version": version})
        await refused(errors.VersionNotSupportedError, get(side, NOWHERE, context=context))


async def grpc_reason(side, version):
    url = next(interface.url for interface in side.card.supported_interfaces if interface.protocol_binding == "GRPC")
    metadata = [("a2a-version", version)] if version else []
    async with grpc.aio.insecure_channel(url) as channel:
        try:
            await A2AServiceStub(channel).GetTask(pb.GetTaskRequest(id=NOWHERE), metadata=metadata)
        except grpc.aio.AioRpcError as error:
            equal(error.code(), grpc.StatusCode.FAILED_PRECONDITION)
            info = error_details_pb2.ErrorInfo()
            status_from_call(error).details[0].Unpack(info)
            return info.reason
    return "none"


async def invalid_params(side):
    # Over gRPC the SDK knows only errors of A2A's own domain; the others it tells apart by their text.
    kind = A2AClientError if side.binding == "grpc" else errors.InvalidParamsError
    empty = pb.Message(message_id="tck-complete-task-without-parts", role=pb.ROLE_USER)
    await refused(kind, send(side, empty))
    asked = await task(side, "tck-input-required", "INPUT_REQUIRED")
    await refused(kind, send(side, message("tck-complete-task", task_id=asked.id, context_id="another")))
    await refused(kind, side.once.list_tasks(pb.ListTasksRequest(page_size=101)))
    await refused(kind, side.once.list_tasks(pb.ListTasksRequest(page_token="no token of yours")))
    config = pb.TaskPushNotificationConfig(task_id=asked.id, url="file:///etc/passwd")
    await refused(kind, side.once.create_task_push_notification_config(config))


CHECKS = [
    task_not_found,
    task_not_cancelable,
    unsupported_operation,
    content_type_not_supported,
    version_not_supported,
    invalid_params,
]
