// A support bot on WhatsApp: Fastify takes webhooks in, BullMQ keeps a job for each message, and a worker answers them.
import crypto from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { Queue, Worker } from 'bullmq';
import Fastify from 'fastify';
import Redis from 'ioredis';
import OpenAI from 'openai';

const env = process.env;
const messagesUrl = `${env.WHATSAPP_API_URL || 'https://graph.facebook.com/v21.0'}/${env.PHONE_NUMBER_ID}/messages`;
const openai = new OpenAI();
const connection = new Redis(env.REDIS_URL, { maxRetriesPerRequest: null });
const queue = new Queue('messages', { connection });

async function sendText(to, body) {
  const response = await fetch(messagesUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${env.WHATSAPP_ACCESS_TOKEN}` },
    body: JSON.stringify({ messaging_product: 'whatsapp', to, type: 'text', text: { body } }),
  });
  if (!response.ok) throw new Error(`WhatsApp answered ${response.status}`);
}

async function threadOf(phone) {
  const known = await connection.hget('threads', phone);
  if (known) return known;
  const { id } = await openai.beta.threads.create({ metadata: { phone } });
  await connection.hset('threads', phone, id);
  return id;
}

// A job that throws is tried again from its beginning.
async function answer({ data: { phone, text } }) {
  const threadId = await threadOf(phone);
  await openai.beta.threads.messages.create(threadId, { role: 'user', content: text });
  let run = await openai.beta.threads.runs.create(threadId, { assistant_id: env.OPENAI_ASSISTANT_ID });
  while (run.status === 'queued' || run.status === 'in_progress') {
    await sleep(1000);
    run = await openai.beta.threads.runs.retrieve(run.id, { thread_id: threadId });
  }
  if (run.status !== 'completed') throw new Error(`the run ended as ${run.status}`);
  const { data } = await openai.beta.threads.messages.list(threadId, { run_id: run.id, order: 'asc' });
  for (const message of data) for (const part of message.content) await sendText(phone, part.text.value);
}

const worker = new Worker('messages', answer, { connection, concurrency: Number(env.CONCURRENCY || 5) });
worker.on('failed', (job, error) => app.log.warn({ job: job?.id, tries: job?.attemptsMade }, error.message));

const app = Fastify({ logger: { level: env.LOG_LEVEL || 'warn' } });

app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
  const signature = crypto.createHmac('sha256', env.META_APP_SECRET).update(body).digest('hex');
  if (request.headers['x-hub-signature-256'] !== `sha256=${signature}`)
    return done(Object.assign(new Error('not signed by Meta'), { statusCode: 401 }));
  return done(null, JSON.parse(body));
});

app.get('/health', async () => ({ status: connection.status }));

app.get('/webhooks/whatsapp', async (request, reply) =>
  request.query['hub.verify_token'] === env.META_VERIFY_TOKEN
    ? request.query['hub.challenge']
    : reply.code(403).send(),
);

app.post('/webhooks/whatsapp', async (request) => {
  for (const { changes } of request.body.entry)
    for (const { value } of changes)
      for (const message of value.messages ?? [])
        if (message.type === 'text')
          // The message's id is the job's: what is delivered twice is one job.
          await queue.add(
            'answer',
            { phone: message.from, text: message.text.body },
            { jobId: message.id, attempts: 3, backoff: { type: 'exponential', delay: 1000 } },
          );
  return { received: true };
});

for (const signal of ['SIGTERM', 'SIGINT'])
  process.on(signal, async () => {
    await app.close();
    await worker.close();
    process.exit(0);
  });

await app.listen({ port: Number(env.PORT || 3000), host: '127.0.0.1' });
