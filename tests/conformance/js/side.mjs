// The agent as one binding's client of @a2a-js/sdk sees it, and what checks say again and again.

import { randomUUID } from 'node:crypto';
import { Message, Role, SendMessageConfiguration, taskStateToJSON } from '@a2a-js/sdk';
import { ClientFactory, JsonRpcTransportFactory, RestTransportFactory } from '@a2a-js/sdk/client';
import { GrpcTransportFactory } from '@a2a-js/sdk/client/grpc';
import { equal } from './report.mjs';

const TRANSPORTS = {
  jsonrpc: () => new JsonRpcTransportFactory(),
  'http+json': () => new RestTransportFactory(),
  grpc: () => new GrpcTransportFactory(),
};

/** One client for each binding, by way of the public card. */
export async function sides(url) {
  const clients = Object.entries(TRANSPORTS).map(async ([binding, transport]) => {
    const client = await new ClientFactory({ transports: [transport()] }).createFromUrl(url);
    return new Side(binding, client);
  });
  return Promise.all(clients);
}

/** What the agent shall do is said by the beginning of the message's id. */
export function message(prefix, fields = {}) {
  const parts = [text('for the conformance agent')];
  return { ...Message.fromJSON({ messageId: `${prefix}-${randomUUID()}` }), role: Role.ROLE_USER, parts, ...fields };
}

export function text(value) {
  return { content: { $case: 'text', value }, metadata: undefined, filename: '', mediaType: '' };
}

/** The agent takes a bearer token for the caller's name. */
export function asCaller(name) {
  return { serviceParameters: { Authorization: `Bearer ${name}` } };
}

class Side {
  constructor(binding, client) {
    this.binding = binding;
    this.client = client;
  }

  request(asked, configuration = {}) {
    return {
      tenant: '',
      message: asked,
      configuration: { ...SendMessageConfiguration.fromJSON({}), ...configuration },
      metadata: undefined,
    };
  }

  send(asked, configuration, options) {
    return this.client.sendMessage(this.request(asked, configuration), options);
  }

  /** Sends what must come back as a task in this state. */
  async task(prefix, state, fields) {
    const task = await this.send(message(prefix, fields));
    equal(stateOf(task), state);
    return task;
  }

  /** Sends without waiting for the end. */
  begin(prefix, configuration) {
    return this.send(message(prefix), { returnImmediately: true, ...configuration });
  }

  /** All that is told after a message, until the agent ends the stream. */
  stream(asked) {
    return all(this.client.sendMessageStream(this.request(asked)));
  }

  subscribe(id) {
    return this.client.resubscribeTask({ tenant: '', id });
  }

  get(id, fields, options) {
    return this.client.getTask({ tenant: '', id, ...fields }, options);
  }

  cancel(id) {
    return this.client.cancelTask({ tenant: '', id, metadata: undefined });
  }

  list(fields) {
    return this.client.listTasks({ tenant: '', contextId: '', status: 0, pageToken: '', ...fields });
  }
}

export async function all(events) {
  const heard = [];
  for await (const event of events) heard.push(event);
  return heard;
}

export function stateOf(task) {
  return taskStateToJSON(task.status.state).replace('TASK_STATE_', '');
}

/** A stream in short. */
export function story(events) {
  return events.map(short);
}

export function short({ payload: { $case: kind, value } }) {
  if (kind === 'task') return `task ${stateOf(value)}`;
  if (kind === 'statusUpdate') return `status ${stateOf(value)}`;
  if (kind === 'artifactUpdate') {
    return `artifact ${value.append ? 'append' : 'new'} ${value.lastChunk ? 'last' : 'more'}`;
  }
  return kind;
}
