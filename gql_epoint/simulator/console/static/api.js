// Speak to the control API of the simulator that served this page.

/** Send a request and return the JSON of the answer; throws an Error whose message says what is wrong. */
export async function call(method, path, body) {
  const options = { method, cache: 'no-store' };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { 'content-type': 'application/json' };
  }
  let response;
  try {
    response = await fetch(`/_control${path}`, options);
  } catch {
    throw new Error('The simulator does not answer.');
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(sentence(answer.error ?? `HTTP ${response.status}`));
  return answer;
}

/** Call `changed` with the names of transactions that have changed; null means that anything may have. */
export function follow(changed, told) {
  const source = new EventSource('/_control/live');
  let known = null;
  source.addEventListener('changed', (event) => {
    const { revision, transactions } = JSON.parse(event.data);
    const lost = known === null || transactions.length === 0;
    known = revision;
    told('live');
    changed(lost ? null : transactions);
  });
  source.addEventListener('error', () => {
    known = null;
    told('away');
    // A browser gives up on an answer that is no stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(changed, told), 2000);
  });
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (text.endsWith('.') ? '' : '.');
}
