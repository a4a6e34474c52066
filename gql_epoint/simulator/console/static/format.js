// How values look: money, times, names, JSON.

import { h } from './dom.js';

export function money(amount, currency) {
  return amount === null || amount === undefined ? '' : `${Number(amount).toFixed(2)} ${currency ?? ''}`.trim();
}

export function time(iso) {
  const at = new Date(iso);
  const pad = (number, length = 2) => String(number).padStart(length, '0');
  const clock = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
  const today = at.toDateString() === new Date().toDateString();
  const date = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  return h('time', { datetime: iso, title: at.toString() }, today ? clock : `${date} ${clock.slice(0, 8)}`);
}

/** `pay_and_save_card` as "pay and save card". */
export function words(name) {
  return name.replaceAll('_', ' ');
}

/** A setting's name as people say it; its unit is the last letter. */
export function label(name) {
  return name.endsWith('_s') ? `${words(name.slice(0, -2))} (s)` : words(name);
}

export function badge(word, kind = word) {
  return h(`span.badge.is-${kind}`, {}, words(word));
}

export function duration(ms) {
  if (ms === null || ms === undefined) return '';
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*)|\b(true|false|null)\b/g;

/** JSON text with its parts coloured; every character stays as it is. */
export function json(text) {
  const block = h('pre.code', { tabindex: '0' });
  let end = 0;
  for (const match of text.matchAll(TOKENS)) {
    block.append(text.slice(end, match.index));
    const [whole, string, colon, number] = match;
    const kind = string ? (colon ? 'key' : 'string') : number ? 'number' : 'literal';
    if (colon) block.append(h('span.key', {}, string), colon);
    else block.append(h(`span.${kind}`, {}, whole));
    end = match.index + whole.length;
  }
  block.append(text.slice(end));
  return block;
}

/** Text as it was sent, which can be copied. */
export function raw(text, label) {
  return h('div.raw', {}, h('pre.code.wrap', { tabindex: '0' }, text || '(nothing)'), copy(text, label));
}

export function copy(text, label) {
  const button = h('button.copy', { type: 'button', 'aria-label': `Copy ${label}`, title: `Copy ${label}` }, 'Copy');
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'No clipboard';
    }
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
  return button;
}
