// Loaded into a Node program before its own code: its timers, clocks and random numbers are the simulator's, and the
// simulator is told when the program is idle, what it has done since, in order, and when its next timer is due.
//
// The simulator writes one line of JSON for each thing that happens to the program, its present instant with it:
//   {now, expect: [[connection, bytes, ended], ...], timers, comes, signal}
// and this answers, once all that has arrived and nothing is left to do, with
//   {log: [[kind, connection, number], ...], due, listens}
// Where something `comes` over a connection, it comes only after this has answered {set: true}: by then its clock is set.
// A connection is "o" and the local port of one that the program opened, "i" and the remote port of one that it took.
import async_hooks from 'node:async_hooks';
import child_process from 'node:child_process';
import cluster from 'node:cluster';
import crypto from 'node:crypto';
import dgram from 'node:dgram';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import path from 'node:path';
import perf_hooks from 'node:perf_hooks';
import timers from 'node:timers';
import timersPromises from 'node:timers/promises';
import util from 'node:util';
import worker_threads from 'node:worker_threads';

const ROUNDS = 3; // turns of the event loop in which nothing was found
const LAUNCHERS = new Set(['npm', 'npm-cli.js', 'npx', 'npx-cli.js', 'pnpm', 'pnpm.cjs', 'yarn', 'yarn.js', 'corepack']);

if (process.env.RELAYSIM_LOCKSTEP && worker_threads.isMainThread && !LAUNCHERS.has(path.basename(process.argv[1] ?? ''))) {
  await enter(JSON.parse(process.env.RELAYSIM_LOCKSTEP));
}

async function enter(given) {
  const real = {
    setTimeout: globalThis.setTimeout,
    setImmediate: globalThis.setImmediate,
    clearTimeout: globalThis.clearTimeout,
    Date: globalThis.Date,
    createHash: crypto.createHash,
    activeResources: process.getActiveResourcesInfo.bind(process),
    write: net.Socket.prototype.write,
    stderr: process.stderr.write.bind(process.stderr),
  };
  let now = given.now; // virtual seconds
  let log = [];
  const connections = new Map();
  const listens = new Set();
  let expected = [];
  let compiling = 0;
  let awaited = null; // a signal
  let control;
  let refused = false;

  function refuse(what) {
    if (refused) return;
    refused = true;
    real.write.call(control, JSON.stringify({ refused: what }) + '\n');
  }

  // Timers

  const waiting = new Set();
  let sequence = 0;

  class Timeout {
    constructor(callback, milliseconds, args, repeats) {
      if (typeof callback !== 'function') {
        const error = new TypeError(`The "callback" argument must be of type function. Received ${util.inspect(callback)}`);
        error.code = 'ERR_INVALID_ARG_TYPE';
        throw error;
      }
      const given = Number(milliseconds);
      this._idleTimeout = given >= 1 && given <= 2 ** 31 - 1 ? Math.trunc(given) : 1;
      this._onTimeout = callback;
      this._repeat = repeats ? this._idleTimeout : null;
      this._destroyed = false;
      this._args = args;
      this._resource = new async_hooks.AsyncResource('Timeout');
      this._isRef = true;
      this._id = 0;
      this._arm();
    }
    _arm() {
      this._at = now + this._idleTimeout / 1000;
      this._number = ++sequence;
      this._destroyed = false;
      waiting.add(this);
    }
    _fire() {
      if (!waiting.has(this)) return;
      if (this._repeat === null) {
        waiting.delete(this);
        this._destroyed = true;
      } else this._arm();
      this._resource.runInAsyncScope(this._onTimeout, this, ...this._args);
    }
    ref() { this._isRef = true; return this; }
    unref() { this._isRef = false; return this; }
    hasRef() { return this._isRef; }
    refresh() { if (!this._destroyed) this._arm(); return this; }
    close() { clear(this); return this; }
    [Symbol.toPrimitive]() {
      if (!this._id) byId.set((this._id = ++lastId), this);
      return this._id;
    }
    [Symbol.dispose ?? Symbol('dispose')]() { clear(this); }
  }
  const byId = new Map();
  let lastId = 0;

  function clear(timeout) {
    const found = typeof timeout === 'object' || timeout === undefined ? timeout : byId.get(Number(timeout));
    if (found instanceof Timeout) {
      waiting.delete(found);
      found._destroyed = true;
      if (found._id) byId.delete(found._id);
    } else if (found) real.clearTimeout(found); // one of Node's own
  }
  const setTimeout = (callback, milliseconds, ...args) => new Timeout(callback, milliseconds, args, false);
  const setInterval = (callback, milliseconds, ...args) => new Timeout(callback, milliseconds, args, true);

  const aborted = (signal) => new DOMException('This operation was aborted', 'AbortError', { cause: signal.reason });
  function sleep(milliseconds, value, options = {}) {
    const { signal } = options ?? {};
    return new Promise((resolve, reject) => {
      const abort = () => { clear(timeout); reject(asAbort(signal)); };
      if (signal?.aborted) return void reject(asAbort(signal));
      const timeout = setTimeout(() => { signal?.removeEventListener('abort', abort); resolve(value); }, milliseconds);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }
  function asAbort(signal) {
    const error = new Error('The operation was aborted', { cause: signal.reason });
    error.name = 'AbortError';
    error.code = 'ABORT_ERR';
    return error;
  }
  async function* every(milliseconds, value, options = {}) {
    for (;;) {
      await sleep(milliseconds, undefined, options);
      yield value;
    }
  }
  Object.defineProperty(setTimeout, util.promisify.custom, { enumerable: true, get: () => sleep });
  Object.assign(timers, { setTimeout, setInterval, clearTimeout: clear, clearInterval: clear });
  Object.assign(timersPromises, { setTimeout: sleep, setInterval: every });
  const immediately = timersPromises.setImmediate;
  try {
    Object.defineProperty(timersPromises, 'scheduler', {
      value: { wait: (milliseconds, options) => sleep(milliseconds, undefined, options), yield: () => immediately() },
      configurable: true, enumerable: true, writable: true,
    });
  } catch { /* of a version in which it cannot be replaced */ }
  Object.assign(globalThis, { setTimeout, setInterval, clearTimeout: clear, clearInterval: clear });
  AbortSignal.timeout = (milliseconds) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError')), milliseconds);
    return controller.signal;
  };

  // Timeouts of sockets, which Node keeps by timers of its own

  const quiet = Symbol('timeout');
  net.Socket.prototype.setTimeout = function (milliseconds, callback) {
    if (this.destroyed) return this;
    this.timeout = milliseconds;
    clear(this[quiet]);
    this[quiet] = undefined;
    if (milliseconds > 0) this[quiet] = setTimeout(() => this._onTimeout(), milliseconds);
    if (callback) {
      if (milliseconds > 0) this.once('timeout', callback);
      else this.removeListener('timeout', callback);
    }
    return this;
  };
  net.Socket.prototype._unrefTimer = function () { // called whenever something comes or goes
    wake();
    for (let each = this; each != null; each = each._parent) each[quiet]?.refresh();
  };

  // Clocks

  const milliseconds = () => Math.floor((given.epoch + now) * 1000 + 1e-4);
  const VirtualDate = new Proxy(real.Date, {
    construct: (target, args, made) =>
      args.length ? Reflect.construct(target, args, made === VirtualDate ? target : made)
        : Reflect.construct(target, [milliseconds()], made === VirtualDate ? target : made),
    apply: () => new real.Date(milliseconds()).toString(),
  });
  real.Date.now = milliseconds;
  real.Date.prototype.constructor = VirtualDate;
  globalThis.Date = VirtualDate;
  const began = now;
  const elapsed = () => (now - began) * 1000;
  Object.defineProperty(performance, 'now', { value: elapsed, configurable: true, writable: true });
  Object.defineProperty(performance, 'timeOrigin', { value: (given.epoch + began) * 1000, configurable: true });
  process.hrtime = Object.assign(
    (before) => {
      const whole = Math.floor(now), rest = Math.round((now - whole) * 1e9);
      if (!before) return [whole, rest];
      const difference = rest - before[1];
      return difference < 0 ? [whole - before[0] - 1, difference + 1e9] : [whole - before[0], difference];
    },
    { bigint: () => BigInt(Math.round(now * 1e9)) },
  );
  process.uptime = () => now - began;

  // Random numbers

  let drawn = 0, pool = Buffer.alloc(0);
  function octets(count) {
    const pieces = [];
    while (count > 0) {
      if (!pool.length) pool = real.createHash('sha256').update(`${given.seed}/${drawn++}`).digest();
      const piece = pool.subarray(0, count);
      pool = pool.subarray(piece.length);
      pieces.push(piece);
      count -= piece.length;
    }
    return Buffer.concat(pieces);
  }
  const fraction = () => octets(8).readBigUInt64BE() >> 11n;
  Math.random = () => Number(fraction()) / 2 ** 53;
  const later = (callback, make) => { if (!callback) return make(); const made = make(); process.nextTick(callback, null, made); };
  const fill = (into, offset = 0, size) => {
    const bytes = ArrayBuffer.isView(into) ? new Uint8Array(into.buffer, into.byteOffset, into.byteLength) : new Uint8Array(into);
    const end = size === undefined ? bytes.length : offset + size;
    bytes.set(octets(end - offset), offset);
    return into;
  };
  const uuid = () => {
    const bytes = octets(16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = bytes.toString('hex');
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  };
  const randomBytes = (size, callback) => later(callback, () => octets(size));
  const randomInt = (low, high, callback) => {
    if (high === undefined || typeof high === 'function') [low, high, callback] = [0, low, high];
    return later(callback, () => low + Math.floor(Math.random() * (high - low)));
  };
  const replaced = {
    randomBytes, pseudoRandomBytes: randomBytes, rng: randomBytes, prng: randomBytes, randomInt, randomUUID: uuid,
    randomFillSync: fill,
    randomFill: (into, ...rest) => {
      const callback = rest.pop();
      fill(into, ...rest);
      process.nextTick(callback, null, into);
    },
    getRandomValues: (into) => fill(into),
  };
  for (const [name, value] of Object.entries(replaced)) {
    if (name in crypto && name !== 'getRandomValues') { // which is read from `webcrypto`
      Object.defineProperty(crypto, name, { value, configurable: true, writable: true, enumerable: true });
    }
  }
  for (const where of [crypto.webcrypto, Object.getPrototypeOf(crypto.webcrypto)]) {
    for (const name of ['getRandomValues', 'randomUUID']) {
      try {
        Object.defineProperty(where, name, { value: replaced[name], configurable: true, writable: true });
      } catch { /* it cannot be replaced there */ }
    }
  }

  // Ways out

  for (const name of ['spawn', 'exec', 'execFile', 'fork', 'spawnSync', 'execSync', 'execFileSync']) {
    const before = child_process[name];
    child_process[name] = function (command, ...rest) {
      refuse(`starts a process of its own (${String(command).slice(0, 80)})`);
      return before.call(this, command, ...rest);
    };
  }
  cluster.fork = () => refuse('starts processes of its own (cluster)');
  const BeforeWorker = worker_threads.Worker;
  worker_threads.Worker = class extends BeforeWorker {
    constructor(...args) {
      refuse('starts a thread of its own (worker_threads)');
      super(...args);
    }
  };
  const beforeDatagram = dgram.createSocket;
  dgram.createSocket = (...args) => {
    refuse('opens a UDP socket');
    return beforeDatagram(...args);
  };
  for (const name of ['compile', 'instantiate', 'compileStreaming', 'instantiateStreaming']) {
    const before = WebAssembly[name];
    if (before) {
      WebAssembly[name] = (...args) => {
        compiling += 1;
        const made = before.apply(WebAssembly, args);
        const done = () => { compiling -= 1; };
        made.then(done, done);
        return made;
      };
    }
  }

  // Connections

  const named = Symbol('connection');
  const note = (kind, socket, number = 0) => { if (socket[named]) log.push([kind, socket[named], number]); };
  const beforeConnect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...args) {
    const first = Array.isArray(args[0]) ? args[0][0] : args[0];
    const to = typeof first === 'object' && first !== null ? first
      : typeof first === 'string' && !(Number(first) >= 0) ? { path: first }
      : { port: first, host: typeof args[1] === 'string' ? args[1] : undefined };
    const host = to.host ?? 'localhost';
    if (to.path) refuse(`connects to ${to.path}, which is not simulated`);
    else if (!['127.0.0.1', 'localhost', '::1', '::ffff:127.0.0.1'].includes(host) || !given.ports.includes(Number(to.port))) {
      refuse(`connects to ${host}:${to.port}, which is not simulated`);
    } else {
      this.prependOnceListener('connect', () => {
        this[named] = `o${this.localPort}`;
        connections.set(this[named], this);
        note('open', this, this.remotePort);
      });
    }
    return beforeConnect.apply(this, args);
  };
  const beforeWrite = net.Socket.prototype._writeGeneric;
  net.Socket.prototype._writeGeneric = function (...args) {
    if (this.connecting || !this[named] || !this._handle) return beforeWrite.apply(this, args);
    const handle = this._handle, before = handle.bytesWritten;
    const result = beforeWrite.apply(this, args);
    note('write', this, handle.bytesWritten - before);
    return result;
  };
  const beforeFinal = net.Socket.prototype._final;
  net.Socket.prototype._final = function (done) {
    if (!this.connecting) note('end', this);
    return beforeFinal.call(this, done);
  };
  const beforeDestroy = net.Socket.prototype._destroy;
  net.Socket.prototype._destroy = function (...args) {
    clear(this[quiet]);
    note('close', this);
    return beforeDestroy.apply(this, args);
  };
  const beforeListen = net.Server.prototype.listen;
  const known = new WeakSet();
  net.Server.prototype.listen = function (...args) {
    if (!known.has(this)) {
      known.add(this);
      this.prependListener('connection', (socket) => {
        socket[named] = `i${socket.remotePort}`;
        connections.set(socket[named], socket);
        wake();
      });
      let port;
      this.prependListener('listening', () => { port = this.address()?.port; if (port) listens.add(port); });
      this.on('close', () => listens.delete(port));
    }
    return beforeListen.apply(this, args);
  };

  // When nothing is left to do

  const harmless = new Set(['TCPServerWrap', 'TCPSocketWrap', 'PipeWrap', 'TTYWrap', 'SignalWrap', 'Timeout', 'FSEventWrap',
    'MessagePort', 'TLSWrap']);
  const arrived = ([name, bytes, ends]) => {
    const socket = connections.get(name);
    if (!socket) return false;
    if (socket.destroyed || !socket._handle) return true;
    if (!socket._handle.reading && socket.bytesRead > 0) return true; // the program wants nothing more for now
    return socket.bytesRead >= bytes && (!ends || socket._readableState.ended);
  };
  let rounds = 0, busyRounds = 0, checking = false, dueImmediates = 0;
  let busyWith = [];
  let sleeping = null;

  function check() {
    expected = expected.filter((each) => !arrived(each));
    busyWith = real.activeResources().filter((each) => !harmless.has(each));
    if (compiling) busyWith.push('WebAssembly');
    if (!busyWith.length && expected.length && !dueImmediates) { // nothing to do until it is there
      rounds = 0;
      sleeping = real.setTimeout(wake, 2); // of a connection's end nothing else tells
      return;
    }
    if (dueImmediates || awaited) busyWith.push('input');
    if (busyWith.length) {
      rounds = 0;
      busyRounds += 1;
    } else rounds += 1;
    if (rounds >= ROUNDS) report();
    else if (busyRounds > 200) real.setTimeout(check, 1);
    else real.setImmediate(check);
  }
  function wake() {
    if (sleeping === null) return;
    real.clearTimeout(sleeping);
    sleeping = null;
    real.setImmediate(check);
  }
  function lookSoon() {
    rounds = busyRounds = 0;
    if (!checking) {
      checking = true;
      real.setImmediate(check);
    }
  }
  function report() {
    checking = false;
    let due = null;
    for (const each of waiting) if (due === null || each._at < due) due = each._at;
    real.write.call(control, JSON.stringify({ log, due, listens: [...listens] }) + '\n');
    for (const [kind, name] of log) if (kind === 'close') connections.delete(name);
    log = [];
  }
  function take(message) {
    if (message.why) return real.write.call(control, JSON.stringify({ busy: busyWith }) + '\n');
    if (message.again) return lookSoon();
    if (log.length) return real.write.call(control, JSON.stringify({ late: log }) + '\n');
    now = message.now;
    expected = message.expect;
    if (message.signal) { // without a listener it ends the process
      awaited = message.signal;
      if (process.listenerCount(awaited)) process.prependOnceListener(awaited, () => { awaited = null; });
    }
    if (message.comes) real.write.call(control, JSON.stringify({ set: true }) + '\n');
    const due = [...waiting].filter((each) => each._at <= now + 1e-9).sort((a, b) => a._at - b._at || a._number - b._number);
    if (message.timers) {
      for (const each of due) {
        dueImmediates += 1;
        real.setImmediate(() => { dueImmediates -= 1; each._fire(); });
      }
    }
    lookSoon();
  }

  let text = '';
  control = net.createConnection({ port: given.ports[0], host: '127.0.0.1' });
  control[named] = undefined;
  await new Promise((resolve, reject) => { control.once('connect', resolve); control.once('error', reject); });
  control[named] = undefined;
  control.setNoDelay(true);
  control.setEncoding('utf8');
  control.on('data', (piece) => {
    text += piece;
    for (let end; (end = text.indexOf('\n')) >= 0;) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      take(JSON.parse(line));
    }
  });
  control.on('close', () => process.kill(process.pid, 'SIGKILL')); // who judged is gone
  log = [];
  connections.clear();
  real.write.call(control, JSON.stringify({ pid: process.pid, version: process.version }) + '\n');
  await fetch('data:,').catch(() => {}); // its parser is compiled now
  syncBuiltinESMExports();
  lookSoon();
}
