// From the pieces of a model's vocabulary to words, and back to a sentence.

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
export function wordsOfStep(step) {
  const words = joinPieces(step.pieces ?? step.text.split(' ').map((text) => ({ text, confidence: 0 })));
  const first = words.findIndex((word) => !word.special);
  const last = words.findLastIndex((word) => !word.special);
  return first < 0 ? [] : words.slice(first, last + 1);
}

/** The words of a finished caption, with the confidence of the pieces that spell them, where there are such. */
export function wordsOfCaption(caption, pieces = []) {
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

export const percent = (share) => `${Math.round(share * 100)} %`;

/** A caption's word less the punctuation around it, which stays when the word is blanked. */
export const bareWord = (text) => text.match(/^([^\p{L}\p{N}]*)(.*?)([^\p{L}\p{N}]*)$/u);

/** How certain the words of a step are, on average. */
export function averageConfidence(step) {
  const words = wordsOfStep(step).filter((word) => !word.special);
  return words.reduce((sum, word) => sum + word.confidence, 0) / Math.max(words.length, 1);
}

/** Whether Back&Refine takes words of this step back. */
export function takesBack(step) {
  return wordsOfStep(step).some((word) => word.takenBack && !word.special);
}
