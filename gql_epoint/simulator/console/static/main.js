// Put the console together: an address for each view, and a fresh look whenever the simulator says that it changed.

import { call, follow } from './api.js';
import { businessView, isBusiness } from './business.js';
import { h, reconcile, toast } from './dom.js';
import { exchange } from './exchanges.js';
import { merchantsView, settingsView } from './settings.js';
import { transactionsView } from './transactions.js';

const main = document.getElementById('main');
const views = { transactions: transactionsView(), business: businessView(), others: othersView(), merchants: merchantsView(), settings: settingsView() };
let place = where();
let about = null;
let looking = null;
let again = false;

function where() {
  const [, tab, name] = location.hash.split('/');
  return { tab: tab in views ? tab : 'transactions', name: name ? decodeURIComponent(name) : null };
}

function othersView() {
  const entries = h('div.entries', {});
  const nothing = h('p.empty', {}, 'None. Every request so far belongs to a transaction.');
  const element = h('div.page', {}, h('h1', {}, 'Other requests'),
    h('p.lead', {}, 'Those that belong to no transaction: bad signatures, unknown merchants, refused fields, questions about nothing.'), entries, nothing);
  return {
    element,
    update(list) {
      const loose = list.loose.filter((one) => !isBusiness(one));
      reconcile(entries, loose, (one) => one.number, exchange);
      nothing.hidden = loose.length > 0;
      const count = document.getElementById('others-count');
      count.hidden = loose.length === 0;
      count.textContent = String(loose.length);
    },
  };
}

/** Look at everything that is on the screen; looks that overlap become one more. */
async function look() {
  if (looking) {
    again = true;
    return;
  }
  looking = once();
  try {
    await looking;
  } catch (error) {
    toast(error.message, 'bad');
  } finally {
    looking = null;
  }
  if (again) {
    again = false;
    look();
  }
}

async function once() {
  const { tab, name } = place;
  const [list, shown, business] = await Promise.all([
    call('GET', '/transactions'),
    tab === 'transactions' && name ? call('GET', `/transactions/${encodeURIComponent(name)}`).catch(() => null) : null,
    tab === 'business' ? call('GET', '/business') : null,
    about === null || tab === 'merchants' || tab === 'settings' ? call('GET', '/console').then((answer) => { about = answer; }) : null,
  ]);
  if (place.tab !== tab || place.name !== name) {
    again = true;
    return;
  }
  views.transactions.update(list);
  views.others.update(list);
  if (business) views.business.update(business, list);
  views.merchants.update(about);
  views.settings.update(about);
  if (tab === 'transactions') views.transactions.show(name, shown, about);
}

function turn() {
  const next = where();
  const moved = next.tab !== place.tab || next.name !== place.name;
  place = next;
  if (main.firstElementChild !== views[place.tab].element) main.replaceChildren(views[place.tab].element);
  for (const link of document.querySelectorAll('[data-tab]')) {
    if (link.dataset.tab === place.tab) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${place.name ?? place.tab.charAt(0).toUpperCase() + place.tab.slice(1)} · EPoint simulator`;
  if (moved) {
    window.scrollTo(0, 0);
    document.querySelector('.detail')?.scrollTo(0, 0);
  }
  look();
}

window.addEventListener('hashchange', turn);
turn();
follow(() => look(), (state) => {
  const live = document.getElementById('live');
  live.dataset.state = state;
  live.textContent = { live: 'live', away: 'not connected' }[state];
});
