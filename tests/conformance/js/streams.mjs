// What is told meanwhile.

import { equal } from './report.mjs';
import { message, short, story } from './side.mjs';

const WHOLE = ['task SUBMITTED', 'status WORKING', 'artifact new last', 'status COMPLETED'];

export const streams = {
  async 'streamed task'(side) {
    const events = await side.stream(message('tck-stream-001'));
    equal(story(events), WHOLE);
    const { id, contextId } = events[0].payload.value;
    for (const { payload } of events.slice(1)) equal([payload.value.taskId, payload.value.contextId], [id, contextId]);
    equal(events[2].payload.value.artifact.parts[0].content.value, 'Stream hello from TCK');
  },

  async 'artifact in chunks'(side) {
    const events = await side.stream(message('tck-stream-artifact-chunked'));
    const pieces = events.filter(({ payload }) => payload.$case === 'artifactUpdate');
    equal(story(pieces), ['artifact new more', 'artifact append last']);
    const whole = await side.get(events[0].payload.value.id);
    equal(whole.artifacts.length, 1);
    equal(whole.artifacts[0].parts.map((part) => part.content.value).join(''), 'chunk-1 chunk-2');
  },

  async 'streamed message only reply'(side) {
    equal(story(await side.stream(message('tck-message-response'))), ['message']);
  },

  async 'stream that goes on after a follow up'(side) {
    const heard = [];
    for await (const event of side.client.sendMessageStream(side.request(message('tck-input-required')))) {
      heard.push(event);
      if (short(event) === 'status INPUT_REQUIRED') {
        await side.task('tck-stream-001', 'COMPLETED', { taskId: heard[0].payload.value.id });
      }
    }
    equal(story(heard).slice(-3), WHOLE.slice(1));
  },

  async subscribe(side) {
    const begun = await side.begin('tck-cancel');
    const heard = [];
    for await (const event of side.subscribe(begun.id)) {
      heard.push(event);
      if (heard.length > 1) continue;
      equal([event.payload.$case, event.payload.value.id], ['task', begun.id]);
      await side.cancel(begun.id);
    }
    equal(story(heard).at(-1), 'status CANCELED');
  },
};
