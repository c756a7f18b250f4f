// Shows what the server tells, and tells it what people do. All text goes into text nodes: nothing that was written becomes markup.
'use strict';

const $ = (id) => document.getElementById(id);
const STATES = { sent: '✓ sent', taken: '✓✓ taken in', answered: '✓✓ answered' };
const RUN_STATES = { in_progress: 'in progress' };
const COPY_STATES = { ready: 'ready', starting: 'starting', killed: 'killed, starts again soon', 'without Redis': 'takes nothing in: no Redis' };
const chats = new Map();
let state = null;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

async function tell(path, what) {
  const said = $('said');
  try {
    const answer = await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(what) });
    if (answer.ok) return true;
    said.textContent = (await answer.json()).error;
  } catch {
    said.textContent = 'The demo does not answer. Has it been ended?';
  }
  said.className = 'said bad';
  return false;
}

function done(line) {
  $('said').className = 'said';
  $('said').textContent = line;
}

// Chats

function makeChat(number, name) {
  const log = element('div', { class: 'log', role: 'log', 'aria-live': 'polite', 'aria-label': `Messages of ${name}`, tabindex: '0' });
  log.append(element('p', { class: 'empty' }, `Write something as ${name}.`));
  const field = element('input', { id: `text-${number}`, type: 'text', maxlength: '1000', autocomplete: 'off', placeholder: 'Message' });
  const form = element('form', {}, element('label', { class: 'hidden', for: `text-${number}` }, `Write as ${name}`), field,
    element('button', { type: 'submit', 'aria-label': `Send as ${name}` }, 'Send'));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return;
    field.value = '';
    if (!(await tell('/write', { customer: number, text })) && !field.value) field.value = text;
  });
  const title = element('h2', { id: `name-${number}` }, element('span', { class: 'face', 'aria-hidden': 'true' }, name[0]), name);
  $('chats').append(element('section', { class: 'chat', 'aria-labelledby': `name-${number}` }, title, log, form));
  return { log, shown: new Map() };
}

function metaOf(bubble) {
  if (bubble.by === 'customer') {
    if (bubble.answers > 1) return ['twice', `✓✓ answered ${bubble.answers} times`];
    return [bubble.state, STATES[bubble.state]];
  }
  if (!bubble.run) return ['bad', `no run wrote this · ${bubble.copy}`];
  const covered = bubble.covers.length;
  const what = covered === 0 ? 'answers nothing new' : covered === 1 ? 'answers 1 message' : `answers ${covered} messages`;
  return ['', `${what} · ${bubble.copy}`];
}

function showChat(chat, bubbles) {
  const atEnd = chat.log.scrollHeight - chat.log.scrollTop - chat.log.clientHeight < 40;
  let added = false;
  for (const bubble of bubbles) {
    const [kind, words] = metaOf(bubble);
    let shown = chat.shown.get(bubble.id);
    if (!shown) {
      if (chat.shown.size === 0) chat.log.textContent = '';
      const meta = element('p');
      const who = bubble.by === 'customer' ? 'You: ' : 'Relay: ';
      const box = element('div', { class: bubble.by === 'customer' ? 'bubble mine' : 'bubble' },
        element('p', {}, element('span', { class: 'hidden' }, who), bubble.text), meta);
      chat.log.append(box);
      shown = { meta, words: '' };
      chat.shown.set(bubble.id, shown);
      added = true;
    }
    if (shown.words !== words) {
      shown.words = words;
      shown.meta.className = `meta ${kind}`;
      shown.meta.textContent = words;
    }
  }
  if (added && atEnd) chat.log.scrollTop = chat.log.scrollHeight;
}

// The panel

function showCounts({ written, answered, twice }) {
  const more = twice ? `, ${twice} of them more than once` : '';
  $('counts').textContent = written === 0 ? 'Nothing written yet.'
    : `${written} ${written === 1 ? 'message' : 'messages'} written, ${answered} answered${more}.`;
}

function showCopies({ copies, redis_away: away }) {
  const items = copies.map((each) => element('li', { class: each.state.split(' ')[0] }, `${each.name}: ${COPY_STATES[each.state]}`));
  items.push(element('li', { class: away ? 'away' : 'ready' }, `Redis: ${away ? 'away' : 'there'}`));
  $('copies').replaceChildren(...items);
}

function showRuns(runs) {
  if (!runs.length) return;
  $('runs').replaceChildren(...runs.map((run) => {
    const words = (RUN_STATES[run.state] ?? run.state) + (run.stuck ? ', stuck' : '');
    return element('tr', {}, element('td', { class: 'tag' }, run.tag), element('td', {}, run.customer || '?'),
      element('td', { class: `state ${run.state}` }, words), element('td', { class: 'by' }, run.copy.replace(/^w/, 'copy ')),
      element('td', { class: 'reads' }, run.read.map((text) => `“${text.length > 40 ? `${text.slice(0, 39)}…` : text}”`).join(', ')));
  }));
}

function showLines(lines) {
  if (!lines.length) return;
  $('lines').replaceChildren(...lines.map(({ at, text }) => element('li', {}, element('time', {}, `${at.toFixed(1)} s`), text)));
}

function showButtons({ copies, redis_away: away, next_stuck: stuck, next_twice: twice, relay }) {
  for (const button of document.querySelectorAll('[data-kill]')) {
    const copy = copies.find((each) => String(each.number) === button.dataset.kill);
    button.setAttribute('aria-disabled', String(copy.state === 'killed'));
  }
  $('redis').setAttribute('aria-disabled', String(away));
  $('stuck').setAttribute('aria-pressed', String(stuck));
  $('twice').setAttribute('aria-pressed', String(twice));
  for (const radio of document.querySelectorAll('[name=relay]')) radio.checked = radio.value === relay;
}

function show(told) {
  const before = state;
  state = told;
  const changed = (name) => !before || JSON.stringify(before[name]) !== JSON.stringify(told[name]);
  told.chats.forEach(({ bubbles }, at) => {
    if (!chats.has(at)) chats.set(at, makeChat(at + 1, told.names[at]));
    showChat(chats.get(at), bubbles);
  });
  if (changed('counts')) showCounts(told.counts);
  if (changed('copies') || changed('redis_away')) showCopies(told);
  if (changed('runs')) showRuns(told.runs);
  if (changed('lines')) showLines(told.lines);
  $('relay-title').textContent = told.relay_title;
  showButtons(told);
}

function press(id, act) {
  const button = typeof id === 'string' ? $(id) : id;
  button.addEventListener('click', () => { if (button.getAttribute('aria-disabled') !== 'true') act(button); });
}

for (const button of document.querySelectorAll('[data-kill]')) {
  press(button, async () => {
    const copy = Number(button.dataset.kill);
    if (await tell('/kill', { copy })) done(`Copy ${copy} is killed. It starts again in 4 s.`);
  });
}
press('redis', async () => { if (await tell('/redis', {})) done('Redis is away for 5 s.'); });
for (const id of ['stuck', 'twice']) {
  press(id, async (button) => {
    const wanted = button.getAttribute('aria-pressed') !== 'true';
    const what = id === 'stuck' ? 'The next run will be stuck.' : 'The next webhook will come twice.';
    if (await tell(`/${id}`, { wanted })) done(wanted ? what : 'As usual again.');
  });
}
for (const radio of document.querySelectorAll('[name=relay]')) {
  radio.addEventListener('change', async () => {
    if (await tell('/relay', { relay: radio.value })) done('The copies start anew.');
  });
}

const events = new EventSource('/events');
const link = $('link');
events.addEventListener('message', (event) => show(JSON.parse(event.data)));
events.addEventListener('open', () => { link.textContent = 'Connected'; link.className = 'link on'; });
events.addEventListener('error', () => { link.textContent = 'The demo does not answer: has it been ended?'; link.className = 'link off'; });
