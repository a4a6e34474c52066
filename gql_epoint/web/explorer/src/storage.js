// Local storage under a prefix of our own, into which no header is ever written.
//
// GraphiQL's own prefix is shared by every GraphiQL on the same origin: on localhost, tabs of another project would
// show up here. And its history plugin stores the headers of each request, secret keys included, even when
// `shouldPersistHeaders` is off, so headers are taken out here, where nothing gets around it.

import { config } from './config.js';

const PREFIX = 'gql-epoint/';
const TABS = 'graphiql:tabState';
const HEADERS = 'graphiql:headers';
const HISTORY = new Set(['graphiql:queries', 'graphiql:favorites']);
const WITH_HEADERS = new Set([TABS, ...HISTORY]);

function replaceHeaders(text, headers) {
  return JSON.stringify(JSON.parse(text, (key, value) => (key === 'headers' ? headers : value)));
}

function ownKeys() {
  return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
}

export const storage = {
  get length() {
    return ownKeys().length;
  },

  getItem(key) {
    const text = localStorage.getItem(PREFIX + key);
    // An entry of the history puts its headers into the editor, so it gets the page's own instead of none.
    return text && HISTORY.has(key) ? replaceHeaders(text, config.headers) : text;
  },

  setItem(key, value) {
    if (key === HEADERS) return;
    localStorage.setItem(PREFIX + key, WITH_HEADERS.has(key) ? replaceHeaders(value, null) : value);
  },

  removeItem(key) {
    localStorage.removeItem(PREFIX + key);
  },

  clear() {
    for (const key of ownKeys()) localStorage.removeItem(key);
  },
};

// GraphiQL 5 opens the first of its default tabs without its variables. It takes them from here.
export function seedFirstTab([tab]) {
  if (!tab || storage.getItem(TABS)) return;
  storage.setItem('graphiql:query', tab.query);
  if (tab.variables) storage.setItem('graphiql:variables', tab.variables);
}

export function forgetTabs() {
  for (const name of ['tabState', 'query', 'variables', 'operationName']) storage.removeItem(`graphiql:${name}`);
}
