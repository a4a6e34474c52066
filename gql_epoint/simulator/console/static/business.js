// Transfers to businesses, invoices, what EPoint would have sent, and what is held.

import { button, send } from './actions.js';
import { call } from './api.js';
import { field, h, reconcile, toast } from './dom.js';
import { exchange } from './exchanges.js';
import { badge, copy, duration, money, time } from './format.js';
import { row } from './transactions.js';

const TRUTH = 'the truth';
const PATHS = /^\/api\/1\/(b2b|invoices)\//;

/** Whether a request is about transfers or invoices. */
export function isBusiness(one) {
  return PATHS.test(one.path);
}

/** Build the view once; `update` fills it with the answers of /_control/business and /_control/transactions. */
export function businessView() {
  const transfers = listed('Transfers', 'transfer', (one) => one.order_id, transfer, 'No transfers yet. Start one with transferToBusiness.');
  const invoices = listed('Invoices', 'invoice', (one) => one.id, invoice, 'No invoices yet. Make one with createInvoice.');
  const outbox = h('div.messages', {});
  const nothing = h('p.soft', {}, 'Nothing has been sent.');
  const holds = h('ol.rows.card', {});
  const free = h('p.soft', {}, 'Nothing is held. A customer pays the page of preauthorize, and then it is here.');
  const said = h('div.entries', {});
  const silence = h('p.soft', {}, 'None that are remembered about transfers and invoices.');
  const pace = h('input.switch', { type: 'checkbox', role: 'switch', id: 'by-itself' });
  pace.addEventListener('change', () => decideByItself(pace));
  const element = h('div.page', {}, h('h1', {}, 'Business'),
    h('p.lead', {}, 'Transfers to companies, invoices with the messages that would have gone out, and what is held on customers’ cards.'),
    h('label.setting.pace', { for: 'by-itself' }, h('span', {}, 'The bank decides transfers by itself'), pace),
    transfers.element, invoices.element,
    h('section.group', { 'aria-label': 'Outbox' }, h('h2', {}, 'Outbox'), outbox, nothing),
    h('section.group', { 'aria-label': 'Holds' }, h('h2', {}, 'Holds'), holds, free),
    h('section.group', { 'aria-label': 'Requests' }, h('h2', {}, 'Requests and answers'), said, silence));
  return {
    element,
    update(shown, { transactions, loose }) {
      const asked = loose.filter(isBusiness);
      reconcile(said, asked, (one) => one.number, exchange);
      silence.hidden = asked.length > 0;
      const held = transactions.filter((one) => one.status === 'held');
      reconcile(holds, held.map((one) => ({ ...one, selected: false })), (one) => one.transaction, row);
      holds.hidden = held.length === 0;
      free.hidden = held.length > 0;
      pace.checked = shown.transfer_step_s !== null;
      transfers.update(shown.transfers);
      invoices.update(shown.invoices);
      reconcile(outbox, shown.outbox.map((one, place) => ({ ...one, place: shown.outbox.length - place })), (one) => one.place, message);
      nothing.hidden = shown.outbox.length > 0;
    },
  };
}

async function decideByItself(pace) {
  try {
    await call('PUT', '/settings', { switches: { transfer_step_s: pace.checked ? 0.5 : null } });
    toast(pace.checked ? 'The bank decides by itself.' : 'Transfers wait for you.');
  } catch (error) {
    pace.checked = !pace.checked;
    toast(error.message, 'bad');
  }
}

// A card is made once and then filled: what somebody types into it stays, whatever happens meanwhile.
function listed(title, kind, keyOf, make, nothing) {
  const cards = h('div.cards.wide', {});
  const note = h('p.soft', {}, nothing);
  const fill = new Map();
  return {
    element: h('section.group', { 'aria-label': title }, h('h2', {}, title), cards, note),
    update(rows) {
      reconcile(cards, rows.map((one) => ({ key: keyOf(one) })), (one) => one.key, ({ key }) => {
        const made = make(rows.find((one) => keyOf(one) === key));
        fill.set(key, made.update);
        return h(`article.card.${kind}`, { 'aria-label': String(key) }, made.parts);
      });
      for (const one of rows) fill.get(keyOf(one))(one);
      note.hidden = rows.length > 0;
    },
  };
}

function invoice(first) {
  const head = h('div', {});
  const acts = h('div', {});
  const settle = (state, done) => send(`/invoices/${first.id}/settle`, { state }, done);
  return {
    parts: [head, acts],
    update(one) {
      reconcile(head, [one], (row) => row.id, invoiceFacts);
      reconcile(acts, [{ state: one.state }], (row) => row.state, ({ state }) => h('div.row', {},
        state !== 'paid' && button('Pay', () => settle('paid', 'Paid.'), 'good'),
        state !== 'canceled' && button('Cancel', () => settle('canceled', 'Canceled in the cabinet.'), 'bad'),
        state !== 'waiting_for_payment' && button('Open again', () => settle('waiting_for_payment', 'It waits for its payment.'), 'quiet')));
    },
  };
}

function invoiceFacts(one) {
  return h('div', {}, top(money(one.sum, 'AZN'), one.state, one.state === 'waiting_for_payment' &&
    h('a.button.quiet', { href: one.page, target: '_blank', rel: 'noopener' }, 'Open the customer’s page')),
  facts([
    ['Invoice', String(one.id), true], ['Order', one.merchant_order_id, true], ['Merchant', one.merchant, true], ['For', one.description],
    ['Customer', [one.name, one.phone, one.email].filter(Boolean).join(', ')], ['Period', `${one.period_from} – ${one.period_to}`],
    ['Images', one.images.map((image) => `${image.name} (${image.size} bytes)`).join(', ')],
    ['Sent', one.sent.map((sent) => `${sent.channel} to ${sent.to}`).join(', ')],
  ], one.at));
}

function transfer(first) {
  const head = h('div', {});
  const acts = h('div', {});
  const attempts = h('div', {});
  const way = webhookForm(first.order_id);
  const path = `/transfers/${encodeURIComponent(first.order_id)}`;
  const settle = (state, done) => send(`${path}/settle`, { state, callback: way.read() }, done);
  return {
    parts: [head, acts, first.has_webhook && way.element, attempts],
    update(one) {
      const decided = one.state === 'SUCCESS' || one.state === 'FAILED';
      reconcile(head, [one], (row) => row.order_id, transferFacts);
      reconcile(acts, [{ state: one.state }], (row) => row.state, ({ state }) => h('div.row', {},
        !decided && button('Accept', () => settle('SUCCESS', 'The bank carried it out.'), 'good'),
        !decided && button('Reject', () => settle('FAILED', 'The bank rejected it.'), 'bad'),
        state === 'PENDING' && button('Process', () => settle('PROCESSING', 'The bank works on it.'), 'quiet'),
        decided && one.has_webhook && button('Send webhook', () => send(`${path}/webhook`, { callback: way.read() }, 'The webhook is on its way.'))));
      reconcile(attempts, one.webhook_attempts.length ? [one.webhook_attempts] : [], () => 'attempts', deliveries);
    },
  };
}

function transferFacts(one) {
  return h('div', {}, top(money(one.amount, 'AZN'), one.state), facts([
    ['Order', one.order_id, true], ['Merchant', one.merchant, true], ['To', one.name], ['IBAN', one.iban, true], ['Batch', one.bulk_id, true],
    ['Webhook', one.has_webhook ? null : 'nobody asked for one'],
  ], one.at));
}

function webhookForm(order) {
  const input = (name, attributes) => h('input', { id: `${name}-${order}`, autocomplete: 'off', ...attributes });
  const copies = input('copies', { inputmode: 'numeric', value: '1' });
  const late = input('late', { inputmode: 'decimal', value: '0' });
  const says = h('select', { id: `says-${order}` }, [TRUTH, 'success', 'failed'].map((word) => h('option', { value: word }, word)));
  const amount = input('says-amount', { inputmode: 'decimal', placeholder: TRUTH });
  const lost = input('lost', { type: 'checkbox' });
  const read = () => ({
    ...(copies.value.trim() !== '1' && { copies: Number(copies.value) }),
    ...(Number(late.value.replace(',', '.')) && { delay_s: Number(late.value.replace(',', '.')) }),
    ...(says.value !== TRUTH && { fields: { status: says.value } }),
    ...(amount.value.trim() && { amount: amount.value.trim() }),
    ...(lost.checked && { drop: true }),
  });
  return {
    element: h('details.more', {}, h('summary', {}, 'The unsigned webhook'), h('div.grid', {},
      field('Copies', copies), field('Seconds late', late), field('Says', says), field('Says amount', amount),
      h('label.check', { for: lost.id }, lost, h('span', {}, 'Lost on the way')))),
    read,
  };
}

function deliveries(attempts) {
  return h('div.scroll', {}, h('table', {},
    h('thead', {}, h('tr', {}, ...['Webhook', 'HTTP', 'Took'].map((name) => h('th', {}, name)))),
    h('tbody', {}, attempts.map((attempt) => h('tr', {}, h('td', {}, time(attempt.at)),
      h('td', {}, badge(String(attempt.http_status ?? attempt.error), attempt.http_status === 200 ? 'success' : 'failed')),
      h('td', {}, duration(attempt.duration_ms)))))));
}

function message(one) {
  return h('article.entry.callback', {}, h('div.head', {}, badge(one.channel, 'plain'), h('span.mono', {}, one.to),
    h('span.facts', {}, h('span.soft', {}, `invoice ${one.invoice}`), time(one.at))),
  h('p.link', {}, h('a.mono', { href: one.link, target: '_blank', rel: 'noopener' }, one.link)));
}

function top(title, state, more) {
  return h('div.top', {}, h('h3', {}, title), badge(state.toLowerCase()), more);
}

function facts(rows, at) {
  return h('dl.facts-list', {}, rows.filter(([, value]) => value).flatMap(([name, value, mono]) => [h('dt', {}, name),
    h(mono ? 'dd.mono' : 'dd', {}, value, name === 'Order' && copy(value, 'order'))]), h('dt', {}, 'Made'), h('dd', {}, time(at)));
}
