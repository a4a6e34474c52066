// The merchants, and everything that can be switched while the simulator runs.

import { call } from './api.js';
import { field, h, reconcile, toast } from './dom.js';
import { copy, label as labelled, words } from './format.js';

const ADDRESSES = [
  ['result_url', 'Result URL', 'Where callbacks go.'],
  ['success_url', 'Success URL', 'Where customers go after a payment.'],
  ['error_url', 'Error URL', 'Where customers go after a decline.'],
];

async function put(path, body, done) {
  try {
    await call('PUT', path, body);
    toast(done);
    return true;
  } catch (error) {
    toast(error.message, 'bad');
    return false;
  }
}

/** A merchant's addresses are typed as in EPoint's dashboard; private keys stay with the simulator. */
export function merchantsView() {
  const cards = h('div.cards', {});
  const element = h('div.page', {}, h('h1', {}, 'Merchants'),
    h('p.lead', {}, 'What a real merchant would type into EPoint’s dashboard. Private keys are not shown.'), cards);
  return { element, update: (about) => reconcile(cards, about.merchants, (one) => one.public_key, merchant) };
}

function merchant(one) {
  const inputs = ADDRESSES.filter(([name]) => name in one).map(([name, label, meaning]) => [name, h('input', {
    type: 'url', id: `${one.public_key}-${name}`, value: one[name] ?? '', placeholder: 'none', autocomplete: 'off',
  }), label, meaning]);
  const form = h('form', {}, inputs.map(([name, input, label, meaning]) =>
    field(label, input, meaning)),
  h('div.row', {}, h('button', { type: 'submit' }, 'Save')));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    put(`/merchants/${one.public_key}`, Object.fromEntries(inputs.map(([name, input]) => [name, input.value.trim() || null])), 'Saved.');
  });
  const switches = one.features.map(({ name, granted }) => {
    const input = h('input.switch', { type: 'checkbox', role: 'switch', id: `${one.public_key}-grant-${name}`, checked: granted });
    input.addEventListener('change', async () => {
      const names = one.features.filter((feature) => (feature.name === name ? input.checked : feature.granted)).map((feature) => feature.name);
      if (!await put(`/merchants/${one.public_key}`, { granted: names }, `${name}: ${input.checked ? 'granted' : 'not granted'}`)) {
        input.checked = granted;
      }
    });
    return h('label.setting', { for: input.id }, h('span', {}, name), input);
  });
  return h('article.card', { 'aria-label': one.public_key }, h('h2.mono', {}, one.public_key, copy(one.public_key, 'the public key')),
    form, switches.length > 0 && h('div.grants', {}, h('h3', {}, 'Granted by EPoint'), switches));
}

/** Flags, numbers and words; each is changed at once, for everything that follows. */
export function settingsView() {
  const groups = { callback: h('div.settings', {}), switches: h('div.settings', {}) };
  const cards = h('dl.facts-list', {});
  const counts = h('dl.facts-list', {});
  const element = h('div.page', {}, h('h1', {}, 'Settings'), h('p.lead', {}, 'Changed at once, until the simulator stops.'),
    h('div.columns', {},
      h('section.card', {}, h('h2', {}, 'All callbacks'), groups.callback),
      h('section.card', {}, h('h2', {}, 'Where EPoint’s documents disagree'), groups.switches),
      h('section.card', {}, h('h2', {}, 'Test cards'), cards,
        h('p.soft', {}, 'Any other number: its last three digits are the bank’s answer, 000 approves.')),
      h('section.card', {}, h('h2', {}, 'Requests so far'), counts)));
  return {
    element,
    update(about) {
      for (const [group, box] of Object.entries(groups)) {
        reconcile(box, about[group], (one) => one.name, (one) => setting(group, one));
      }
      cards.replaceChildren(...about.test_cards.flatMap((card) => [h('dt.mono', {}, card.number), h('dd', {}, card.meaning)]));
      const rows = Object.entries(about.requests).flatMap(([name, count]) => [h('dt', {}, words(name)), h('dd', {}, String(count))]);
      counts.replaceChildren(...(rows.length ? rows : [h('dt', {}, 'None yet'), h('dd')]));
    },
  };
}

function setting(group, one) {
  const id = `${group}-${one.name}`;
  const change = async (value, reset) => {
    if (!await put('/settings', { [group]: { [one.name]: value } }, `${labelled(one.name)}: ${value}`)) reset();
  };
  let input;
  if (one.kind === 'flag') {
    input = h('input.switch', { type: 'checkbox', role: 'switch', id, checked: one.value });
    input.addEventListener('change', () => change(input.checked, () => { input.checked = one.value; }));
  } else if (one.kind === 'choice') {
    input = h('select', { id }, one.choices.map((word) => h('option', { value: word, selected: word === one.value }, words(word))));
    input.addEventListener('change', () => change(input.value, () => { input.value = one.value; }));
  } else {
    input = h('input', { id, inputmode: 'decimal', size: '7', value: String(one.value), autocomplete: 'off' });
    input.addEventListener('change', () => change(Number(input.value.replace(',', '.')), () => { input.value = String(one.value); }));
  }
  const changed = one.value !== one.default;
  return h('label.setting', { for: id }, h('span', {}, labelled(one.name), changed && h('span.changed', { title: `Default: ${one.default}` }, 'changed')), input);
}
