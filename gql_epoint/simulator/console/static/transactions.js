// The list of transactions, and beside it everything about one.

import { actions } from './actions.js';
import { call } from './api.js';
import { h, reconcile, toast } from './dom.js';
import { callback, exchange } from './exchanges.js';
import { badge, copy, money, time, words } from './format.js';

const STATUSES = ['new', 'success', 'failed', 'returned'];

/** Build the view once; `update` and `show` fill it. */
export function transactionsView() {
  const rows = h('ol.rows', { 'aria-label': 'Transactions' });
  const search = h('input', { type: 'search', placeholder: 'Order, transaction, card …', 'aria-label': 'Search transactions' });
  const status = h('select', { 'aria-label': 'Status' });
  const note = h('p.empty', {});
  const detail = h('section.detail', { 'aria-label': 'Transaction', 'aria-live': 'off' });
  const element = h('div.split', {},
    h('section.list', {}, h('div.filter', {}, search, status), rows, note), detail);
  let list = { transactions: [], count: 0 };
  let selected = null;
  const fill = () => {
    const wanted = search.value.trim().toLowerCase();
    const found = list.transactions.filter((one) => (!status.value || one.status === status.value) &&
      [one.transaction, one.order_id, one.card_mask, one.card_id, one.merchant, one.operation].join(' ').toLowerCase().includes(wanted));
    reconcile(rows, found.map((one) => ({ ...one, selected: one.transaction === selected })), (one) => one.transaction, row);
    note.hidden = found.length > 0;
    note.textContent = list.count ? 'Nothing matches.' : 'No transactions yet. Start a payment at the service: it appears here at once.';
  };
  search.addEventListener('input', fill);
  status.addEventListener('change', fill);
  return {
    element,
    update(next) {
      list = next;
      const known = ['', ...new Set([...STATUSES, ...list.transactions.map((one) => one.status)])];
      reconcile(status, known, (word) => word, (word) => h('option', { value: word }, word ? words(word) : 'all'));
      fill();
    },
    show(name, shown, about) {
      selected = name;
      element.classList.toggle('open', name !== null);
      fill();
      if (shown) reconcile(detail, parts(shown, about), (part) => part.part, (part) => part.render(about));
      else reconcile(detail, [{ part: 'nothing' }], (part) => part.part, () => h('p.empty', {},
        name ? 'The simulator does not know this transaction any more.' : 'Choose a transaction to see what was said about it.'));
    },
  };
}

/** One transaction in a list, which leads to everything about it. */
export function row(one) {
  return h('li', {}, h('a.item', { href: `#/transactions/${one.transaction}`, 'aria-current': one.selected ? 'true' : null },
    h('span.line', {}, h('span.title', {}, one.order_id ?? one.card_id ?? one.transaction), h('span.amount', {}, money(one.amount, one.currency) || 'card')),
    h('span.line', {}, h('span.soft', {}, words(one.operation)), dots(one.callback_states), badge(one.status)),
    h('span.line', {}, h('span.soft.mono', {}, one.transaction), h('span.soft', {}, time(one.at)))));
}

function dots(states) {
  if (!states.length) return h('span');
  const latest = states.slice(-6);
  const text = `Callbacks: ${states.map(words).join(', ')}`;
  return h('span.dots', { title: text, role: 'img', 'aria-label': text }, latest.map((state) => h(`i.dot.is-${state}`)));
}

// Each part is made anew only when what it shows has changed, so that a form keeps what somebody types into it.
function parts(shown, about) {
  const { exchanges, callbacks, actions: allowed, details, plan, callback_states, ...facts } = shown;
  const act = async (number, what) => {
    try {
      await call('POST', `/deliveries/${number}/${what}`);
      toast(what === 'send' ? 'Sent.' : 'Dropped.');
    } catch (error) {
      toast(error.message, 'bad');
    }
  };
  const part = (name, data, render) => Object.defineProperty({ part: name, data }, 'render', { value: render });
  return [
    part('head', { facts, plan, refunds: details.refunds }, () => head(facts, details, plan)),
    part('actions', { allowed, refundable: facts.refundable, name: facts.transaction }, () =>
      actions(shown, about.bank_codes, encodingsOf(about)) ?? h('div', { hidden: true })),
    part('callbacks', callbacks, () => section('Callbacks', callbacks, (one) => callback(one, act),
      facts.status === 'new' ? 'None yet: it is sent once the bank has answered.' : 'None. The answer was the result, or nobody is to be told.')),
    part('exchanges', exchanges, () => section('Requests and answers', exchanges.toReversed(), exchange,
      'None that are remembered: the simulator keeps the latest ones only, in memory.')),
  ].map((one) => Object.assign(one, { name: facts.transaction }));
}

function section(title, items, render, nothing) {
  return h('section', {}, h('h3', {}, title, h('span.count', {}, String(items.length))),
    items.length ? items.map(render) : h('p.soft', {}, nothing));
}

function head(facts, details, plan) {
  const rows = [
    ['Transaction', facts.transaction, true], ['Order', facts.order_id, true], ['Operation', words(facts.operation)],
    ['Merchant', facts.merchant, true], ['For', facts.description], ['Card', facts.card_mask, true], ['Card id', facts.card_id, true],
    ['Bank code', facts.code, true], ['RRN', details.rrn, true], ['Split', details.split_user && `${money(details.split_amount, facts.currency)} to ${details.split_user}`],
    ['Refunded', Number(facts.refunded) ? `${money(facts.refunded, facts.currency)} (${details.refunds.map((one) => one.by).join(', ')})` : null],
  ].filter(([, value]) => value);
  return h('header.card.head-card', {},
    h('a.back', { href: '#/transactions' }, '‹ Transactions'),
    h('div.top', {}, h('h2', {}, money(facts.amount, facts.currency) || 'Card registration'), badge(facts.status),
      facts.page && facts.status === 'new' && h('a.button.quiet', { href: facts.page, target: '_blank', rel: 'noopener' }, 'Open the customer’s page')),
    h('dl.facts-list', {}, rows.flatMap(([name, value, mono]) => [h('dt', {}, name),
      h(mono ? 'dd.mono' : 'dd', {}, value, ['Transaction', 'Order', 'Card id'].includes(name) && copy(value, name.toLowerCase()))]),
    h('dt', {}, 'Made'), h('dd', {}, time(facts.at))),
    plan && h('p.soft', {}, 'A plan of the control API decides about this order.'));
}

function encodingsOf(about) {
  return about.callback.find((one) => one.name === 'encoding')?.choices ?? [];
}
