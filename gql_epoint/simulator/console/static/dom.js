// Make elements, and keep those whose data has not changed, so that what somebody has opened stays open.

/** Make an element: h('button.quiet', { type: 'button', onclick }, 'Text', child). False and null are left out. */
export function h(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split('.');
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(' ');
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key === 'value') element.value = value;
    else element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== false && child !== null && child !== undefined));
  return element;
}

/** An input with its label, and a hint that says more to those who want it. */
export function field(label, input, hint) {
  if (hint) input.setAttribute('aria-describedby', `${input.id}-hint`);
  return h('div.field', {}, h('label', { for: input.id }, label), input, hint && h('span.soft', { id: `${input.id}-hint` }, hint));
}

const kept = new WeakMap();

/** Make the children of `parent` those of `items`, in order. Children are made anew only where their item differs. */
export function reconcile(parent, items, keyOf, render) {
  const before = kept.get(parent) ?? new Map();
  const after = new Map();
  const nodes = items.map((item) => {
    const key = String(keyOf(item));
    const text = JSON.stringify(item);
    const known = before.get(key);
    const node = known?.text === text ? known.node : replacement(known?.node, render(item));
    after.set(key, { text, node });
    return node;
  });
  kept.set(parent, after);
  // Moving what is in its place already would take its focus away.
  nodes.forEach((node, place) => {
    if (parent.children[place] !== node) parent.insertBefore(node, parent.children[place] ?? null);
  });
  while (parent.children.length > nodes.length) parent.lastElementChild.remove();
}

function replacement(old, node) {
  if (!old) return node;
  for (const was of [old, ...old.querySelectorAll('details')]) {
    if (!was.open || !was.dataset.part) continue;
    const part = `[data-part="${was.dataset.part}"]`;
    const now = node.matches(part) ? node : node.querySelector(part);
    if (now) now.open = true;
  }
  old.remove();
  return node;
}

/** Say something for a few seconds. */
export function toast(text, kind = 'good') {
  const note = h(`p.toast.${kind}`, {}, text);
  document.getElementById('toasts').append(note);
  setTimeout(() => note.remove(), kind === 'bad' ? 8000 : 3000);
}
