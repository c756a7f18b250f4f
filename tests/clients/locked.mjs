// Turns on Responses and what a locked conversation does to them, in Node: `locked.py`, part for part.
//
//     node locked.mjs BASE_URL KEY [agents]
//
// Needs the package `openai`, or `@openai/agents`, which brings it, beside this file.

import { readFileSync } from 'node:fs';
import OpenAI, { AzureOpenAI } from 'openai';

const MODEL = 'gpt-4o';
const QUICK = { queue_seconds: 0, run_seconds: 0.2 };
const ENDLESS = { queue_seconds: 0, run_seconds: 3000, cancel_seconds: 0.1, stuck_probability: 0 };

const [baseUrl, key, others] = process.argv.slice(2);
const client = new OpenAI({ baseURL: baseUrl, apiKey: key });
const versionOf = (name) =>
  JSON.parse(readFileSync(new URL(`./node_modules/${name}/package.json`, import.meta.url), 'utf8')).version;

async function ask(path, data) {
  const options = data && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(data) };
  const answer = await fetch(`${baseUrl.replace(/\/v1$/, '')}/_relaysim${path}`, options);
  if (!answer.ok) {
    throw new Error(`the control API refused ${path}: ${await answer.text()}`);
  }
  return answer.json();
}

const begin = (overrides) => ask('/reset', { overrides });

async function turns(conversation) {
  const { events } = await ask(`/trace?kind=request&thread=${conversation}`);
  return events.filter(({ operation }) => operation === 'responses.create').map(({ time }) => time);
}

async function asked(conversation) {
  const [, ...times] = await turns(conversation);
  return times.map((time) => time - times[0]);
}

const texts = (items) => items.flatMap(({ content }) => content.map(({ text }) => text));

async function onALockedOne(client, attempt) {
  const conversation = (await client.conversations.create()).id;
  await client.responses.create({ model: MODEL, input: 'First', conversation, background: true });
  let seen = { error: null };
  try {
    await attempt(conversation);
  } catch (error) {
    const { status, code, param, error: body } = error;
    seen = { error: error.constructor.name, status, code, param, message: body?.message };
  }
  return { ...seen, asked: await asked(conversation) };
}

async function aTurn() {
  const conversation = (await client.conversations.create()).id;
  const turn = await client.responses.create({ model: MODEL, input: 'Hello', conversation });
  const items = [];
  for await (const item of client.conversations.items.list(conversation, { order: 'asc' })) {
    items.push(item);
  }
  const kinds = new Set();
  for await (const event of await client.responses.create({ model: MODEL, input: 'More', conversation, stream: true })) {
    kinds.add(event.type);
  }
  return { status: turn.status, text: turn.output_text, texts: texts(items), events: [...kinds] };
}

async function released() {
  const conversation = (await client.conversations.create()).id;
  const first = await client.responses.create({ model: MODEL, input: 'First', conversation, background: true });
  const cancelled = await client.responses.cancel(first.id);
  const next = await client.responses.create({ model: MODEL, input: 'Second', conversation, background: true });
  return { cancelled: cancelled.status, next: next.status };
}

const seen = { version: versionOf('openai') };
let attempt = (conversation) => client.responses.create({ model: MODEL, input: 'Second', conversation });
let withASession;

if (others === 'agents') {
  const { Agent, OpenAIConversationsSession, run, setDefaultOpenAIClient, setTracingDisabled } = await import('@openai/agents');
  setTracingDisabled(true);
  setDefaultOpenAIClient(client);
  seen.version = versionOf('@openai/agents');
  const agent = new Agent({ name: 'helper', model: MODEL });
  attempt = (conversation) => run(agent, 'Second', { conversationId: conversation });
  withASession = async () => {
    const session = new OpenAIConversationsSession({ client });
    const replies = [];
    for (const words of ['Hello', 'More']) {
      replies.push((await run(agent, words, { session })).finalOutput);
    }
    const conversationId = await session.getSessionId();
    replies.push((await run(agent, 'And more', { conversationId })).finalOutput);
    const bound = (await turns(conversationId)).length;
    return { replies, texts: texts(await session.getItems()), bound };
  };
}

await begin(QUICK);
if (withASession) {
  seen.session = await withASession();
}
seen.turn = await aTurn();
await begin(ENDLESS);
seen.locked = await onALockedOne(client, attempt);
if (!withASession) {
  const endpoint = baseUrl.replace(/\/v1$/, '');
  const azure = new AzureOpenAI({ endpoint, apiKey: key, apiVersion: '2025-03-01-preview' });
  seen.azure = await onALockedOne(azure, (conversation) =>
    azure.responses.create({ model: MODEL, input: 'Second', conversation }),
  );
}
seen.released = await released();
await begin({ ...ENDLESS, lock: 'foundry409' });
seen.conflict = await onALockedOne(client, attempt);
process.stdout.write(`${JSON.stringify(seen)}\n`, () => process.exit(0));
