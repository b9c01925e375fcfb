// Talking to the server: requests with the token, errors in words, and streams of events.

const TOKEN_KEY = 'capdiff-token';

export const hasToken = () => sessionStorage.getItem(TOKEN_KEY) !== null;

/** For the requests to come, until the tab is closed. */
export function setToken(text) {
  const token = text.trim();
  // The header of a request has no others, and a text copied from a page may have some that are not seen.
  if (!/^[\x20-\x7e]+$/.test(token))
    throw new Error('This is not a token: it has characters other than the letters, digits and signs of ASCII.');
  sessionStorage.setItem(TOKEN_KEY, token);
}

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
  return new ServerError(message.charAt(0).toUpperCase() + message.slice(1), response.status);
}

/** The response to a request; whatever is not a success is thrown as an error that can be shown. */
export async function request(path, init = {}) {
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
export async function* serverEvents(response) {
  let text = '';
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read().catch(() => {
      throw new Error('The connection ended before the caption did.');
    });
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
