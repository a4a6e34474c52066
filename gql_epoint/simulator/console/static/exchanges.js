// Requests with their answers, and callbacks with their deliveries.

import { h } from './dom.js';
import { badge, copy, duration, json, raw, time } from './format.js';

const VERDICTS = {
  valid: ['signature valid', 'success'],
  invalid: ['signature invalid', 'failed'],
  missing: ['not signed', 'new'],
  unknown_merchant: ['unknown merchant', 'failed'],
};

/** One request and its answer; the line is always there, the rest unfolds. */
export function exchange(one) {
  const waiting = one.http_status === null && one.duration_ms === null;
  const status = one.http_status ?? (waiting ? 'waiting' : 'no answer');
  const word = one.reply_decoded ? wordOf(one.reply) : null;
  const kind = one.http_status === null ? (waiting ? 'new' : 'failed') : one.http_status < 400 ? 'plain' : 'failed';
  return h('details.entry', { 'data-part': `exchange-${one.number}` },
    h('summary', {},
      h('span.verb', {}, one.method), h('span.path', {}, /^\/(pay|widget)\//.test(one.path) ? 'customer’s page' : one.path),
      h('span.facts', {},
        one.signature && badge(...VERDICTS[one.signature]),
        badge(String(status), kind), word && h('span.word', {}, word),
        h('span.soft', {}, duration(one.duration_ms)), time(one.at))),
    h('div.panes', {},
      h('section', {}, h('h4', {}, 'Request'),
        one.decoded ? json(one.decoded) : null,
        h('details.more', { open: !one.decoded, 'data-part': `sent-${one.number}` },
          h('summary', {}, 'As sent', h('span.soft', {}, one.content_type)), raw(one.request, 'the request'))),
      h('section', {}, h('h4', {}, 'Answer'),
        one.reply_decoded ? json(one.reply_decoded) : h('p.soft', {}, waiting ? 'Not yet.' : one.reply ? 'Not JSON.' : answerless(one)),
        one.reply && h('details.more', { open: !one.reply_decoded, 'data-part': `reply-${one.number}` },
          h('summary', {}, 'As sent', h('span.soft', {}, `${one.reply.length} characters`)), raw(one.reply, 'the answer')))));
}

function answerless(one) {
  return one.http_status === null ? 'The connection was closed without an answer.' : 'No body.';
}

function wordOf(text) {
  try {
    return JSON.parse(text).status ?? null;
  } catch {
    return null;
  }
}

/** One copy of a callback; `act(number, 'send' | 'drop')` does something about one that waits. */
export function callback(one, act) {
  const last = one.attempts.at(-1);
  return h('article.entry.callback', { 'data-callback': one.number },
    h('div.head', {},
      badge(one.state), h('span.soft', {}, `#${one.number}`),
      h('span.facts', {},
        badge(one.signed ? 'signature valid' : 'signature spoilt', one.signed ? 'success' : 'failed'),
        badge(one.encoding, 'plain'),
        last && h('span.word', {}, last.http_status ?? last.error), time(one.at))),
    one.state === 'waiting' && h('div.row', {},
      h('button.small', { type: 'button', onclick: () => act(one.number, 'send') }, 'Send now'),
      h('button.small.quiet', { type: 'button', onclick: () => act(one.number, 'drop') }, 'Drop it')),
    one.attempts.length > 0 && h('div.scroll', {}, h('table', {},
      h('thead', {}, h('tr', {}, ...['', 'Time', 'HTTP', 'Took', 'The shop’s answer'].map((name) => h('th', {}, name)))),
      h('tbody', {}, one.attempts.map((attempt, place) => h('tr', {},
        h('td', {}, String(place + 1)), h('td', {}, time(attempt.at)),
        h('td', {}, badge(String(attempt.http_status ?? attempt.error), attempt.http_status === 200 ? 'success' : 'failed')),
        h('td', {}, duration(attempt.duration_ms)), h('td.mono', {}, attempt.reply ?? '')))))),
    h('details.more', { 'data-part': `body-${one.number}` }, h('summary', {}, 'Body'), json(one.decoded)),
    one.data && h('details.more', { 'data-part': `sealed-${one.number}` }, h('summary', {}, 'As sent'),
      h('dl.facts-list', {},
        h('dt', {}, 'data'), h('dd', {}, raw(one.data, 'the data')),
        h('dt', {}, 'signature'), h('dd', {}, h('code', {}, one.signature), ' ', copy(one.signature, 'the signature')))));
}
