// Push notifications: where they go to, and that they arrive.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { StreamResponse, TaskPushNotificationConfig } from '@a2a-js/sdk';
import { TaskNotFoundError } from '@a2a-js/sdk/errors';
import { refused } from './mistakes.mjs';
import { equal, until } from './report.mjs';
import { short, story } from './side.mjs';

/** A web server that keeps what is posted to it. */
async function receiver() {
  const posts = [];
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString();
    posts.push({ headers: request.headers, event: StreamResponse.fromJSON(JSON.parse(body)) });
    response.writeHead(204).end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { posts, url: `http://127.0.0.1:${server.address().port}/hook`, close };
}

function config(url, fields) {
  const authentication = { scheme: 'Bearer', credentials: 'a-secret' };
  return { ...TaskPushNotificationConfig.fromJSON({ url, token: 'a-token' }), authentication, ...fields };
}

export const push = {
  async 'push configs come and go'(side) {
    const { id: taskId } = await side.task('tck-input-required', 'INPUT_REQUIRED');
    const one = { tenant: '', taskId, id: 'mine' };
    const made = await side.client.createTaskPushNotificationConfig(config('http://127.0.0.1:9/hook', { taskId, id: 'mine' }));
    equal([made.id, made.taskId, made.url], ['mine', taskId, 'http://127.0.0.1:9/hook']);
    equal(await side.client.getTaskPushNotificationConfig(one), made);
    const listed = async () =>
      (await side.client.listTaskPushNotificationConfig({ tenant: '', taskId, pageSize: 0, pageToken: '' })).configs;
    equal(await listed(), [made]);
    await side.client.deleteTaskPushNotificationConfig(one);
    await side.client.deleteTaskPushNotificationConfig(one);
    equal(await listed(), []);
    await refused(TaskNotFoundError, side.client.getTaskPushNotificationConfig(one));
  },

  async 'push of everything that happens'(side) {
    const { posts, url, close } = await receiver();
    try {
      const begun = await side.begin('tck-stream-chunked', { taskPushNotificationConfig: config(url) });
      await until('the last post', () => posts.length && short(posts.at(-1).event).endsWith('COMPLETED'));
      const told = story(posts.map(({ event }) => event)).filter((line) => !line.startsWith('task'));
      equal(told, ['status WORKING', 'artifact new more', 'artifact append last', 'status COMPLETED']);
      for (const { headers, event } of posts) {
        const { $case: kind, value } = event.payload;
        equal(kind === 'task' ? value.id : value.taskId, begun.id);
        equal([headers.authorization, headers['x-a2a-notification-token']], ['Bearer a-secret', 'a-token']);
        assert.ok(headers['content-type'].startsWith('application/a2a+json'));
      }
    } finally {
      close();
    }
  },
};
