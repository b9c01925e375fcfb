// How photos come to the page: chosen, pasted or dropped.

import { $ } from './drawing.js';

function photoAmong(files) {
  return [...files].find((file) => file.type.startsWith('image/')) ?? files[0];
}

/** Calls `take` with a photo that is chosen, pasted or dropped, and `refuse` with an error. */
export function listenForPhotos(take, refuse) {
  $('file').addEventListener('change', () => {
    const [file] = $('file').files;
    // So that choosing the same file once more is a change as well.
    if (file) take(file);
    $('file').value = '';
  });
  $('drop').addEventListener('click', () => $('file').click());
  document.addEventListener('paste', (event) => {
    if (event.clipboardData.files.length === 0) return;
    event.preventDefault();
    take(photoAmong(event.clipboardData.files));
  });
  // Anywhere on the page, as a browser leaves the page for a file dropped beside the mark.
  document.addEventListener('dragover', (event) => {
    if (event.target === $('sentence')) return;
    event.preventDefault();
    $('drop').classList.add('over');
  });
  document.addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) $('drop').classList.remove('over');
  });
  document.addEventListener('drop', (event) => {
    const { files } = event.dataTransfer;
    $('drop').classList.remove('over');
    if (files.length === 0 && event.target === $('sentence')) return;
    event.preventDefault();
    if (files.length > 0) take(photoAmong(files));
    else refuse(new Error('That was not a file. Save the picture, then drop it here.'));
  });
}
