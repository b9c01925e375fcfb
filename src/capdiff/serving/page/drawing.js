// What is drawn the same way whatever the page is doing: words, steps and the bars of the timeline.

import { averageConfidence, percent, takesBack, wordsOfStep } from './words.js';

export const $ = (id) => document.getElementById(id);

/** Tells screen readers. */
export function announce(text) {
  $('announcer').textContent = text;
}

/** A box of the words' row, made or taken over from the step before, so that changes can be smooth. */
function stepBox(container, index) {
  let box = container.children[index];
  if (box?.tagName !== 'SPAN') {
    box = document.createElement('span');
    if (container.children[index]) container.children[index].replaceWith(box);
    else container.append(box);
  }
  return box;
}

/** The words of a step, whose boxes stay from one step to the next. */
export function showStep(step) {
  const container = $('caption');
  const words = wordsOfStep(step);
  words.forEach((word, index) => {
    const box = stepBox(container, index);
    box.className = 'word';
    box.classList.toggle('special', word.special);
    box.classList.toggle('taken-back', word.takenBack && !word.special);
    box.textContent = word.special ? '·' : word.text;
    box.title = word.special ? 'no word' : `${percent(word.confidence)} sure${word.takenBack ? ', taken back' : ''}`;
    box.style.setProperty('--confidence', word.confidence);
  });
  while (container.children.length > words.length) container.lastChild.remove();
}

export const certainty = (word) => (word.confidence === undefined ? '' : `${percent(word.confidence)} sure`);

/** A word of a finished caption. */
export function captionWord(tag, word, refilled) {
  const box = document.createElement(tag);
  box.className = 'word';
  box.classList.toggle('refilled', refilled);
  box.textContent = word.text;
  box.title = certainty(word);
  box.style.setProperty('--confidence', word.confidence ?? 0);
  return box;
}

/** Room for the bars of `count` steps. */
export function makeBars(count) {
  $('bars').replaceChildren(...Array.from({ length: count }, () => document.createElement('span')));
}

export function showBar(step, index) {
  const bar = $('bars').children[index];
  bar.style.setProperty('--confidence', averageConfidence(step));
  bar.className = 'reached';
  bar.classList.toggle('taken-back', takesBack(step));
}

export function markBar(index) {
  $('bars').querySelector('.now')?.classList.remove('now');
  $('bars').children[index]?.classList.add('now');
}
