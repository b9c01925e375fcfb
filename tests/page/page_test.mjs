// The page of `capdiff serve` in headless Chromium, with the real program and the shipped model.
//
//   CAPDIFF_PROGRAM      the capdiff to start
//   CAPDIFF_PAGE_MODULES the folder with node_modules/playwright-core
//   CAPDIFF_CHROMIUM     the browser
//   CAPDIFF_SCREENSHOTS  where to leave pictures of the page, to be looked at; none without it

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const { CAPDIFF_PROGRAM, CAPDIFF_PAGE_MODULES, CAPDIFF_CHROMIUM, CAPDIFF_SCREENSHOTS } = process.env;
const SCENE = fileURLToPath(new URL('../e2e/scene.png', import.meta.url));
const DESK = { viewport: { width: 1280, height: 860 } };
const PHONE = { viewport: { width: 320, height: 640 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

function skip(reason) {
  console.log(`skipped: ${reason}`);
  process.exit(77); // what CTest takes for skipped
}

function loadPlaywright() {
  try {
    return createRequire(join(CAPDIFF_PAGE_MODULES, '/'))('playwright-core');
  } catch (error) {
    return skip(`there is no playwright-core in ${CAPDIFF_PAGE_MODULES}; ./capdiff.sh test installs it`);
  }
}

if (!existsSync(CAPDIFF_CHROMIUM ?? '')) skip('there is no Chromium');
const { chromium } = loadPlaywright();

// ---- A server, and pages that may not log errors

const servers = [];
let browser;
let server;

/** Starts `capdiff serve` on a free port, and returns its address. */
async function serve(...options) {
  const child = spawn(CAPDIFF_PROGRAM, ['serve', '--port', '0', '--threads', '1', '--deterministic', ...options], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  servers.push(child);
  return new Promise((resolve, reject) => {
    let said = '';
    child.stderr.on('data', (bytes) => {
      said += bytes;
      const address = /on (http:\S+)/.exec(said);
      if (address) resolve(address[1]);
    });
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`capdiff serve ended with ${code}: ${said}`)));
  });
}

before(async () => {
  server = await serve();
  browser = await chromium.launch({ executablePath: CAPDIFF_CHROMIUM });
});

after(async () => {
  await browser?.close();
  for (const child of servers) child.kill();
});

/**
 * A test of a page of its own. `expectedErrors` matches what may stand in the browser's console: it logs requests that
 * were refused as errors.
 */
function pageTest(name, { context: contextOptions = DESK, address = () => server, expectedErrors = /^$/ }, run) {
  test(name, async () => {
    const context = await browser.newContext(contextOptions);
    try {
      const page = await context.newPage();
      const errors = [];
      page.setDefaultTimeout(60_000);
      page.on('pageerror', (error) => errors.push(error.message));
      page.on('console', (message) => ['error', 'warning'].includes(message.type()) && errors.push(message.text()));
      await page.goto(await address());
      await run(page, context);
      assert.deepEqual(errors.filter((error) => !expectedErrors.test(error)), []);
    } finally {
      await context.close();
    }
  });
}

async function picture(page, name) {
  if (CAPDIFF_SCREENSHOTS) await page.screenshot({ path: join(CAPDIFF_SCREENSHOTS, `${name}.png`), fullPage: true });
}

const textOf = (page, selector) => page.locator(selector).textContent();
const wordsOf = (page) => page.locator('#caption .word').allTextContents();

/** Does something that starts a run, and waits for its end. */
async function finish(page, action) {
  await page.evaluate(() => (document.getElementById('announcer').textContent = ''));
  await action();
  await page.waitForFunction(() => document.getElementById('announcer').textContent.startsWith('Caption: '));
  await page.locator('#cancel').waitFor({ state: 'hidden' });
}

const caption = (page) => finish(page, () => page.setInputFiles('#file', SCENE));

async function set(page, control, value) {
  await page.locator('#settings').evaluate((settings) => (settings.open = true));
  await page.locator(control).fill(value);
}

/** Notes in `sent` which fields the page sends from now on, but for the picture. */
async function noteSentFields(page) {
  await page.evaluate(() => {
    const { fetch } = window;
    window.sent = [];
    window.fetch = (path, init) => {
      if (init?.body) window.sent.push(Object.fromEntries([...init.body].filter(([name]) => name !== 'image')));
      return fetch(path, init);
    };
  });
}

async function assertNoSidewaysScroll(page) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= window, `${content} px in a window of ${window}`);
}

// ---- What the page does

pageTest('the caption appears step by step, and is that of the command', {}, async (page) => {
  await picture(page, 'idle');
  await page.evaluate(() => {
    window.seen = new Set();
    const note = () => window.seen.add(document.getElementById('status').textContent);
    new MutationObserver(note).observe(document.getElementById('status'), { childList: true });
  });
  await caption(page);
  const steps = (await page.evaluate(() => [...window.seen])).filter((status) => /^Step \d+ of 30$/.test(status));
  assert.ok(steps.length > 1, `steps seen: ${steps}`);
  const command = ['caption', SCENE, '--threads', '1', '--deterministic'];
  const offline = execFileSync(CAPDIFF_PROGRAM, command, { encoding: 'utf8' });
  assert.equal((await wordsOf(page)).join(' '), offline.trim());
  for (const word of await page.locator('#caption .word').all())
    assert.match(await word.getAttribute('title'), /^\d+ % sure/);
  await picture(page, 'done');
});

pageTest('blanked words are found anew, the others stay', {}, async (page) => {
  await caption(page);
  const before = await wordsOf(page);
  await page.locator('button.word').nth(1).click();
  await page.locator('button.word').nth(before.length - 1).click();
  const sentence = before.map((word, index) => (index === 1 || index === before.length - 1 ? '___' : word)).join(' ');
  assert.equal(await page.inputValue('#sentence'), sentence);
  await picture(page, 'blanks');
  await finish(page, () => page.click('#blanks button'));
  const after = await wordsOf(page);
  assert.equal(after.length, before.length);
  for (let i = 0; i < before.length; ++i) {
    if (sentence.split(' ')[i] !== '___') assert.equal(after[i], before[i]);
  }
  assert.equal(await page.locator('.word.refilled').count(), 2);
});

pageTest('a sentence can be written', {}, async (page) => {
  await caption(page);
  await page.fill('#sentence', 'two ___ on the ____');
  await finish(page, () => page.press('#sentence', 'Enter'));
  assert.match((await wordsOf(page)).join(' '), /^two (?!_)\S+ on the (?!_)\S+$/);
  await page.fill('#sentence', 'no blank');
  await page.press('#sentence', 'Enter');
  assert.match(await textOf(page, '#error'), /Blank a word first/);
});

pageTest('Back&Refine strikes words out and several candidates can be chosen among', {}, async (page) => {
  await caption(page);
  await page.check('#best');
  await set(page, '#n', '6');
  // Watched from within, as a busy machine may look too late.
  await page.evaluate(() => {
    const look = () => (window.struck ||= document.querySelector('.word.taken-back')?.title);
    new MutationObserver(look).observe(document.getElementById('caption'), { subtree: true, attributes: true });
  });
  await finish(page, () => page.click('#run'));
  assert.match(await page.evaluate(() => window.struck), /^\d+ % sure, taken back$/);
  const items = page.locator('#candidate-list button');
  assert.ok((await items.count()) > 1);
  await picture(page, 'candidates');
  const other = page.locator('#candidate-list button[aria-pressed="false"]').first();
  const text = await other.evaluate((button) => button.firstChild.data);
  await other.click();
  assert.equal((await wordsOf(page)).join(' '), text);
  assert.equal(await page.locator('#candidate-list button[aria-pressed="true"]').count(), 1);
});

const ownDefaults = { address: () => serve('--candidates', '3', '--select', 'mbr', '--guidance', '2.1', '--steps', '7') };

pageTest('what nobody has changed is left to the server', ownDefaults, async (page) => {
  await noteSentFields(page);
  await caption(page);
  const shown = async () => Promise.all(['#steps', '#guidance', '#n', '#seed'].map((control) => page.inputValue(control)));
  assert.deepEqual(await shown(), ['7', '2.1', '3', '0']);
  await page.check('#best');
  await page.uncheck('#best');
  await set(page, '#guidance', '0');
  await set(page, '#seed', '1e3');
  await finish(page, () => page.click('#run'));
  await page.check('#best');
  await finish(page, () => page.click('#run'));
  const changed = { stream: 'true', guidance: '0', seed: '1000' };
  const sent = await page.evaluate(() => window.sent);
  assert.deepEqual(sent, [{ stream: 'true' }, changed, { ...changed, back_refine: 'true', select: 'mbr' }]);
});

const belowZero = { address: () => serve('--guidance', '-1.5', '--max-steps', '50', '--max-candidates', '4') };

pageTest('sliders have what the server takes', belowZero, async (page) => {
  await caption(page);
  const range = (control) => page.locator(control).evaluate(({ min, value, max }) => [min, value, max].map(Number));
  assert.deepEqual(await range('#guidance'), [-2, -1.5, 10]);
  assert.deepEqual(await range('#steps'), [1, 30, 50]);
  assert.deepEqual(await range('#n'), [1, 1, 4]);
});

pageTest('an exact length is kept', {}, async (page) => {
  await caption(page);
  await set(page, '#length', '6');
  await finish(page, () => page.click('#run'));
  assert.equal((await wordsOf(page)).length, 6);
});

pageTest('the way there can be seen again', {}, async (page) => {
  await caption(page);
  const final = await wordsOf(page);
  await page.focus('#position');
  await page.keyboard.press('Home');
  assert.equal(await textOf(page, '#status'), 'Step 1 of 30');
  assert.notDeepEqual(await wordsOf(page), final);
  await page.keyboard.press('End');
  assert.deepEqual(await wordsOf(page), final);
  await page.click('#replay');
  await page.waitForFunction(() => /^Step [2-9] of 30$/.test(document.getElementById('status').textContent));
  await page.click('#replay');
  assert.match(await textOf(page, '#status'), /^Step \d+ of 30$/);
});

pageTest('a run can be cancelled, and another one started', {}, async (page) => {
  await caption(page);
  await set(page, '#steps', '100');
  await page.evaluate(() => {
    const status = document.getElementById('status');
    const cancel = () => /^Step \d+ of 100$/.test(status.textContent) && document.getElementById('cancel').click();
    new MutationObserver(cancel).observe(status, { childList: true });
  });
  await page.click('#run');
  await page.waitForFunction(() => /^Stopped/.test(document.getElementById('status').textContent));
  await page.locator('#cancel').waitFor({ state: 'hidden' });
  assert.match(await textOf(page, '#status'), /^Stopped at step \d+$/);
  assert.equal(await textOf(page, '#error'), '');
  await set(page, '#steps', '5');
  await finish(page, () => page.click('#run'));
  assert.match(await textOf(page, '#status'), /^5 steps/);
});

pageTest('photos are dropped and pasted', {}, async (page) => {
  const send = (event) =>
    page.evaluate(([event, base64]) => {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], 'scene.png', { type: 'image/png' }));
      const options = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
      if (event === 'drop') document.getElementById('drop').dispatchEvent(new DragEvent('drop', options));
      else document.body.dispatchEvent(new ClipboardEvent('paste', options));
    }, [event, readFileSync(SCENE).toString('base64')]);
  await finish(page, () => send('drop'));
  const dropped = await wordsOf(page);
  await finish(page, () => send('paste'));
  assert.deepEqual(await wordsOf(page), dropped);
});

pageTest('the caption is copied', {}, async (page, context) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await caption(page);
  await page.click('#copy');
  await page.getByText('Copied', { exact: true }).first().waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), (await wordsOf(page)).join(' '));
});

// ---- What goes wrong

const strict = { address: () => serve('--max-body-mb', '1') };

pageTest('files that cannot be captioned are refused before they are sent', strict, async (page) => {
  const posted = [];
  page.on('request', (request) => request.method() === 'POST' && posted.push(request.url()));
  const choose = (name, mimeType, buffer) => page.setInputFiles('#file', { name, mimeType, buffer });
  await page.getByText('any', { exact: true }).waitFor(); // what the server can do is known
  await choose('notes.txt', 'text/plain', Buffer.from('not a photo'));
  assert.match(await textOf(page, '#error'), /notes\.txt is not a picture/);
  await picture(page, 'error');
  await choose('huge.png', 'image/png', Buffer.alloc(1_500_000));
  assert.match(await textOf(page, '#error'), /huge\.png has 1\.5 MB; this server takes 1\.0 MB at most/);
  await choose('empty.png', 'image/png', Buffer.alloc(0));
  assert.match(await textOf(page, '#error'), /empty\.png is empty/);
  assert.deepEqual(posted, []);
});

const REFUSED = /^Failed to load resource: the server responded with a status of 4\d\d/;

pageTest('what the server refuses is told, and another photo will do', { expectedErrors: REFUSED }, async (page) => {
  await page.setInputFiles('#file', { name: 'photo.png', mimeType: 'image/png', buffer: Buffer.from('not a photo') });
  await page.locator('#error:not(:empty)').waitFor();
  assert.match(await textOf(page, '#error'), /\S+ \S+/);
  assert.equal(await page.locator('#cancel').isVisible(), false);
  await caption(page);
  assert.equal(await textOf(page, '#error'), '');
});

pageTest('nothing of the last photo stays beside one that is refused', { expectedErrors: REFUSED }, async (page) => {
  await caption(page);
  await page.setInputFiles('#file', { name: 'photo.png', mimeType: 'image/png', buffer: Buffer.from('not a photo') });
  await page.locator('#error:not(:empty)').waitFor();
  await page.locator('#cancel').waitFor({ state: 'hidden' });
  for (const gone of ['#timeline', '#legend', '#candidates', '#copy', '#preview'])
    assert.equal(await page.locator(gone).isVisible(), false, gone);
  assert.deepEqual(await wordsOf(page), []);
  assert.equal(await page.locator('#bars span').count(), 0);
  assert.equal(await page.locator('#invitation').isVisible(), true);
  await picture(page, 'refused');
  await caption(page);
  assert.equal(await page.locator('#timeline').isVisible(), true);
});

const guarded = { address: () => serve('--token', 'open sesame'), expectedErrors: REFUSED };

pageTest('a token is asked for where one is needed', guarded, async (page) => {
  await page.locator('#access').waitFor();
  await page.fill('#token', 'wrong');
  await page.press('#token', 'Enter');
  await page.getByText('does not accept this token').waitFor();
  await page.fill('#token', 'open sesame\u200b');
  await page.press('#token', 'Enter');
  await page.getByText('This is not a token').waitFor();
  assert.equal(await page.locator('#access').isVisible(), true);
  await page.fill('#token', ' open sesame ');
  await page.press('#token', 'Enter');
  await page.locator('#access').waitFor({ state: 'hidden' });
  await caption(page);
  await page.reload();
  await caption(page);
});

pageTest('a connection that breaks off is told', {}, async (page) => {
  const step = { call: 0, calls: 3, t: 999, text: 'a', pieces: [{ text: 'a', confidence: 0.5, taken_back: false }] };
  const half = { contentType: 'text/event-stream', body: `event: step\ndata: ${JSON.stringify(step)}\n\nevent: st` };
  await page.route('**/v1/captions', (route) => route.fulfill(half));
  await page.setInputFiles('#file', SCENE);
  await page.getByText('The connection ended before the caption did.').waitFor();
  assert.equal(await textOf(page, '#status'), 'Stopped at step 1');
  await page.unroute('**/v1/captions');
  await finish(page, () => page.click('#run'));
});

pageTest('what a model cannot do is not offered', {}, async (page) => {
  const abilities = { method: 'autoregressive', fill: false, stream: false, max_words: 16 };
  const model = { ...abilities, defaults: { seed: 0, candidates: 1 }, limits: { max_body_bytes: 1e6 } };
  const answer = { caption: 'a tree', candidates: [{ text: 'a tree', score: -0.1, seed: 0 }], seconds: 0.1 };
  await page.route('**/v1/models', (route) => route.fulfill({ json: { data: [{ id: 'default', capdiff: model }] } }));
  await page.route('**/v1/captions', (route) => route.fulfill({ json: answer }));
  await page.reload();
  await caption(page);
  assert.deepEqual(await wordsOf(page), ['a', 'tree']);
  assert.equal(await page.locator('button.word').count(), 0);
  const options = page.locator('[data-option]:not([hidden])');
  const offered = await options.evaluateAll((boxes) => boxes.map((box) => box.dataset.option));
  assert.deepEqual(offered, ['length', 'candidates', 'seed']);
  for (const hidden of ['#blanks', '#position', '#replay', '#legend'])
    assert.equal(await page.locator(hidden).isVisible(), false, hidden);
});

// ---- For everybody

pageTest('the keyboard is enough', {}, async (page) => {
  const tabTo = async (selector) => {
    for (let presses = 0; presses < 60; ++presses) {
      await page.keyboard.press('Tab');
      if (await page.evaluate((selector) => document.activeElement.matches(selector), selector)) return;
    }
    assert.fail(`Tab does not come to ${selector}`);
  };
  const chooser = page.waitForEvent('filechooser');
  await tabTo('#file');
  await page.keyboard.press('Enter');
  await finish(page, async () => (await chooser).setFiles(SCENE));
  const before = await wordsOf(page);
  await tabTo('button.word:nth-child(2)');
  await page.keyboard.press('Space');
  await tabTo('#blanks button');
  await finish(page, () => page.keyboard.press('Enter'));
  assert.equal((await wordsOf(page)).length, before.length);
  await tabTo('#position');
  await page.keyboard.press('ArrowLeft');
  assert.match(await textOf(page, '#status'), /^Step 30 of 30$/);
  // Round the whole page, so nothing holds the focus.
  await tabTo('#file');
});

pageTest('focus stays on the page when a run takes away what has it', {}, async (page) => {
  await caption(page);
  for (const focused of ['#copy', '#replay', '#position', 'button.word']) {
    await page.locator(focused).first().focus();
    await finish(page, () => page.setInputFiles('#file', SCENE));
    assert.equal(await page.evaluate(() => document.activeElement.id), 'caption', focused);
  }
});

pageTest('everything that can be operated has a name', {}, async (page) => {
  await caption(page);
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll('button, input, output, [role]')].filter((element) => {
      const label = element.getAttribute('aria-label') || element.labels?.[0]?.textContent || element.textContent;
      const named = element.hasAttribute('aria-labelledby') || label.trim();
      return !named && !['alert', 'status'].includes(element.getAttribute('role'));
    }).map((element) => element.id || element.outerHTML));
  assert.deepEqual(nameless, []);
  assert.equal(await page.getAttribute('#announcer', 'aria-live'), 'polite');
});

pageTest('a phone is wide enough', { context: PHONE }, async (page) => {
  await assertNoSidewaysScroll(page);
  await caption(page);
  await set(page, '#n', '5');
  await finish(page, () => page.click('#run'));
  await assertNoSidewaysScroll(page);
  await picture(page, 'phone');
});

for (const [name, viewport] of [['upright', { width: 320, height: 568 }], ['on its side', { width: 740, height: 360 }]]) {
  pageTest(`the caption can be seen to appear on a phone ${name}`, { context: { ...PHONE, viewport } }, async (page) => {
    await caption(page);
    const { top, bottom } = await page.locator('#caption').evaluate((box) => box.getBoundingClientRect());
    assert.ok(top >= 0 && top + 60 < viewport.height, `the caption is from ${top} to ${bottom}`);
    await assertNoSidewaysScroll(page);
    await page.setInputFiles('#file', { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('text') });
    await page.getByText('notes.txt is not a picture').waitFor();
    const error = await page.locator('#error').evaluate((box) => box.getBoundingClientRect());
    assert.ok(error.top >= 0 && error.bottom <= viewport.height, `the error is from ${error.top} to ${error.bottom}`);
  });
}

pageTest('it is dark where people want it dark', { context: { ...DESK, colorScheme: 'dark' } }, async (page) => {
  const lightness = (property) =>
    page.evaluate((property) => {
      const channels = getComputedStyle(document.body)[property].match(/\d+/g).slice(0, 3).map(Number);
      return channels.reduce((sum, channel) => sum + channel) / 3;
    }, property);
  assert.ok((await lightness('backgroundColor')) < 60);
  assert.ok((await lightness('color')) > 180);
  await caption(page);
  await picture(page, 'dark');
});
