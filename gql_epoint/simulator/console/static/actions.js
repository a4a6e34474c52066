// What can be done to a transaction: the bank's answer, a refund in the cabinet, and how callbacks travel.

import { call } from './api.js';
import { field, h, toast } from './dom.js';
import { money, words } from './format.js';

const WAYS = [
  ['usual', 'Usual', null],
  ['double', 'Double', ['Copies', '2']],
  ['delay', 'Delay', ['Seconds', '5']],
  ['drop', 'Drop', null],
  ['reorder', 'Reorder', ['Held back', '2']],
];
const HINTS = {
  usual: 'At once, as the settings say.',
  double: 'Several copies at the same time.',
  delay: 'Later than the customer comes back to the shop.',
  drop: 'Lost on the way; the shop has to ask.',
  reorder: 'Held back until there are so many, then the last one first; five seconds at most.',
};

/** The form for one transaction, or null if there is nothing to do. `encodings` are the ways to write a callback. */
export function actions(shown, codes, encodings) {
  const { settle, capture, refund, resend } = shown.actions;
  if (!settle && !capture && !refund && !resend) return null;
  const way = callbackForm(encodings, shown);
  return h('section.card.actions', { 'aria-label': 'Actions' },
    settle && bank(shown, codes, way),
    capture ? heldInCabinet(shown) : refund && cabinet(shown),
    (settle || resend) && h('fieldset', {},
      h('legend', {}, settle ? 'The callback that follows' : 'Callback'),
      way.element,
      resend && h('div.row', {}, button('Resend callback', () => send(
        `/callbacks/${shown.transaction}/resend`, { callback: way.read() }, 'The callback is on its way.')))));
}

function bank(shown, codes, way) {
  const amount = h('input', { id: 'amount', inputmode: 'decimal', autocomplete: 'off', placeholder: Number(shown.amount ?? 0).toFixed(2) });
  const code = h('input', { id: 'code', list: 'codes', autocomplete: 'off', maxlength: '3', value: '116', size: '5' });
  const answer = (settled) => send(`/transactions/${shown.transaction}/settle`, {
    code: settled, callback: way.read(), ...(amount.value.trim() ? { amount: amount.value.trim() } : {}),
  }, settled === '000' ? 'The bank approved.' : `The bank declined with ${settled}.`);
  const meaning = h('span.soft.meaning', { id: 'meaning' });
  const explain = () => { meaning.textContent = codes.find((one) => one.code === code.value)?.message ?? ''; };
  code.addEventListener('input', explain);
  explain();
  return h('fieldset', {}, h('legend', {}, 'The bank’s answer'),
    shown.amount !== null && field('Amount taken', amount,
      `Ordered: ${money(shown.amount, shown.currency)}. Another one is a success that does not match.`),
    h('div.row', {},
      button('Approve', () => answer('000'), 'good'),
      h('span.joined', {}, button('Decline', () => answer(code.value.trim()), 'bad'),
        h('label.inline', { for: 'code' }, h('span.hidden', {}, 'Bank code'), code)),
      meaning),
    h('datalist', { id: 'codes' }, codes.filter((one) => one.code !== '000').map((one) => h('option', { value: one.code }, one.message))));
}

function cabinet(shown) {
  const amount = h('input', { id: 'refund', inputmode: 'decimal', autocomplete: 'off', placeholder: Number(shown.refundable).toFixed(2) });
  return h('fieldset', {}, h('legend', {}, 'EPoint’s cabinet'),
    field('Refund amount', amount, `Up to ${money(shown.refundable, shown.currency)}. No callback tells the shop.`),
    h('div.row', {}, button('Refund', () => send(`/transactions/${shown.transaction}/refund`,
      amount.value.trim() ? { amount: amount.value.trim() } : {}, 'Refunded in the cabinet.').then(() => { amount.value = ''; }))));
}

function heldInCabinet(shown) {
  const amount = h('input', { id: 'capture', inputmode: 'decimal', autocomplete: 'off', placeholder: Number(shown.amount).toFixed(2) });
  const taken = () => (amount.value.trim() ? { amount: amount.value.trim() } : {});
  return h('fieldset', {}, h('legend', {}, 'EPoint’s cabinet'),
    field('Amount to take', amount, `Held: ${money(shown.amount, shown.currency)}. No callback tells the shop.`),
    h('div.row', {},
      button('Capture', () => send(`/transactions/${shown.transaction}/capture`, taken(), 'Captured in the cabinet.')),
      button('Release', () => send(`/transactions/${shown.transaction}/refund`, {}, 'Released in the cabinet.'), 'quiet')));
}

function callbackForm(encodings, shown) {
  const counts = new Map();
  const hint = h('p.soft.hint', {}, HINTS.usual);
  const choices = WAYS.map(([name, label, parameter]) => {
    const radio = h('input', { type: 'radio', name: 'way', value: name, id: `way-${name}`, checked: name === 'usual' });
    if (parameter) counts.set(name, h('input', { id: `count-${name}`, inputmode: 'decimal', size: '3', value: parameter[1] }));
    return h('div.choice', {}, radio, h('label', { for: `way-${name}` }, label));
  });
  const parameters = WAYS.filter(([, , parameter]) => parameter).map(([name, , [label]]) =>
    h('label.field.parameter', { for: `count-${name}`, 'data-way': name, hidden: true }, h('span', {}, label), counts.get(name)));
  const encoding = h('select', { id: 'encoding' }, h('option', { value: '' }, 'As usual'),
    encodings.map((name) => h('option', { value: name }, words(name))));
  const says = h('input', { id: 'says', inputmode: 'decimal', autocomplete: 'off', placeholder: 'the truth' });
  const forged = h('input', { id: 'forged', type: 'checkbox' });
  const element = h('div.way', {},
    h('div.segments', { role: 'radiogroup', 'aria-label': 'How it travels' }, choices), parameters, hint,
    h('details.more', { 'data-part': 'shape' }, h('summary', {}, 'Shape and lies'), h('div.grid', {},
      field('Encoding', encoding),
      shown.amount !== null && field('Says amount', says),
      h('label.check', { for: 'forged' }, forged, h('span', {}, 'Forged signature')))));
  const chosen = () => element.querySelector('input[name=way]:checked').value;
  element.addEventListener('change', () => {
    hint.textContent = HINTS[chosen()];
    parameters.forEach((field) => { field.hidden = field.dataset.way !== chosen(); });
  });
  const number = (name) => Number(counts.get(name).value.replace(',', '.'));
  const read = () => ({
    ...{
      usual: () => ({}),
      double: () => ({ copies: number('double') }),
      delay: () => ({ delay_s: number('delay') }),
      drop: () => ({ drop: true }),
      reorder: () => ({ reorder: number('reorder') }),
    }[chosen()](),
    ...(encoding.value && { encoding: encoding.value }),
    ...(says.value.trim() && { amount: says.value.trim() }),
    ...(forged.checked && { bad_signature: true }),
  });
  return { element, read };
}

/** A button that rests while it acts. */
export function button(label, act, kind) {
  const element = h(kind ? `button.${kind}` : 'button', { type: 'button' }, label);
  element.addEventListener('click', async () => {
    element.disabled = true;
    try {
      await act();
    } finally {
      element.disabled = false;
    }
  });
  return element;
}

/** Do something, and say what came of it. */
export async function send(path, body, done) {
  try {
    await call('POST', path, body);
    toast(done);
  } catch (error) {
    toast(error.message, 'bad');
  }
}
