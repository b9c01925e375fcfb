// The page of `capdiff serve`: a photo goes to /v1/captions, and its caption is drawn as it takes shape.

const $ = (id) => document.getElementById(id);

const TOKEN_KEY = 'capdiff-token';
// Long enough to see what happens, however fast the model is.
const STEP_MS = 30;
const TAKEN_BACK_MS = 900;
const REPLAY_MS = 140;

const state = {
  file: null,
  model: null, // what /v1/models says that the model can do
  run: null, // AbortController of the request under way
  retry: null, // what the missing token kept from happening
  steps: [], // of the last caption, as the server told them
  answer: null,
  words: [], // of the caption shown: {text, confidence?, blank}
  refilled: new Set(), // which of them came out of the last blanks
  replay: null, // timer
};

// ---- Talking to the server

class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function serverError(response) {
  const body = await response.json().catch(() => null);
  let message = body?.error?.message ?? `The server answered ${response.status} ${response.statusText}`;
  const wait = response.headers.get('Retry-After');
  if (wait) message += `; try again in ${wait} s`;
  return new ServerError(message, response.status);
}

async function request(path, init = {}) {
  const token = sessionStorage.getItem(TOKEN_KEY);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Error('The server does not answer, or closed the connection.');
  }
  if (!response.ok) throw await serverError(response);
  return response;
}

/** The server-sent events of a response, which EventSource cannot read as it cannot post: {type, data}. */
async function* serverEvents(response) {
  let text = '';
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
      const event = { type: 'message', data: '' };
      for (const line of text.slice(0, end).split('\n')) {
        if (line.startsWith('event:')) event.type = line.slice(6).trim();
        if (line.startsWith('data:')) event.data += line.slice(5);
      }
      if (event.data) yield { type: event.type, data: JSON.parse(event.data) };
    }
  }
}

/** Waits, unless nobody is looking: timers of hidden tabs take a second. */
function pause(ms) {
  return document.hidden ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms));
}

/** Draws the steps of a streamed caption, and returns the answer at its end. */
async function followSteps(response, signal) {
  for await (const { type, data } of serverEvents(response)) {
    signal.throwIfAborted();
    if (type === 'error') throw new Error(data.error.message);
    if (type === 'caption') return data;
    if (type !== 'step') continue;
    state.steps.push(data);
    showProgress();
    await pause(data.pieces?.some((piece) => piece.taken_back) ? TAKEN_BACK_MS : STEP_MS);
  }
  throw new Error('The connection ended before the caption did.');
}

// ---- Words

/** Signs of the model that are not words: [SEP], <pad>. */
const isSpecial = (text) => /^(\[[A-Z]+\]|<[^<>]+>)$/.test(text);

/** Pieces joined to words ("sword", "##fish"), each as certain as its least certain piece. */
function joinPieces(pieces) {
  const words = [];
  for (const { text, confidence, taken_back: takenBack = false } of pieces) {
    const last = words.at(-1);
    if (text.startsWith('##') && last && !last.special) {
      last.text += text.slice(2);
      last.confidence = Math.min(last.confidence, confidence);
      last.takenBack ||= takenBack;
    } else {
      words.push({ text, confidence, takenBack, special: isSpecial(text) });
    }
  }
  return words;
}

/** What is drawn of a step: special tokens only between words, where their number says something. */
function wordsOfStep(step) {
  const words = joinPieces(step.pieces ?? step.text.split(' ').map((text) => ({ text, confidence: 0 })));
  const first = words.findIndex((word) => !word.special);
  const last = words.findLastIndex((word) => !word.special);
  return first < 0 ? [] : words.slice(first, last + 1);
}

/** The words of a finished caption, with the confidence of the pieces that spell them, where there are such. */
function wordsOfCaption(caption, pieces = []) {
  const known = joinPieces(pieces).filter((word) => !word.special);
  let next = 0;
  return caption.split(/\s+/).filter(Boolean).map((text) => {
    const found = spelling(text.toLowerCase(), known, next);
    next = found?.next ?? next;
    return { text, confidence: found?.confidence, blank: false };
  });
}

/** The first run of `known`, from `start` on, that spells `text`: "man's" is "man", "'", "s". */
function spelling(text, known, start) {
  for (let from = start; from < known.length; ++from) {
    let spelled = '';
    let confidence = 1;
    for (let at = from; at < known.length && text.startsWith(spelled); ++at) {
      spelled += known[at].text.toLowerCase();
      confidence = Math.min(confidence, known[at].confidence);
      if (spelled === text) return { confidence, next: at + 1 };
    }
  }
  return null;
}

const percent = (share) => `${Math.round(share * 100)} %`;

/** A caption's word less the punctuation around it, which stays when the word is blanked. */
const bareWord = (text) => text.match(/^([^\p{L}\p{N}]*)(.*?)([^\p{L}\p{N}]*)$/u);

// ---- Drawing

function announce(text) {
  $('announcer').textContent = text;
}

/** A box of the words' row, made or taken over from the step before, so that changes can be smooth. */
function wordBox(container, index) {
  let box = container.children[index];
  if (box?.tagName !== 'SPAN') {
    box = document.createElement('span');
    if (container.children[index]) container.children[index].replaceWith(box);
    else container.append(box);
  }
  return box;
}

function showStep(step) {
  const container = $('caption');
  const words = wordsOfStep(step);
  words.forEach((word, index) => {
    const box = wordBox(container, index);
    box.className = 'word';
    box.classList.toggle('special', word.special);
    box.classList.toggle('taken-back', word.takenBack && !word.special);
    box.textContent = word.special ? '·' : word.text;
    box.title = word.special ? 'no word' : `${percent(word.confidence)} sure${word.takenBack ? ', taken back' : ''}`;
    box.style.setProperty('--confidence', word.confidence);
  });
  while (container.children.length > words.length) container.lastChild.remove();
}

function showCaption() {
  $('caption').replaceChildren(...state.words.map(state.model?.fill ? blankableWord : plainWord));
  const rated = state.words.some((word) => word.confidence !== undefined);
  $('legend').hidden = !rated && !state.model?.fill;
  for (const part of $('legend').children) part.hidden = !rated;
  $('blank-hint').hidden = !state.model?.fill;
  $('copy').hidden = false;
}

function describeWord(word) {
  return word.confidence === undefined ? '' : `${percent(word.confidence)} sure`;
}

function plainWord(word, index, words, tag = 'span') {
  const box = document.createElement(tag);
  box.className = 'word';
  box.classList.toggle('refilled', state.refilled.has(index));
  box.textContent = word.text;
  box.title = describeWord(word);
  box.style.setProperty('--confidence', word.confidence ?? 0);
  return box;
}

function blankableWord(word, index, words) {
  if (!bareWord(word.text)[2]) return plainWord(word, index, words);
  const box = plainWord(word, index, words, 'button');
  const parts = [word.text, describeWord(word), state.refilled.has(index) ? 'refilled' : ''];
  box.type = 'button';
  box.setAttribute('aria-label', parts.filter(Boolean).join(', '));
  box.setAttribute('aria-pressed', word.blank);
  box.addEventListener('click', () => {
    word.blank = !word.blank;
    box.setAttribute('aria-pressed', word.blank);
    writeSentence();
  });
  return box;
}

/** The sentence follows the words that are blanked. */
function writeSentence() {
  const blanked = ({ text, blank }) => (blank ? text.replace(bareWord(text)[2], '___') : text);
  const any = state.words.some((word) => word.blank);
  $('sentence').value = any ? state.words.map(blanked).join(' ') : '';
  announce(any ? `Sentence: ${$('sentence').value.replaceAll('___', 'blank')}` : 'No blanks');
}

function averageConfidence(step) {
  const words = wordsOfStep(step).filter((word) => !word.special);
  return words.reduce((sum, word) => sum + word.confidence, 0) / Math.max(words.length, 1);
}

function showBar(step, index) {
  const bar = $('bars').children[index];
  bar.style.setProperty('--confidence', averageConfidence(step));
  bar.className = 'reached';
  bar.classList.toggle('taken-back', Boolean(step.pieces?.some((piece) => piece.taken_back)));
}

function makeBars(count) {
  const missing = Math.max(count - $('bars').children.length, 0);
  $('bars').append(...Array.from({ length: missing }, () => document.createElement('span')));
}

function markBar(index) {
  $('bars').querySelector('.now')?.classList.remove('now');
  $('bars').children[index]?.classList.add('now');
}

function showProgress() {
  const index = state.steps.length - 1;
  const step = state.steps[index];
  const calls = Math.max(step.calls ?? 0, index + 1);
  makeBars(calls);
  showBar(step, index);
  showStep(step);
  markBar(index);
  $('position').max = calls;
  $('position').value = index + 1;
  $('status').textContent = `Step ${index + 1} of ${calls}`;
  $('timeline').hidden = false;
  $('legend').hidden = false;
  for (const part of $('legend').children) part.hidden = part.id === 'blank-hint';
}

// ---- Replay: positions 1 to N of the timeline are the steps, N + 1 is the finished caption.

function showPosition() {
  const position = Number($('position').value);
  const step = state.steps[position - 1];
  markBar(position - 1);
  const text = step ? `Step ${position} of ${state.steps.length}` : summary();
  $('status').textContent = text;
  $('position').setAttribute('aria-valuetext', text);
  $('copy').hidden = Boolean(step);
  if (step) showStep(step);
  else showCaption();
  // What the legend says of blanks holds for the finished caption only.
  if (step) $('blank-hint').hidden = true;
}

function stopReplay() {
  clearTimeout(state.replay);
  state.replay = null;
  $('replay').textContent = 'Replay';
}

function replay() {
  if (state.replay) return stopReplay();
  $('replay').textContent = 'Stop';
  $('position').value = 1;
  const advance = () => {
    showPosition();
    const shown = state.steps[$('position').value - 1];
    if (!shown) return stopReplay();
    const takenBack = shown.pieces?.some((piece) => piece.taken_back);
    $('position').value = Number($('position').value) + 1;
    state.replay = setTimeout(advance, takenBack ? TAKEN_BACK_MS : REPLAY_MS);
  };
  advance();
}

function summary() {
  const { seconds } = state.answer;
  const count = state.steps.length;
  const steps = count ? `${count} ${count === 1 ? 'step' : 'steps'}` : 'Done';
  return seconds === undefined ? steps : `${steps} in ${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
}

// ---- Candidates

/** Candidates as a list, equal ones once. */
function showCandidates() {
  const counts = new Map();
  for (const candidate of state.answer.candidates ?? []) {
    const entry = counts.get(candidate.text) ?? { ...candidate, count: 0 };
    counts.set(candidate.text, { ...entry, count: entry.count + 1 });
  }
  const entries = [...counts.values()];
  $('candidates').hidden = (state.answer.candidates?.length ?? 0) < 2;
  $('candidate-list').replaceChildren(...entries.map(candidateItem));
}

function candidateItem({ text, score, count }) {
  const item = document.createElement('li');
  const button = document.createElement('button');
  const note = document.createElement('span');
  // The score is the mean log-probability of the words.
  const parts = [count > 1 ? `${count} times` : '', score <= 0 ? `${percent(Math.exp(score))} sure` : ''];
  note.className = 'note';
  note.textContent = parts.filter(Boolean).join(', ');
  button.type = 'button';
  button.append(text, ' ', note);
  button.setAttribute('aria-pressed', text === state.answer.caption);
  button.addEventListener('click', () => chooseCandidate(text, button));
  item.append(button);
  return item;
}

function chooseCandidate(text, button) {
  for (const other of $('candidate-list').querySelectorAll('button')) other.setAttribute('aria-pressed', other === button);
  stopReplay();
  state.refilled = new Set();
  state.words = wordsOfCaption(text, text === state.answer.caption ? state.answer.words : []);
  $('sentence').value = '';
  $('position').value = $('position').max;
  showPosition();
  announce(`Caption: ${text}`);
}

// ---- From photo to caption

/** Of what the model takes, what the settings say. */
function formData(template) {
  const form = new FormData();
  const takes = (option) => option in state.model.defaults;
  form.set('image', state.file, state.file.name || 'photo');
  form.set('stream', Boolean(state.model.stream));
  for (const [name, control] of [['steps', 'steps'], ['guidance', 'guidance'], ['seed', 'seed'], ['candidates', 'n']])
    if (takes(name)) form.set(control, $(control).value || state.model.defaults[name]);
  if (takes('back_refine')) {
    form.set('back_refine', $('best').checked);
    form.set('select', $('best').checked ? 'mbr' : 'first');
  }
  if (template) form.set('template', template);
  else if ($('length').value > 0) form.set('length', $('length').value);
  return form;
}

function showError(error) {
  if (error.status === 401) return askForToken();
  const text = error.message;
  $('error').textContent = text.charAt(0).toUpperCase() + text.slice(1);
}

function beginRun() {
  stopReplay();
  state.steps = [];
  $('error').textContent = '';
  $('access').hidden = true;
  $('bars').replaceChildren();
  $('position').disabled = true;
  $('replay').hidden = $('copy').hidden = $('candidates').hidden = true;
  $('cancel').hidden = false;
  $('caption').setAttribute('aria-busy', 'true');
  $('status').textContent = 'Sending the photo…';
  announce('Captioning');
}

function endRun() {
  const cancelFocused = document.activeElement === $('cancel');
  state.run = null;
  $('cancel').hidden = true;
  $('run').hidden = false;
  if (cancelFocused) $('run').focus();
  $('caption').removeAttribute('aria-busy');
  $('position').disabled = $('replay').hidden = state.steps.length === 0;
}

function showAnswer(answer, template) {
  state.answer = answer;
  state.words = wordsOfCaption(answer.caption, answer.words);
  state.refilled = new Set(template ? refilledPositions(template) : []);
  $('position').max = state.steps.length + 1;
  $('position').value = $('position').max;
  $('timeline').hidden = false;
  $('position').hidden = state.steps.length === 0;
  showPosition();
  showCandidates();
  announce(`Caption: ${answer.caption}`);
}

/** Which words of the caption stand where the sentence had blanks, if every blank was one word. */
function refilledPositions(template) {
  const given = template.split(/\s+/).filter(Boolean);
  if (given.length !== state.words.length) return [];
  return given.flatMap((text, index) => (/\[(MASK|UNK)\]/.test(text) ? [index] : []));
}

/** What a run that brought no caption leaves: its last step, or what was there before. */
function leaveUnfinished() {
  const count = state.steps.length;
  if (count) state.words = [];
  $('position').max = Math.max(count, 1);
  $('position').value = $('position').max;
  $('status').textContent = count ? `Stopped at step ${count}` : '';
}

/** Captions the photo, or fills the blanks of `template`; a run that is under way gives way. */
async function run(template = null) {
  state.run?.abort();
  const controller = new AbortController();
  state.run = controller;
  beginRun();
  try {
    state.model ?? (await loadModel());
    const { signal } = controller;
    const response = await request('/v1/captions', { method: 'POST', body: formData(template), signal });
    const streamed = response.headers.get('Content-Type')?.startsWith('text/event-stream');
    const answer = streamed ? await followSteps(response, signal) : await response.json();
    signal.throwIfAborted();
    showAnswer(answer, template);
  } catch (error) {
    if (state.run !== controller) return;
    leaveUnfinished();
    if (controller.signal.aborted) announce('Cancelled');
    else showError(error);
    state.retry = () => run(template);
  } finally {
    if (state.run === controller) endRun();
  }
}

function cancel() {
  state.run?.abort();
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

/** Why a file cannot be captioned, as far as can be told before sending it; or nothing. */
function objection(file) {
  const name = file.name || 'This file';
  if (file.size === 0) return `${name} is empty.`;
  if (file.type && !file.type.startsWith('image/')) return `${name} is not a picture, but ${file.type}.`;
  const limit = state.model?.limits?.max_body_bytes ?? Infinity;
  // The form around the photo takes some bytes, too.
  if (file.size + 4096 > limit) return `${name} has ${megabytes(file.size)}; this server takes ${megabytes(limit)} at most.`;
  return '';
}

function choosePhoto(file) {
  const problem = objection(file);
  if (problem) return showError(new Error(problem));
  URL.revokeObjectURL($('preview').src);
  state.file = file;
  $('preview').src = URL.createObjectURL(file);
  $('preview').alt = `Your photo ${file.name}`;
  $('preview').hidden = false;
  $('invitation').hidden = true;
  $('drop').classList.add('filled');
  $('choose').textContent = 'Another photo';
  $('sentence').value = '';
  run();
}

function photoAmong(files) {
  return [...files].find((file) => file.type.startsWith('image/')) ?? files[0];
}

function refill() {
  if (!state.file) return showError(new Error('Choose a photo first.'));
  const template = $('sentence').value.trim().replace(/_+/g, '[MASK]');
  if (!/\[(MASK|UNK)/.test(template))
    return showError(new Error('Blank a word first: click it, or write ___ in its place.'));
  run(template);
}

// ---- What the model can do

async function loadModel() {
  const models = await (await request('/v1/models')).json();
  state.model = models.data[0].capdiff;
  const { defaults, max_words: maxWords, fill } = state.model;
  for (const box of document.querySelectorAll('[data-option]'))
    box.hidden = box.dataset.option === 'length' ? !(fill && maxWords) : !(box.dataset.option in defaults);
  $('blanks').hidden = !fill;
  $('length').max = maxWords ?? 0;
  for (const [control, option] of [['steps', 'steps'], ['guidance', 'guidance'], ['n', 'candidates'], ['seed', 'seed']]) {
    if (!(option in defaults)) continue;
    const input = $(control);
    if (input.type === 'range') input.max = Math.max(input.max, defaults[option]);
    input.value = defaults[option];
  }
  $('best').checked = Boolean(defaults.back_refine) && defaults.select === 'mbr';
  showSettings();
}

function showSettings() {
  for (const output of $('options').querySelectorAll('output')) {
    const input = $(output.htmlFor[0]);
    const words = input.value === '1' ? '1 word' : `${input.value} words`;
    output.textContent = input.id !== 'length' ? input.value : input.value === '0' ? 'any' : words;
    input.setAttribute('aria-valuetext', output.textContent);
  }
}

function askForToken() {
  if (sessionStorage.getItem(TOKEN_KEY)) $('error').textContent = 'The server does not accept this token.';
  else $('error').textContent = 'This server asks for a token.';
  $('access').hidden = false;
  $('token').focus();
}

function useToken() {
  sessionStorage.setItem(TOKEN_KEY, $('token').value);
  $('error').textContent = '';
  $('access').hidden = true;
  const retry = state.retry ?? start;
  state.retry = null;
  retry();
}

async function start() {
  try {
    await loadModel();
  } catch (error) {
    showError(error);
  }
}

// ---- Copying

async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // The clipboard is closed to pages that come over plain HTTP from another machine.
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'unseen';
  document.body.append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  if (!copied) throw new Error('refused');
}

async function copyCaption() {
  const said = await copyText(state.words.map((word) => word.text).join(' ')).then(() => 'Copied', () => 'Not copied');
  $('copy').textContent = said;
  $('copy').focus();
  announce(said);
  setTimeout(() => ($('copy').textContent = 'Copy'), 2000);
}

// ---- What people do

function onSubmit(form, action) {
  $(form).addEventListener('submit', (event) => {
    event.preventDefault();
    action();
  });
}

function listenForPhotos() {
  $('file').addEventListener('change', () => {
    const [file] = $('file').files;
    // So that choosing the same file once more is a change as well.
    if (file) choosePhoto(file);
    $('file').value = '';
  });
  $('drop').addEventListener('click', () => $('file').click());
  document.addEventListener('paste', (event) => {
    if (event.clipboardData.files.length === 0) return;
    event.preventDefault();
    choosePhoto(photoAmong(event.clipboardData.files));
  });
  // Anywhere on the page, as a browser leaves the page for a file dropped beside the mark.
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    $('drop').classList.add('over');
  });
  document.addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) $('drop').classList.remove('over');
  });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    $('drop').classList.remove('over');
    const { files } = event.dataTransfer;
    if (files.length > 0) choosePhoto(photoAmong(files));
    else showError(new Error('That was not a file. Save the picture, then drop it here.'));
  });
}

function listen() {
  listenForPhotos();
  $('run').addEventListener('click', () => run());
  $('cancel').addEventListener('click', cancel);
  $('copy').addEventListener('click', copyCaption);
  $('replay').addEventListener('click', replay);
  $('position').addEventListener('input', () => {
    stopReplay();
    showPosition();
  });
  $('options').addEventListener('input', showSettings);
  $('best').addEventListener('change', () => {
    // Agreement needs others to agree with.
    if ($('best').checked && $('n').value === '1') $('n').value = 5;
    showSettings();
  });
  $('new-seed').addEventListener('click', () => ($('seed').value = Math.floor(Math.random() * 1e6)));
  $('sentence').addEventListener('input', () => {
    for (const word of state.words) word.blank = false;
    for (const box of $('caption').querySelectorAll('[aria-pressed="true"]')) box.setAttribute('aria-pressed', 'false');
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') cancel();
  });
  onSubmit('options', () => state.file && run());
  onSubmit('blanks', refill);
  onSubmit('access', useToken);
  $('settings').open = matchMedia('(min-width: 56rem)').matches;
}

listen();
start();
