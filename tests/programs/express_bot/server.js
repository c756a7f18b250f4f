// A support bot on WhatsApp: Express, the Assistants API, and one lock per customer in Redis.
import crypto from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import express from 'express';
import Redis from 'ioredis';
import OpenAI from 'openai';

const env = process.env;
const GRAPH = `${env.GRAPH_API_URL ?? 'https://graph.facebook.com'}/v21.0/${env.WHATSAPP_PHONE_NUMBER_ID}/messages`;
const LOCK_MS = 15_000;
const LOCK_TRIES = 60;
const POLLS = 60;
const SORRY = 'Desculpe, ocorreu um erro ao processar sua mensagem. Por favor, tente novamente.';

const openai = new OpenAI();
const redis = new Redis(env.REDIS_URL);
const seen = new Set(); // WhatsApp delivers again what it takes for lost

async function send(to, text) {
  const response = await fetch(GRAPH, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${env.WHATSAPP_TOKEN}` },
    body: JSON.stringify({ messaging_product: 'whatsapp', to, type: 'text', text: { body: text } }),
  });
  if (!response.ok) throw new Error(`WhatsApp: ${response.status} ${await response.text()}`);
}

async function lock(phone) {
  const token = crypto.randomUUID();
  for (let tries = 0; tries < LOCK_TRIES; tries += 1) {
    if (await redis.set(`lock:${phone}`, token, 'PX', LOCK_MS, 'NX')) return;
    await sleep(500);
  }
  throw new Error(`no lock for ${phone}`);
}

async function threadOf(phone) {
  const known = await redis.get(`thread:${phone}`);
  if (known) return known;
  const thread = await openai.beta.threads.create();
  await redis.set(`thread:${phone}`, thread.id);
  return thread.id;
}

async function ask(phone, text) {
  const thread_id = await threadOf(phone);
  await openai.beta.threads.messages.create(thread_id, { role: 'user', content: text });
  let run = await openai.beta.threads.runs.create(thread_id, { assistant_id: env.OPENAI_ASSISTANT_ID });
  for (let polls = 0; polls < POLLS && ['queued', 'in_progress'].includes(run.status); polls += 1) {
    await sleep(1_000);
    run = await openai.beta.threads.runs.retrieve(run.id, { thread_id });
  }
  if (run.status !== 'completed') throw new Error(`run ${run.id} is ${run.status}`);
  const messages = await openai.beta.threads.messages.list(thread_id, { limit: 1 });
  return messages.data[0].content[0].text.value;
}

async function handle({ id, from, text }) {
  if (seen.has(id)) return;
  seen.add(id);
  try {
    await lock(from);
    try {
      await send(from, await ask(from, text.body));
    } finally {
      await redis.del(`lock:${from}`);
    }
  } catch (error) {
    console.error(`message ${id}:`, error.message);
    await send(from, SORRY).catch((failed) => console.error(`apology for ${id}:`, failed.message));
  }
}

const app = express();
app.use(express.json({ verify: (request, _, raw) => { request.raw = raw; } }));

app.get('/webhook', (request, response) => {
  if (request.query['hub.verify_token'] !== env.WHATSAPP_VERIFY_TOKEN) return response.sendStatus(403);
  return response.send(request.query['hub.challenge']);
});

app.post('/webhook', (request, response) => {
  const expected = crypto.createHmac('sha256', env.WHATSAPP_APP_SECRET).update(request.raw).digest('hex');
  if (request.get('x-hub-signature-256') !== `sha256=${expected}`) return response.sendStatus(401);
  for (const entry of request.body.entry)
    for (const change of entry.changes)
      for (const message of change.value.messages ?? []) if (message.type === 'text') handle(message);
  return response.sendStatus(200);
});

app.listen(Number(env.PORT ?? 3000), () => console.log('listening'));
