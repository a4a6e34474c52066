// How the explorer talks to the service: queries and mutations by POST, subscriptions over graphql-transport-ws.
//
// Whatever goes wrong is turned into a GraphQL-shaped answer with a sentence in it, since that is what the
// response pane shows best.

import { getOperationAST, parse } from 'graphql';
import { createClient } from 'graphql-ws';

import { config } from './config.js';

// A feed that replays its past can bring thousands of messages at once; the pane shows the newest of them, and is
// not redrawn more often than this.
const MESSAGES_SHOWN_MAX = 50;
const REDRAW_MS = 100;

function failure(message, extensions) {
  return { errors: [extensions ? { message, extensions } : { message }] };
}

function isSubscription({ query, operationName }) {
  try {
    return getOperationAST(parse(query), operationName ?? undefined)?.operation === 'subscription';
  } catch {
    return false; // The service says better than we could what is wrong with the document.
  }
}

// The header line of a page without a credential is there to be completed; until then it is not sent.
function filled(headers = {}) {
  return Object.fromEntries(
    Object.entries(headers).filter(([name, value]) => !(/^authorization$/i.test(name) && /^\s*(Bearer)?\s*$/i.test(value))),
  );
}

function authorization(headers) {
  return Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization')?.[1];
}

async function post(request, headers) {
  let response;
  try {
    response = await fetch(config.endpoint, {
      method: 'POST',
      headers: { accept: 'application/graphql-response+json, application/json', 'content-type': 'application/json', ...headers },
      body: JSON.stringify(request),
      credentials: 'omit',
    });
  } catch (error) {
    return failure(`The service could not be reached at ${config.endpoint}: ${error.message}`);
  }

  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return failure(`The service answered HTTP ${response.status} ${response.statusText} without JSON.`, { body: text.slice(0, 2000) });
  }
}

function explain(problem) {
  if (Array.isArray(problem)) return { errors: problem };
  if (typeof problem?.code === 'number') {
    const reason = problem.reason ? `: ${problem.reason}` : problem.code === 1006 ? ': the connection was lost or refused' : '';
    return failure(`The socket was closed with code ${problem.code}${reason}.`);
  }
  return failure(problem?.message || 'The socket failed.');
}

// One socket per subscription: it carries the header of this moment and ends with the subscription, so a changed
// key can never go on living in an old socket.
async function* subscribe(request, headers) {
  const url = new URL(config.endpoint, window.location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  const token = authorization(headers);
  const client = createClient({
    url: url.href,
    lazy: true,
    lazyCloseTimeout: 0,
    retryAttempts: 0,
    connectionParams: token ? { authorization: token } : undefined,
  });

  const messages = [];
  let received = 0;
  let state = 'connecting';
  let wake = () => {};
  const show = (message) => {
    messages.unshift(message);
    messages.length = Math.min(messages.length, MESSAGES_SHOWN_MAX);
    wake();
  };
  const end = (word) => {
    state = word;
    wake();
  };

  client.on('connected', () => {
    state = 'open';
    wake();
  });
  const unsubscribe = client.subscribe(request, {
    next(message) {
      received += 1;
      show(message);
    },
    error(problem) {
      end('failed');
      show(explain(problem));
    },
    complete() {
      if (state !== 'failed') end('complete');
    },
  });

  try {
    for (;;) {
      const news = new Promise((resolve) => {
        wake = resolve;
      });
      const ended = state === 'complete' || state === 'failed';
      yield { stream: state, received, newestFirst: [...messages] };
      if (ended) return;
      await news;
      await new Promise((resolve) => setTimeout(resolve, REDRAW_MS));
    }
  } finally {
    unsubscribe();
    client.dispose();
  }
}

export function fetcher({ query, variables, operationName }, { headers } = {}) {
  const request = { query, variables, operationName: operationName ?? undefined };
  const sent = filled(headers);
  return isSubscription(request) ? subscribe(request, sent) : post(request, sent);
}
