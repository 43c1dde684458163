// What is refused, and with which error of the specification.

import assert from 'node:assert/strict';
import {
  ContentTypeNotSupportedError,
  RequestMalformedError,
  TaskNotCancelableError,
  TaskNotFoundError,
  UnsupportedOperationError,
} from '@a2a-js/sdk/errors';
import { all, asCaller, message, text } from './side.mjs';

const NOWHERE = 'task-that-never-was';

/** Waits for an error, of exactly this kind. */
export async function refused(kind, asking) {
  await assert.rejects(asking, (error) => {
    assert.ok(error instanceof kind, `${error.name} instead of ${kind.name}: ${error.message}`);
    return true;
  });
}

export const mistakes = {
  async 'task not found'(side) {
    await refused(TaskNotFoundError, side.get(NOWHERE));
    await refused(TaskNotFoundError, side.cancel(NOWHERE));
    await refused(TaskNotFoundError, all(side.subscribe(NOWHERE)));
    await refused(TaskNotFoundError, side.send(message('tck-complete-task', { taskId: NOWHERE })));
    const mine = await side.task('tck-input-required', 'INPUT_REQUIRED');
    await refused(TaskNotFoundError, side.get(mine.id, {}, asCaller('a-stranger')));
  },

  async 'task not cancelable'(side) {
    const done = await side.task('tck-complete-task', 'COMPLETED');
    await refused(TaskNotCancelableError, side.cancel(done.id));
  },

  async 'unsupported operation'(side) {
    const { id: taskId } = await side.task('tck-complete-task', 'COMPLETED');
    await refused(UnsupportedOperationError, side.send(message('tck-complete-task', { taskId })));
    await refused(UnsupportedOperationError, side.stream(message('tck-complete-task', { taskId })));
    await refused(UnsupportedOperationError, all(side.subscribe(taskId)));
  },

  async 'content type not supported'(side) {
    const parts = [{ ...text('?'), mediaType: 'application/x-unheard-of' }];
    await refused(ContentTypeNotSupportedError, side.send(message('tck-complete-task', { parts })));
  },

  async 'invalid params'(side) {
    await refused(RequestMalformedError, side.send(message('tck-complete-task', { parts: [] })));
    await refused(RequestMalformedError, side.list({ pageSize: 101 }));
  },
};
