// Waits in every way that Node has, each time an hour by five clocks, draws random numbers, and writes down what it found.
import crypto, { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { performance as timing } from 'node:perf_hooks';
import timers, { setTimeout as later } from 'node:timers';
import { scheduler, setInterval as every, setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const HOUR = 3_600_000;
const note = (line) => appendFileSync(process.env.FOUND, `${line}\n`);

async function waited(name, wait) {
  const clocks = () => [
    Date.now(), new Date().getTime(), timing.now(), process.hrtime()[0] * 1000 + process.hrtime()[1] / 1e6,
    Number(process.hrtime.bigint()) / 1e6,
  ];
  const before = clocks();
  await wait();
  note(`waited ${name}: ${clocks().map((each, index) => Math.round((each - before[index]) / 1000)).join(' ')}`);
}

async function measure() {
  await waited('setTimeout', () => new Promise((wake) => setTimeout(wake, HOUR)));
  await waited('timers.setTimeout', () => new Promise((wake) => later(wake, HOUR)));
  await waited('timers/promises', () => sleep(HOUR));
  await waited('promisify', () => promisify(timers.setTimeout)(HOUR));
  await waited('setInterval', () => new Promise((wake) => {
    let left = 6;
    const ticking = setInterval(() => { if (--left === 0) { clearInterval(ticking); wake(); } }, HOUR / 6);
  }));
  await waited('timers/promises every', async () => { for await (const _ of every(HOUR)) break; });
  await waited('scheduler', () => scheduler.wait(HOUR));
  await waited('AbortSignal.timeout', () => new Promise((wake) => AbortSignal.timeout(HOUR).addEventListener('abort', wake)));
  await waited('socket.setTimeout', () => new Promise((wake) => {
    const { hostname, port } = new URL(process.env.REDIS_URL);
    const socket = net.connect(Number(port), hostname, () => socket.setTimeout(HOUR, () => { socket.destroy(); wake(); }));
  }));
  await waited('refreshed', () => new Promise((wake) => {
    const waiting = setTimeout(wake, HOUR / 2);
    const never = setTimeout(() => note('cleared, and fired'), HOUR / 4);
    setTimeout(() => { waiting.refresh(); clearTimeout(never); }, HOUR / 2 - 1).unref();
    clearTimeout(Number(setTimeout(() => note('cleared by number, and fired'), 1)));
    setTimeout(() => {}, 1).refresh();
  }));
  note(`drawn ${Math.random()}`);
  note(`drawn ${crypto.randomBytes(9).toString('hex')}`);
  note(`drawn ${randomUUID()}`);
  note(`drawn ${globalThis.crypto.randomUUID()}`);
  note(`drawn ${globalThis.crypto.getRandomValues(new Uint32Array(2))}`);
  note(`drawn ${crypto.randomInt(1e9)}`);
  note(`drawn ${await promisify(crypto.randomBytes)(7).then((octets) => octets.toString('hex'))}`);
  note(`drawn ${crypto.randomFillSync(Buffer.alloc(5)).toString('hex')}`);
}

let begun = false;
http
  .createServer((request, response) => {
    request.resume().on('end', () => response.end());
    if (!begun) measure();
    begun = true;
  })
  .listen(Number(process.env.PORT), '127.0.0.1');
