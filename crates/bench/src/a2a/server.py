"""The Python SDK's own server with its in-memory task store: each message becomes a task that is completed at once.

server.py PORT
"""

import sys

import uvicorn
from a2a.helpers import new_task_from_user_message, new_text_part
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from starlette.applications import Starlette


class Complete(AgentExecutor):
    """Does what the conformance agent does with `tck-complete-task`."""

    async def execute(self, context, event_queue):
        task = context.current_task
        if task is None:
            task = new_task_from_user_message(context.message)
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.complete(updater.new_agent_message([new_text_part('Hello from TCK')]))

    async def cancel(self, context, event_queue):
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def card(url):
    bindings = ['JSONRPC', 'HTTP+JSON']
    return AgentCard(
        name='Python',
        description='What Paramedic is compared with',
        version='1',
        supported_interfaces=[
            AgentInterface(url=url, protocol_binding=binding, protocol_version='1.0') for binding in bindings
        ],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=['text/plain'],
        default_output_modes=['text/plain'],
        skills=[AgentSkill(id='complete', name='Complete', description='Completes', tags=['bench'])],
    )


def main():
    port = int(sys.argv[1])
    own_card = card(f'http://127.0.0.1:{port}')
    handler = DefaultRequestHandler(agent_executor=Complete(), task_store=InMemoryTaskStore(), agent_card=own_card)
    routes = create_agent_card_routes(own_card) + create_jsonrpc_routes(handler, '/') + create_rest_routes(handler)
    uvicorn.run(Starlette(routes=routes), host='127.0.0.1', port=port, log_level='warning', access_log=False)


main()
