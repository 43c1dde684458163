// How tasks begin, go on and end.

import assert from 'node:assert/strict';
import { Role, TaskState } from '@a2a-js/sdk';
import { equal } from './report.mjs';
import { asCaller, message, stateOf, text } from './side.mjs';

const said = (task) => task.status.message.parts[0].content.value;
const isRunning = (task) => ['SUBMITTED', 'WORKING'].includes(stateOf(task));

export const tasks = {
  async 'card and extended card'(side) {
    const known = await side.client.getAgentCard();
    equal(known.skills.map((skill) => skill.id), ['script', 'known']);
    equal(known.supportedInterfaces.slice(0, 3).map((one) => one.protocolBinding), ['JSONRPC', 'HTTP+JSON', 'GRPC']);
    assert.ok(known.capabilities.streaming && known.capabilities.pushNotifications);
  },

  async 'blocking send'(side) {
    const done = await side.task('tck-complete-task', 'COMPLETED');
    equal(said(done), 'Hello from TCK');
    assert.ok(done.contextId && done.status.timestamp);
    const began = Date.now();
    await side.task('tck-delayed-complete', 'COMPLETED');
    assert.ok(Date.now() - began > 1500, 'it did not wait');
  },

  async 'send that returns immediately'(side) {
    const begun = await side.begin('tck-long-running');
    assert.ok(isRunning(begun) && isRunning(await side.get(begun.id)));
    await side.cancel(begun.id);
  },

  async 'ends of all kinds'(side) {
    const ends = { 'tck-task-failure': 'FAILED', 'tck-reject-task': 'REJECTED', 'tck-auth-required': 'AUTH_REQUIRED' };
    for (const [prefix, state] of Object.entries(ends)) {
      const ended = await side.task(prefix, state);
      equal(await side.get(ended.id), ended);
    }
  },

  async 'artifacts of all kinds'(side) {
    const part = async (prefix) => (await side.task(prefix, 'COMPLETED')).artifacts[0].parts[0];
    equal((await part('tck-artifact-text')).content, { $case: 'text', value: 'Generated text content' });
    const file = await part('tck-artifact-file');
    equal([file.filename, file.mediaType, Buffer.from(file.content.value).toString()], ['output.txt', 'text/plain', 'tck']);
    equal((await part('tck-artifact-file-url')).content, { $case: 'url', value: 'https://example.com/output.txt' });
    equal((await part('tck-artifact-data')).content, { $case: 'data', value: { key: 'value', count: 42 } });
  },

  async 'message only reply'(side) {
    const reply = await side.send(message('tck-message-response'));
    equal([reply.role, reply.parts[0].content.value], [Role.ROLE_AGENT, 'Direct message response']);
  },

  async 'follow up after input required'(side) {
    const asked = await side.task('tck-input-required', 'INPUT_REQUIRED');
    const same = { taskId: asked.id, contextId: asked.contextId };
    const done = await side.task('tck-complete-task', 'COMPLETED', same);
    equal([done.id, done.contextId], [asked.id, asked.contextId]);
  },

  async 'history of a length'(side) {
    const asked = await side.task('tck-multi-turn', 'INPUT_REQUIRED');
    await side.task('tck-multi-turn', 'COMPLETED', { taskId: asked.id });
    const whole = (await side.get(asked.id)).history;
    assert.ok(whole.length >= 2);
    equal((await side.get(asked.id, { historyLength: 0 })).history, []);
    equal((await side.get(asked.id, { historyLength: 1 })).history, [whole.at(-1)]);
  },

  async 'cancel of a running task'(side) {
    const begun = await side.begin('tck-cancel');
    equal(stateOf(await side.cancel(begun.id)), 'CANCELED');
    equal(stateOf(await side.get(begun.id)), 'CANCELED');
  },

  async 'list by pages and filters'(side) {
    const contextId = message('context').messageId;
    const made = [];
    for (const [prefix, state] of [
      ['tck-artifact-text', 'COMPLETED'],
      ['tck-reject-task', 'REJECTED'],
      ['tck-complete-task', 'COMPLETED'],
    ]) {
      made.unshift((await side.task(prefix, state, { contextId })).id);
    }
    const ids = [];
    let pageToken = '';
    do {
      const page = await side.list({ contextId, pageSize: 2, pageToken });
      equal([page.pageSize, page.totalSize], [2, 3]);
      assert.ok(page.tasks.every((task) => task.artifacts.length === 0), 'artifacts come only when asked for');
      ids.push(...page.tasks.map((task) => task.id));
      pageToken = page.nextPageToken;
    } while (pageToken);
    equal(ids, made);
    const rejected = await side.list({ contextId, status: TaskState.TASK_STATE_REJECTED });
    equal(rejected.tasks.map((task) => task.id), [made[1]]);
    const whole = await side.list({ contextId, includeArtifacts: true, historyLength: 0 });
    equal(whole.tasks.map((task) => task.artifacts.length), [0, 0, 1]);
    equal(whole.tasks.map((task) => task.history.length), [0, 0, 0]);
  },

  async 'same message twice'(side) {
    const asked = message('once', { parts: [text('tck-complete-task')] });
    equal(await side.send(asked), await side.send(asked));
  },

  async 'tasks of others'(side) {
    const mine = await side.send(message('tck-input-required'), {}, asCaller('somebody'));
    equal((await side.get(mine.id, {}, asCaller('somebody'))).id, mine.id);
    equal((await side.list({ contextId: mine.contextId })).tasks, []);
  },
};
