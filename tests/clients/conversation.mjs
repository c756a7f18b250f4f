// One conversation with the simulated API, held by the official npm package `openai`, whichever major version is
// installed beside this file.
//
//     node conversation.mjs BASE_URL KEY
//
// The same conversation as `conversation.py`, step for step, with the same transcript; what the clock does and what the
// server must be like is said there. Needs nothing but the package: `run_clients.py` copies this file next to it.
// Majors 4 to 7 all have `client.beta.threads`. What differs between them is the order of arguments: see `Positional`.

import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import { VERSION } from 'openai/version';

const UNKNOWN = 'AAAAAAAAAAAAAAAAAAAAAAAA';
const WEATHER = {
  type: 'function',
  function: {
    name: 'get_weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};
const ANSWER = 'It is sunny in Lisbon and rainy in Porto.';
const POLL_AFTER_SECONDS = 0.04;
const POLLING_SPEED = 20; // virtual seconds per real second while pauses between polls are measured
const FAST = 100; // virtual seconds per real second while a run goes on by itself otherwise
const READ_TIMEOUT_MS = 1000; // how long a client waits for an answer that never comes
const PATIENCE_MS = 3000; // how long a step waits for a call that may never return
const MAJOR = Number(VERSION.split('.')[0]);

// Talking to the server beside the SDK

async function send(method, url, headers, data) {
  const response = await fetch(url, { method, headers, body: data === undefined ? undefined : JSON.stringify(data) });
  const content = await response.text();
  return { status: response.status, body: content ? JSON.parse(content) : null };
}

class Control {
  constructor(baseUrl) {
    this.url = `${new URL(baseUrl).origin}/_relaysim`;
  }

  async ask(method, path, data) {
    const { status, body } = await send(method, this.url + path, { 'content-type': 'application/json' }, data);
    if (status >= 400) throw new Error(`the control API refused ${method} ${path}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  async moving(speed, action) {
    await this.ask('POST', '/clock', { speed });
    try {
      return await action();
    } finally {
      await this.ask('POST', '/clock', { speed: 0 });
    }
  }

  advance(seconds) {
    return this.ask('POST', '/clock/advance', { seconds });
  }

  async replies(script, action) {
    await this.ask('PUT', '/replies', { kind: 'script', replies: script, then: 'loop' });
    try {
      return await action();
    } finally {
      await this.ask('PUT', '/replies', { kind: 'echo' });
    }
  }

  async fault(kind, route, fields, action) {
    await this.ask('PUT', '/faults', { faults: [{ kind, route, nth: [1], ...fields }] });
    try {
      return await action();
    } finally {
      await this.ask('DELETE', '/faults');
    }
  }

  async requests(threadId, operation) {
    const { events } = await this.ask('GET', `/trace?kind=request&thread=${threadId}&limit=1000`);
    return events.filter((event) => event.operation === operation).map((event) => event.time);
  }
}

// The transcript

class Transcript {
  steps = [];

  note(step, shown) {
    this.steps.push({ step, ok: true, ...shown });
  }

  async call(step, call, show = () => ({})) {
    let result;
    let shown;
    try {
      result = await call();
      shown = show(result);
    } catch (error) {
      this.steps.push({
        step,
        ok: false,
        error: error.constructor.name,
        status: error.status ?? null,
        message: error.error?.message ?? null,
        type: error.type ?? null,
        param: error.param ?? null,
        code: error.code ?? null,
      });
      return error;
    }
    this.note(step, shown);
    return result;
  }
}

// What a step shows of the SDK's objects

const text = (message) => message.content.map((part) => part.text.value).join('|');

const threadView = (thread) => ({
  id: thread.id,
  object: thread.object,
  metadata: thread.metadata,
});

const objectView = (found) => ({ object: found.object });

const messageView = (message) => ({
  id: message.id,
  object: message.object,
  thread_id: message.thread_id,
  run_id: message.run_id,
  assistant_id: message.assistant_id,
  role: message.role,
  text: text(message),
  message_status: message.status,
  metadata: message.metadata,
});

const runView = (run) => ({
  id: run.id,
  object: run.object,
  thread_id: run.thread_id,
  assistant_id: run.assistant_id,
  run_status: run.status,
  expires_in: run.expires_at === null ? null : run.expires_at - run.created_at,
  is_started: run.started_at !== null,
  is_cancelled: run.cancelled_at !== null,
  is_completed: run.completed_at !== null,
  last_error: run.last_error === null ? null : run.last_error.code,
  incomplete: run.incomplete_details === null ? null : run.incomplete_details.reason,
  tokens: run.usage === null ? null : run.usage.total_tokens,
  model: run.model,
  metadata: run.metadata,
  tool_calls: (run.required_action?.submit_tool_outputs.tool_calls ?? []).map((call) => [
    call.id,
    call.function.name,
    JSON.parse(call.function.arguments),
  ]),
});

const stepView = (step) => ({
  id: step.id,
  object: step.object,
  run_id: step.run_id,
  step_status: step.status,
  kind: step.type,
  message_id: step.type === 'message_creation' ? step.step_details.message_creation.message_id : null,
  outputs: step.type === 'tool_calls' ? step.step_details.tool_calls.map((call) => call.function.output) : null,
});

const pageView = (page) => ({ texts: page.data.map(text), has_more: page.has_more });
const statusView = (run) => ({ id: run.id, run_status: run.status });
const deletedView = (deleted) => ({ id: deleted.id, object: deleted.object, deleted: deleted.deleted });
const assistantView = (assistant) => ({
  id: assistant.id,
  object: assistant.object,
  name: assistant.name,
  model: assistant.model,
  instructions: assistant.instructions,
  tools: assistant.tools.map((tool) => tool.function.name),
  metadata: assistant.metadata,
});

async function all(pages) {
  const every = [];
  for await (const each of pages) every.push(each);
  return every;
}

async function streamThrough(stream) {
  const callbacks = [];
  let accumulated = '';
  let accumulates = true;
  stream
    .on('textCreated', () => callbacks.push('text created'))
    .on('textDelta', (delta, snapshot) => {
      accumulated += delta.value;
      accumulates &&= accumulated === snapshot.value;
      callbacks.push(`text delta: ${delta.value}`);
    })
    .on('textDone', (content) => callbacks.push(`text done: ${content.value}`))
    .on('messageDone', (message) => callbacks.push(`message done: ${text(message)}`))
    .on('toolCallCreated', (call) => callbacks.push(`tool call created: ${call.function.name}`))
    .on('toolCallDone', (call) => callbacks.push(`tool call done: ${call.function.arguments}`))
    .on('runStepDone', (step) => callbacks.push(`run step done: ${step.type}`));
  const events = (await all(stream)).map((event) => event.event);
  const final = await stream.finalRun();
  const messages = final.status === 'completed' ? await stream.finalMessages() : [];
  return { events, callbacks, accumulates, final_run: runView(final), final_texts: messages.map(text) };
}

const shown = (view) => view;

class StillWaiting extends Error {}

// What a call returns, or StillWaiting if it takes longer than any retry here should.
async function patiently(call) {
  const enough = new AbortController();
  const waiting = sleep(PATIENCE_MS, null, { signal: enough.signal }).then(() => {
    throw new StillWaiting();
  });
  try {
    return await Promise.race([call(), waiting]);
  } finally {
    waiting.catch(() => {});
    enough.abort();
  }
}

// Major 4 takes a path's ids as positional arguments, from the left of the path to its right. Majors from 5 on take the
// last id first and the others by name.
class Positional {
  constructor(client) {
    const { assistants, threads } = client.beta;
    const { messages, runs } = threads;
    const { steps } = runs;
    this.deleteAssistant = (id) => (MAJOR === 4 ? assistants.del(id) : assistants.delete(id));
    this.deleteThread = (id) => (MAJOR === 4 ? threads.del(id) : threads.delete(id));
    if (MAJOR === 4) {
      this.retrieveMessage = (thread, id) => messages.retrieve(thread, id);
      this.updateMessage = (thread, id, body) => messages.update(thread, id, body);
      this.deleteMessage = (thread, id) => messages.del(thread, id);
      this.retrieveRun = (thread, id) => runs.retrieve(thread, id);
      this.updateRun = (thread, id, body) => runs.update(thread, id, body);
      this.cancelRun = (thread, id) => runs.cancel(thread, id);
      this.pollRun = (thread, id) => runs.poll(thread, id);
      this.submit = (thread, id, body) => runs.submitToolOutputs(thread, id, body);
      this.submitAndPoll = (thread, id, body) => runs.submitToolOutputsAndPoll(thread, id, body);
      this.submitStream = (thread, id, body) => runs.submitToolOutputsStream(thread, id, body);
      this.listSteps = (thread, run, query) => steps.list(thread, run, query);
      this.retrieveStep = (thread, run, id) => steps.retrieve(thread, run, id);
    } else {
      this.retrieveMessage = (thread, id) => messages.retrieve(id, { thread_id: thread });
      this.updateMessage = (thread, id, body) => messages.update(id, { thread_id: thread, ...body });
      this.deleteMessage = (thread, id) => messages.delete(id, { thread_id: thread });
      this.retrieveRun = (thread, id) => runs.retrieve(id, { thread_id: thread });
      this.updateRun = (thread, id, body) => runs.update(id, { thread_id: thread, ...body });
      this.cancelRun = (thread, id) => runs.cancel(id, { thread_id: thread });
      this.pollRun = (thread, id) => runs.poll(id, { thread_id: thread });
      this.submit = (thread, id, body) => runs.submitToolOutputs(id, { thread_id: thread, ...body });
      this.submitAndPoll = (thread, id, body) => runs.submitToolOutputsAndPoll(id, { thread_id: thread, ...body });
      this.submitStream = (thread, id, body) => runs.submitToolOutputsStream(id, { thread_id: thread, ...body });
      this.listSteps = (thread, run, query) => steps.list(run, { thread_id: thread, ...query });
      this.retrieveStep = (thread, run, id) => steps.retrieve(id, { thread_id: thread, run_id: run });
    }
  }
}

// The conversation

class Conversation {
  constructor(baseUrl, key) {
    this.baseUrl = baseUrl;
    this.key = key;
    this.control = new Control(baseUrl);
    this.transcript = new Transcript();
    this.call = this.transcript.call.bind(this.transcript);
    this.client = new OpenAI({ baseURL: baseUrl, apiKey: key, maxRetries: 0, timeout: 60_000 });
    this.assistantsApi = this.client.beta.assistants;
    this.threads = this.client.beta.threads;
    this.at = new Positional(this.client);
    this.assistantId = '';
  }

  async hold() {
    for (const section of [
      'assistants',
      'threads_and_messages',
      'locks',
      'finished_runs',
      'polling',
      'tools',
      'streaming',
      'creating_and_running',
      'not_there',
      'not_let_in',
      'retries',
      'lost_answers',
      'async_client',
      'deletion',
    ]) {
      try {
        await this[section]();
      } catch (error) {
        this.transcript.steps.push({
          step: `${section} broke off`,
          ok: false,
          error: `${error.constructor.name}: ${error.message}`,
        });
      }
    }
  }

  async newThread(...texts) {
    return (await this.threads.create({ messages: texts.map((content) => ({ role: 'user', content })) })).id;
  }

  append(threadId, content, options) {
    return this.threads.messages.create(threadId, { role: 'user', content }, options);
  }

  start(threadId, options) {
    return this.threads.runs.create(threadId, { assistant_id: this.assistantId }, options);
  }

  async texts(threadId) {
    return (await all(this.threads.messages.list(threadId, { order: 'asc', limit: 100 }))).map(text);
  }

  openStream(threadId) {
    return streamThrough(this.threads.runs.stream(threadId, { assistant_id: this.assistantId }));
  }

  async assistants() {
    const api = this.assistantsApi;
    const created = await this.call(
      'assistants.create',
      () =>
        api.create({
          model: 'gpt-4o',
          name: 'Clerk',
          instructions: 'Be brief.',
          tools: [WEATHER],
          metadata: { shift: 'day' },
        }),
      assistantView,
    );
    this.assistantId = created.id;
    await this.call('assistants.retrieve', () => api.retrieve(created.id), assistantView);
    await this.call(
      'assistants.update',
      () => api.update(created.id, { name: 'Night clerk', metadata: { shift: 'night' } }),
      assistantView,
    );
    const other = await this.call(
      'assistants.create another',
      () => api.create({ model: 'gpt-4o-mini', name: 'Other' }),
      assistantView,
    );
    await this.call(
      'assistants.list one page',
      () => api.list({ limit: 1, order: 'asc' }),
      (page) => ({ names: page.data.map((each) => each.name), has_more: page.has_more }),
    );
    await this.call(
      'assistants.list all pages',
      () => all(api.list({ limit: 1, order: 'asc' })),
      (every) => ({ names: every.map((each) => each.name) }),
    );
    await this.call('assistants.delete', () => this.at.deleteAssistant(other.id), deletedView);
    await this.call('assistants.retrieve deleted', () => api.retrieve(other.id));
  }

  async threads_and_messages() {
    const { threads, at } = this;
    const listed = threads.messages;
    const thread = await this.call(
      'threads.create',
      () =>
        threads.create({
          messages: [
            { role: 'user', content: 'one' },
            { role: 'assistant', content: 'two' },
          ],
          metadata: { customer: 'Ana' },
        }),
      threadView,
    );
    await this.call('threads.retrieve', () => threads.retrieve(thread.id), threadView);
    await this.call(
      'threads.update',
      () => threads.update(thread.id, { metadata: { customer: 'Bia' } }),
      threadView,
    );
    const third = await this.call(
      'messages.create',
      () => listed.create(thread.id, { role: 'user', content: 'three', metadata: { channel: 'chat' } }),
      messageView,
    );
    const parts = [
      { type: 'text', text: 'four' },
      { type: 'text', text: 'and a half' },
    ];
    await this.call('messages.create of parts', () => this.append(thread.id, parts), messageView);
    const fifth = await this.append(thread.id, 'five çã 😀');
    await this.call('messages.retrieve', () => at.retrieveMessage(thread.id, third.id), messageView);
    await this.call(
      'messages.update',
      () => at.updateMessage(thread.id, third.id, { metadata: { channel: 'mail' } }),
      messageView,
    );
    await this.call('messages.list newest first', () => listed.list(thread.id), pageView);
    await this.call('messages.list one page', () => listed.list(thread.id, { order: 'asc', limit: 2 }), pageView);
    await this.call('messages.list after', () => listed.list(thread.id, { order: 'asc', after: third.id }), pageView);
    await this.call('messages.list before', () => listed.list(thread.id, { order: 'asc', before: third.id }), pageView);
    const before = (await this.control.requests(thread.id, 'messages.list')).length;
    await this.call(
      'messages.list all pages',
      async () => {
        const messages = await all(listed.list(thread.id, { order: 'asc', limit: 2 }));
        const requests = (await this.control.requests(thread.id, 'messages.list')).length - before;
        return { texts: messages.map(text), requests };
      },
      shown,
    );
    await this.call('messages.list bad limit', () => listed.list(thread.id, { limit: 101 }));
    await this.call('messages.list bad order', () => listed.list(thread.id, { order: 'sideways' }));
    await this.call('messages.create bad role', () => listed.create(thread.id, { role: 'robot', content: 'six' }));
    await this.call('messages.delete', () => at.deleteMessage(thread.id, fifth.id), deletedView);
    await this.call('messages.retrieve deleted', () => at.retrieveMessage(thread.id, fifth.id));
    await this.call('messages.list the rest', () => listed.list(thread.id, { order: 'asc' }), pageView);
  }

  async locks() {
    const { at, control } = this;
    const threadId = await this.newThread('Hello');
    const run = await this.call('runs.create', () => this.start(threadId), runView);
    await this.call('messages.create while queued', () => this.append(threadId, 'Are you there?'));
    await this.call('runs.create while queued', () => this.start(threadId));
    await control.advance(2);
    await this.call('runs.retrieve in progress', () => at.retrieveRun(threadId, run.id), runView);
    await this.call('messages.create while in progress', () => this.append(threadId, 'Are you there?'));
    await this.call('runs.create while in progress', () => this.start(threadId));
    const refused = await this.call('runs.stream while in progress', () => this.openStream(threadId), shown);
    this.transcript.note('what the error says', { text: refused.message });
    const requestId = refused.requestID ?? refused.request_id;
    const { headers } = refused;
    this.transcript.note('what the error knows', {
      request_id: /^req_[0-9a-f]{32}$/.test(requestId),
      content_type: MAJOR === 4 ? headers['content-type'] : headers.get('content-type'),
    });
    await this.call('runs.cancel', () => at.cancelRun(threadId, run.id), runView);
    await this.call('runs.cancel again', () => at.cancelRun(threadId, run.id));
    await this.call('messages.create while cancelling', () => this.append(threadId, 'Are you there?'));
    await this.call('runs.create while cancelling', () => this.start(threadId));
    await control.moving(FAST, () =>
      this.call('runs.poll to cancelled', () => at.pollRun(threadId, run.id), runView),
    );
    await this.call('runs.cancel a cancelled run', () => at.cancelRun(threadId, run.id));
    await this.call('messages.create when free', () => this.append(threadId, 'Are you there?'), messageView);
    await this.call(
      'runs.update',
      () => at.updateRun(threadId, run.id, { metadata: { why: 'cancelled' } }),
      runView,
    );
  }

  async finished_runs() {
    const { at, control, threads } = this;
    const { runs } = threads;
    const threadId = await this.newThread('Which tea?');
    const run = await runs.create(threadId, {
      assistant_id: this.assistantId,
      additional_messages: [{ role: 'user', content: 'Green or black?' }],
      metadata: { turn: '1' },
    });
    await control.advance(20);
    await this.call('runs.retrieve completed', () => at.retrieveRun(threadId, run.id), runView);
    await this.call('runs.cancel a completed run', () => at.cancelRun(threadId, run.id));
    await this.call('runs.submit_tool_outputs of a completed run', () =>
      at.submit(threadId, run.id, { tool_outputs: [] }),
    );
    await this.call(
      'messages.list of the run',
      () => threads.messages.list(threadId, { run_id: run.id }),
      (page) => ({ messages: page.data.map(messageView) }),
    );
    const steps = await this.call(
      'runs.steps.list',
      () => at.listSteps(threadId, run.id, {}),
      (page) => ({ steps: page.data.map(stepView) }),
    );
    await this.call('runs.steps.retrieve', () => at.retrieveStep(threadId, run.id, steps.data[0].id), stepView);
    const failure = { fail: { code: 'rate_limit_exceeded', message: 'Too much.' } };
    // A script begins with a thread's first turn, which is over.
    await control.replies([{ text: 'Never said.' }, failure, { incomplete: 'It is' }], async () => {
      const failing = await this.start(threadId);
      await control.advance(20);
      await this.call('runs.retrieve failed', () => at.retrieveRun(threadId, failing.id), runView);
      const unfinished = await this.start(threadId);
      await control.advance(20);
      await this.call('runs.retrieve incomplete', () => at.retrieveRun(threadId, unfinished.id), runView);
    });
    const asked = { tool_calls: [{ name: 'get_weather', arguments: { city: 'Faro' } }] };
    const expiring = await control.replies([asked], async () => {
      const started = await this.start(await this.newThread('Weather?'));
      await control.advance(601);
      return started;
    });
    await this.call('runs.retrieve expired', () => at.retrieveRun(expiring.thread_id, expiring.id), runView);
    await this.call('runs.cancel an expired run', () => at.cancelRun(expiring.thread_id, expiring.id));
    await this.call('runs.submit_tool_outputs of an expired run', () =>
      at.submit(expiring.thread_id, expiring.id, { tool_outputs: [{ tool_call_id: 'call_a', output: 'sun' }] }),
    );
    await this.call(
      'runs.list',
      () => all(runs.list(threadId, { limit: 2 })),
      (every) => ({ runs: every.map(statusView) }),
    );
    await this.call(
      'messages.list after all runs',
      () => all(threads.messages.list(threadId, { order: 'asc' })),
      (every) => ({ texts: every.map(text), statuses: every.map((each) => each.status) }),
    );
  }

  async polling() {
    const threadId = await this.newThread('How are you?');
    const run = await this.control.moving(POLLING_SPEED, () =>
      this.call(
        'runs.create_and_poll',
        () => this.threads.runs.createAndPoll(threadId, { assistant_id: this.assistantId }),
        runView,
      ),
    );
    const polls = await this.control.requests(threadId, 'runs.retrieve');
    const gaps = polls.slice(1).map((later, index) => (later - polls[index]) / POLLING_SPEED);
    // On a busy machine a pause can be longer than asked for, but not each of them as long as the helpers' own.
    this.transcript.note('the pauses between polls', {
      polls_more_than_once: gaps.length > 0,
      never_before_its_time: Math.min(...gaps) > POLL_AFTER_SECONDS * 0.9,
      not_the_default: Math.min(...gaps) < 0.5,
    });
    const { response } = await this.at.retrieveRun(threadId, run.id).withResponse();
    this.transcript.note('openai-poll-after-ms', { header: response.headers.get('openai-poll-after-ms') });
    this.transcript.note('the texts then', { texts: await this.texts(threadId) });
  }

  async tools() {
    const { at, control } = this;
    const { runs } = this.threads;
    const asked = {
      tool_calls: [
        { name: 'get_weather', arguments: { city: 'Lisbon' } },
        { name: 'get_weather', arguments: { city: 'Porto' } },
      ],
    };
    const threadId = await this.newThread('What is the weather?');
    let run;
    let outputs;
    await control.replies([asked, { text: ANSWER }], async () => {
      run = await control.moving(FAST, () =>
        this.call(
          'runs.create_and_poll to tool calls',
          () => runs.createAndPoll(threadId, { assistant_id: this.assistantId }),
          runView,
        ),
      );
      const [first, second] = run.required_action.submit_tool_outputs.tool_calls.map((call) => call.id);
      await this.call('messages.create while tools are called', () => this.append(threadId, 'Hurry up'));
      await this.call('runs.create while tools are called', () => this.start(threadId));
      await this.call('runs.submit_tool_outputs incomplete', () =>
        at.submit(threadId, run.id, { tool_outputs: [{ tool_call_id: first, output: 'sunny' }] }),
      );
      outputs = [
        { tool_call_id: first, output: 'sunny' },
        { tool_call_id: second, output: 'rainy' },
      ];
      await control.moving(FAST, () =>
        this.call(
          'runs.submit_tool_outputs_and_poll',
          () => at.submitAndPoll(threadId, run.id, { tool_outputs: outputs }),
          runView,
        ),
      );
    });
    await this.call('runs.submit_tool_outputs again', () => at.submit(threadId, run.id, { tool_outputs: outputs }));
    await this.call(
      'runs.steps.list with tool calls',
      () => all(at.listSteps(threadId, run.id, { order: 'asc', limit: 1 })),
      (every) => ({ steps: every.map(stepView) }),
    );
    this.transcript.note('the texts after the tools', { texts: await this.texts(threadId) });
  }

  async streaming() {
    const { at, control } = this;
    const { runs } = this.threads;
    let threadId = await this.newThread('Tell me a story');
    await control.moving(FAST, () =>
      control.replies([{ text: 'Once upon a time. The end.' }], () =>
        this.call('runs.stream', () => this.openStream(threadId), shown),
      ),
    );
    this.transcript.note('the texts after the stream', { texts: await this.texts(threadId) });

    const asked = { tool_calls: [{ name: 'get_weather', arguments: { city: 'Lisbon' } }] };
    threadId = await this.newThread('And the weather?');
    await control.moving(FAST, () =>
      control.replies([asked, { text: ANSWER }], async () => {
        const { final_run: run } = await this.call('runs.stream to tool calls', () => this.openStream(threadId), shown);
        const outputs = [{ tool_call_id: run.tool_calls[0][0], output: 'sunny' }];
        await this.call(
          'runs.submit_tool_outputs_stream',
          () => streamThrough(at.submitStream(threadId, run.id, { tool_outputs: outputs })),
          shown,
        );
      }),
    );

    const cancelled = async () => {
      const thread = await this.newThread('Tell me another');
      const events = [];
      let runId = '';
      for await (const { event, data } of await runs.create(thread, { assistant_id: this.assistantId, stream: true })) {
        events.push(event);
        if (event === 'thread.run.created') {
          runId = data.id;
        } else if (event === 'thread.run.queued') {
          await control.advance(5);
        } else if (event === 'thread.message.delta') {
          await at.cancelRun(thread, runId);
          await control.advance(8);
        } else if (event === 'thread.message.incomplete') {
          events.push(`${text(data)} (${data.incomplete_details.reason})`);
        }
      }
      return events;
    };
    await control.replies([{ text: 'Long ago' }], () =>
      this.call('runs.create with stream, cancelled', cancelled, (events) => ({ events })),
    );

    const broken = async () => {
      const thread = await this.newThread('Tell me a third');
      return all(await runs.create(thread, { assistant_id: this.assistantId, stream: true }));
    };
    await control.fault('reset', 'runs.create', {}, () => this.call('runs.create with stream, reset', broken));
    await control.advance(20);
  }

  async creating_and_running() {
    const { control, threads } = this;
    const thread = { messages: [{ role: 'user', content: 'Good morning' }], metadata: { customer: 'Eva' } };
    const body = { assistant_id: this.assistantId, thread };
    const run = await this.call(
      'threads.create_and_run',
      () => threads.createAndRun({ ...body, metadata: { turn: '1' } }),
      runView,
    );
    await control.advance(20);
    this.transcript.note('the texts after threads.create_and_run', { texts: await this.texts(run.thread_id) });
    await control.moving(FAST, async () => {
      await this.call('threads.create_and_run_poll', () => threads.createAndRunPoll(body), runView);
      await this.call(
        'threads.create_and_run_stream',
        () => streamThrough(threads.createAndRunStream(body)),
        shown,
      );
    });
  }

  async not_there() {
    const { at, threads } = this;
    const { messages, runs } = threads;
    const threadId = await this.newThread('Hello');
    const foreign = await this.start(await this.newThread("Somebody else's"));
    await this.call('unknown thread', () => threads.retrieve(`thread_${UNKNOWN}`));
    await this.call('unknown thread, append', () => this.append(`thread_${UNKNOWN}`, 'Hello'));
    await this.call('unknown thread, run', () => this.start(`thread_${UNKNOWN}`));
    await this.call('unknown thread, list', () => all(messages.list(`thread_${UNKNOWN}`)));
    await this.call('unknown run', () => at.retrieveRun(threadId, `run_${UNKNOWN}`));
    await this.call('unknown run, cancel', () => at.cancelRun(threadId, `run_${UNKNOWN}`));
    await this.call('run of another thread', () => at.retrieveRun(threadId, foreign.id));
    await this.call('unknown message', () => at.retrieveMessage(threadId, `msg_${UNKNOWN}`));
    await this.call('unknown assistant', () => this.assistantsApi.retrieve(`asst_${UNKNOWN}`));
    await this.call('unknown assistant, run', () => runs.create(threadId, { assistant_id: `asst_${UNKNOWN}` }));
    await this.call('unknown step', () => at.retrieveStep(foreign.thread_id, foreign.id, `step_${UNKNOWN}`));
    await this.call('malformed thread id', () => threads.retrieve('undefined'));
    await this.call('malformed thread id, append', () => this.append('undefined', 'Hello'));
    await this.call('malformed run id', () => at.retrieveRun(threadId, 'undefined'));
    await this.call('malformed assistant id', () => runs.create(threadId, { assistant_id: 'undefined' }));
  }

  async not_let_in() {
    const stranger = new OpenAI({ baseURL: this.baseUrl, apiKey: 'sk-of-somebody-else', maxRetries: 0 });
    await this.call('bad key', () => stranger.beta.threads.create());
    await this.call('another beta', () =>
      this.threads.create({}, { headers: { 'OpenAI-Beta': 'assistants=v1' } }),
    );
    const authorization = { authorization: `Bearer ${this.key}`, 'content-type': 'application/json' };
    const beta = { 'openai-beta': 'assistants=v2' };
    for (const [step, path, headers] of [
      ['no beta header', '/threads', authorization],
      ['no key', '/threads', { ...beta, 'content-type': 'application/json' }],
      ['no such route', '/thread', { ...authorization, ...beta }],
    ]) {
      const { status, body } = await send('POST', this.baseUrl + path, headers, {});
      this.transcript.steps.push({ step, ok: false, status, ...body.error });
    }
  }

  async retries() {
    const threadId = await this.newThread('Hello');
    const fault = (kind, fields, action) => this.control.fault(kind, 'threads.retrieve', fields, action);
    const retrieve = () => this.threads.retrieve(threadId);
    const once = () => this.threads.retrieve(threadId, { maxRetries: 1 });

    await fault('status', { status: 429, retry_after_seconds: 1 }, () => this.call('429', retrieve));
    const begun = performance.now();
    await fault('status', { status: 429, retry_after_seconds: 1 }, () =>
      this.call('429, one retry allowed', once, objectView),
    );
    this.transcript.note("the wait was Retry-After's", { at_least_a_second: performance.now() - begun > 990 });
    await fault('status', { status: 429, retry_after_seconds: 200 }, () =>
      this.call('429 with a long Retry-After', () => patiently(once), objectView),
    );
    for (const [step, kind, fields] of [
      ['500', 'status', { status: 500 }],
      ['502', 'status', { status: 502 }],
      ['502 as HTML', 'status', { status: 502, html: true }],
      ['503 with x-should-retry: false', 'status', { status: 503, headers: { 'x-should-retry': 'false' } }],
      ['connection refused', 'connect_error', {}],
      ['connection reset', 'reset', {}],
      ['body truncated', 'truncated', {}],
      ['body malformed', 'malformed', {}],
    ]) {
      await fault(kind, fields, () => this.call(step, () => patiently(retrieve)));
      await fault(kind, fields, () => this.call(`${step}, one retry allowed`, () => patiently(once), objectView));
    }
  }

  async lost_answers() {
    const { control } = this;
    const threadId = await this.newThread('Hello');
    for (const [step, kind] of [
      ['request lost', 'request_lost'],
      ['answer lost', 'response_lost'],
    ]) {
      for (const maxRetries of [0, 1]) {
        const content = `${step}, ${maxRetries} retries`;
        await control.fault(kind, 'messages.create', {}, () =>
          this.call(content, () => this.append(threadId, content, { maxRetries, timeout: READ_TIMEOUT_MS }), messageView),
        );
        const stored = await this.texts(threadId);
        this.transcript.note(`${content}: stored`, { times: stored.filter((each) => each === content).length });
      }
    }

    await control.fault('response_lost', 'runs.create', {}, () =>
      this.call(
        'answer of runs.create lost, retried',
        () => this.start(threadId, { maxRetries: 1, timeout: READ_TIMEOUT_MS }),
        runView,
      ),
    );
    await this.call(
      'the run that it names',
      () => this.threads.runs.list(threadId),
      (page) => ({ runs: page.data.map(statusView) }),
    );
    await control.advance(20);

    let sent = new Headers();
    const overheard = new OpenAI({
      baseURL: this.baseUrl,
      apiKey: this.key,
      maxRetries: 1,
      fetch: (url, init) => {
        sent = new Headers(init.headers);
        return fetch(url, init);
      },
    });
    await control.fault('status', 'messages.create', { status: 500 }, () =>
      overheard.beta.threads.messages.create(threadId, { role: 'user', content: 'once more' }),
    );
    this.transcript.note('what a retry sends', {
      idempotency_key: [...sent.keys()].some((name) => name.includes('idempotency')),
      retry_count: sent.get('x-stainless-retry-count'),
      beta: sent.get('openai-beta'),
    });
  }

  // In Node these are the same calls as above; in Python another client.
  async async_client() {
    const { at, control, threads } = this;
    const thread = await this.call(
      'async threads.create',
      () => threads.create({ messages: [{ role: 'user', content: 'Hi' }] }),
      threadView,
    );
    await this.call('async messages.create', () => this.append(thread.id, 'What is new?'), messageView);
    const run = await this.call('async runs.create', () => this.start(thread.id), statusView);
    await this.call('async messages.create while queued', () => this.append(thread.id, 'Are you there?'));
    await control.advance(20);
    await this.call('async runs.poll', () => at.pollRun(thread.id, run.id), statusView);
    const streamed = async () => {
      const { events, accumulates, final_run } = await this.openStream(thread.id);
      return { events, accumulates, final_run };
    };
    await control.moving(FAST, () => this.call('async runs.stream', streamed, shown));
    await this.call(
      'async messages.list all pages',
      () => all(threads.messages.list(thread.id, { order: 'asc', limit: 2 })),
      (every) => ({ texts: every.map(text) }),
    );
    await this.call(
      'async runs.create, five at once',
      () => Promise.allSettled(Array.from({ length: 5 }, () => this.start(thread.id))),
      (results) => ({
        started: results.filter((each) => each.status === 'fulfilled').length,
        refused: results.filter(
          ({ reason }) => reason instanceof OpenAI.BadRequestError && reason.message.includes('already has'),
        ).length,
      }),
    );
    await control.advance(20);
  }

  async deletion() {
    const threadId = await this.newThread('Goodbye');
    await this.call('threads.delete', () => this.at.deleteThread(threadId), deletedView);
    await this.call('threads.retrieve deleted', () => this.threads.retrieve(threadId));
    await this.call('threads.delete again', () => this.at.deleteThread(threadId));
  }
}

const [baseUrl, key] = process.argv.slice(2);
const conversation = new Conversation(baseUrl, key);
await conversation.hold();
const transcript = JSON.stringify({ version: VERSION, steps: conversation.transcript.steps });
// A retry that is still waiting would keep the process alive.
process.stdout.write(`${transcript}\n`, () => process.exit(0));
