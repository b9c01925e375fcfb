// The page of `capdiff serve`: a photo goes to /v1/captions, and its caption is drawn as it takes shape.

import { $, announce, captionWord, certainty, makeBars, markBar, showBar, showStep } from './drawing.js';
import { listenForPhotos } from './photos.js';
import { hasToken, request, serverEvents, setToken } from './server.js';
import { bareWord, percent, takesBack, wordsOfCaption } from './words.js';

// Long enough to see what happens, however fast the model is.
const STEP_MS = 30;
const TAKEN_BACK_MS = 900;
const REPLAY_MS = 140;

// Options as the model's defaults name them, and their controls, which are called as in requests.
const CONTROLS = { steps: 'steps', guidance: 'guidance', candidates: 'n', seed: 'seed' };

const state = {
  file: null,
  model: null, // what /v1/models says that the model can do
  best: false, // whether it is at its best without being asked
  run: null, // AbortController of the request under way
  retry: null, // what the missing token kept from happening
  steps: [], // of the last caption, as the server told them
  answer: null,
  words: [], // of the caption shown: {text, confidence?, blank}
  refilled: new Set(), // which of them came out of the last blanks
  replay: null, // timer
};

// ---- The caption

function showCaption() {
  $('caption').replaceChildren(...state.words.map(wordBox));
  const rated = state.words.some((word) => word.confidence !== undefined);
  $('legend').hidden = !rated && !state.model.fill;
  for (const part of $('legend').children) part.hidden = !rated;
  $('blank-hint').hidden = !state.model.fill;
  $('copy').hidden = false;
}

/** A word of the caption, as a button where it can be blanked. */
function wordBox(word, index) {
  const refilled = state.refilled.has(index);
  if (!state.model.fill || !bareWord(word.text)[2]) return captionWord('span', word, refilled);
  const box = captionWord('button', word, refilled);
  box.type = 'button';
  box.setAttribute('aria-label', [word.text, certainty(word), refilled && 'refilled'].filter(Boolean).join(', '));
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

function showProgress() {
  const index = state.steps.length - 1;
  const step = state.steps[index];
  const calls = Math.max(step.calls ?? 0, index + 1);
  if (index === 0 || calls !== $('bars').children.length) {
    makeBars(calls);
    state.steps.forEach(showBar);
  }
  showBar(step, index);
  showStep(step);
  markBar(index);
  $('position').max = calls;
  $('position').value = index + 1;
  $('status').textContent = `Step ${index + 1} of ${calls}`;
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
    const { value, max } = $('position');
    if (value === max) return stopReplay();
    $('position').value = Number(value) + 1;
    state.replay = setTimeout(advance, takesBack(state.steps[value - 1]) ? TAKEN_BACK_MS : REPLAY_MS);
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
  $('candidates').hidden = (state.answer.candidates?.length ?? 0) < 2;
  $('candidate-list').replaceChildren(...[...counts.values()].map(candidateItem));
}

function candidateItem({ text, score, count, words }) {
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
  button.addEventListener('click', () => chooseCandidate(text, words, button));
  item.append(button);
  return item;
}

function chooseCandidate(text, pieces, button) {
  for (const other of $('candidate-list').querySelectorAll('button'))
    other.setAttribute('aria-pressed', other === button);
  stopReplay();
  state.refilled = new Set();
  state.words = wordsOfCaption(text, text === state.answer.caption ? state.answer.words : pieces);
  $('sentence').value = '';
  $('position').value = $('position').max;
  showPosition();
  announce(`Caption: ${text}`);
}

// ---- From photo to caption

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
    // From here on the caption before this one is gone.
    if (state.steps.length === 0) Object.assign(state, { answer: null, words: [] });
    state.steps.push(data);
    showProgress();
    await pause(takesBack(data) ? TAKEN_BACK_MS : STEP_MS);
  }
  throw new Error('The connection ended before the caption did.');
}

/** What is to be otherwise than the server does it unasked, of what the model takes. */
function formData(template) {
  const form = new FormData();
  form.set('image', state.file, state.file.name || 'photo');
  form.set('stream', Boolean(state.model.stream));
  for (const [option, control] of Object.entries(CONTROLS)) {
    const given = $(control).valueAsNumber; // a number may be written as 1e3
    if (option in state.model.defaults && !Number.isNaN(given) && given !== state.model.defaults[option])
      form.set(control, given);
  }
  if ('back_refine' in state.model.defaults && $('best').checked !== state.best) {
    form.set('back_refine', $('best').checked);
    form.set('select', $('best').checked ? 'mbr' : 'first');
  }
  if (template) form.set('template', template);
  else if ($('length').value > 0) form.set('length', $('length').value);
  return form;
}

function showError(error) {
  if (error.status === 401) return askForToken();
  $('error').textContent = error.message;
  $('error').scrollIntoView({ block: 'nearest' });
}

/** Focus must not be lost with what has it: a run hides or replaces all but the sentence. */
function keepFocus() {
  const focused = document.activeElement;
  if ($('result').contains(focused) && !$('blanks').contains(focused)) $('caption').focus({ preventScroll: true });
}

function beginRun() {
  stopReplay();
  keepFocus();
  state.steps = [];
  $('error').textContent = '';
  $('access').hidden = true;
  $('timeline').hidden = false;
  $('position').disabled = true;
  $('replay').hidden = $('copy').hidden = $('candidates').hidden = true;
  $('cancel').hidden = false;
  $('caption').setAttribute('aria-busy', 'true');
  $('status').textContent = 'Sending the photo…';
  $('caption').parentElement.scrollIntoView({ block: 'nearest' });
  announce('Captioning');
}

function endRun() {
  state.run = null;
  // Focus must not be lost with the button that has it.
  if (document.activeElement === $('cancel')) $('caption').focus();
  $('cancel').hidden = true;
  $('run').hidden = false;
  $('blanks').hidden = !state.model?.fill;
  $('caption').removeAttribute('aria-busy');
  $('position').disabled = $('replay').hidden = state.steps.length === 0;
}

function showAnswer(answer, template) {
  state.answer = answer;
  state.words = wordsOfCaption(answer.caption, answer.words);
  state.refilled = new Set(template ? refilledPositions(template) : []);
  showResult();
  announce(`Caption: ${answer.caption}`);
}

/** The finished caption with its timeline and the other candidates. */
function showResult() {
  makeBars(state.steps.length);
  state.steps.forEach(showBar);
  $('position').max = state.steps.length + 1;
  $('position').value = $('position').max;
  showPosition();
  showCandidates();
}

/** Which words of the caption stand where the sentence had blanks, if every blank was one word. */
function refilledPositions(template) {
  const given = template.split(/\s+/).filter(Boolean);
  if (given.length !== state.words.length) return [];
  return given.flatMap((text, index) => (/\[(MASK|UNK)\]/.test(text) ? [index] : []));
}

/** A run that brought no caption leaves the steps that it came to or, without one, what was there before. */
function leaveUnfinished(before) {
  const count = state.steps.length;
  if (count === 0 && before.answer) {
    Object.assign(state, before);
    return showResult();
  }
  $('timeline').hidden = count === 0;
  $('position').max = Math.max(count, 1);
  $('position').value = $('position').max;
  $('status').textContent = count ? `Stopped at step ${count}` : 'No caption';
}

/** Captions the photo, or fills the blanks of `template`; a run that is under way gives way. */
async function run(template = null) {
  state.run?.abort();
  const controller = new AbortController();
  const before = { steps: state.steps, answer: state.answer, words: state.words, refilled: state.refilled };
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
    leaveUnfinished(before);
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
  if (file.type && !file.type.startsWith('image/')) return `${name} is not a picture (its type is ${file.type}).`;
  const limit = state.model?.limits?.max_body_bytes ?? Infinity;
  // The form around the photo takes some bytes, too.
  if (file.size + 4096 <= limit) return '';
  return `${name} has ${megabytes(file.size)}; this server takes ${megabytes(limit)} at most.`;
}

/** Nothing that is shown belongs to another photo than the one that is seen. */
function clearResult() {
  keepFocus();
  Object.assign(state, { steps: [], answer: null, words: [], refilled: new Set() });
  $('caption').replaceChildren();
  $('bars').replaceChildren();
  $('sentence').value = '';
  $('legend').hidden = $('candidates').hidden = true;
}

function showPreview(shown) {
  $('preview').hidden = !shown;
  $('invitation').hidden = shown;
  $('drop').classList.toggle('filled', shown);
}

function choosePhoto(file) {
  const problem = objection(file);
  if (problem) return showError(new Error(problem));
  URL.revokeObjectURL($('preview').src);
  state.file = file;
  $('preview').src = URL.createObjectURL(file);
  $('preview').alt = `Your photo ${file.name}`;
  showPreview(true);
  $('choose').textContent = 'Another photo';
  $('choose').classList.remove('primary');
  clearResult();
  run();
}

function refill() {
  const template = $('sentence').value.trim().replace(/_+/g, '[MASK]');
  if (!/\[(MASK|UNK)/.test(template))
    return showError(new Error('Blank a word first: click it, or write ___ in its place.'));
  run(template);
}

// ---- What the model can do

async function loadModel() {
  const models = await (await request('/v1/models')).json();
  state.model = models.data[0].capdiff;
  const { defaults, limits, max_words: maxWords, stream } = state.model;
  for (const box of document.querySelectorAll('[data-option]'))
    box.hidden = box.dataset.option === 'length' ? !maxWords : !(box.dataset.option in defaults);
  $('bars').hidden = $('position').hidden = !stream;
  $('length').max = maxWords ?? 0;
  for (const [option, control] of Object.entries(CONTROLS))
    if (option in defaults) showDefault($(control), defaults[option], limits?.[`max_${option}`]);
  state.best = $('best').checked = Boolean(defaults.back_refine) && defaults.select === 'mbr';
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

/** Shows a default exactly, on a scale with steps as fine as it needs. */
function showDefault(input, value, limit = Infinity) {
  if (input.type === 'range') {
    const isOnScale = (step) => Math.abs(value / step - Math.round(value / step)) < 1e-9;
    input.step = [input.step || 1, 0.05, 0.01].find(isOnScale) ?? 'any';
    input.min = Math.min(input.min, Math.floor(value));
    input.max = Math.min(Math.max(input.max, Math.ceil(value)), limit);
  }
  input.value = value;
}

function askForToken() {
  $('error').textContent = hasToken() ? 'The server does not accept this token.' : 'This server asks for a token.';
  $('access').hidden = false;
  $('token').focus();
}

function useToken() {
  try {
    setToken($('token').value);
  } catch (error) {
    return showError(error);
  }
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

function listen() {
  listenForPhotos(choosePhoto, showError);
  // The browser cannot show it; whether it can be captioned the server says.
  $('preview').addEventListener('error', () => showPreview(false));
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
