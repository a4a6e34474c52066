// What the page was told by the service, through the data attributes of its root element.

const root = document.getElementById('explorer');

function json(text, fallback) {
  return text ? JSON.parse(text) : fallback;
}

export const config = Object.freeze({
  root,
  endpoint: root.dataset.endpoint || '/graphql',
  // Only a sandbox brings a credential along. Elsewhere the reader completes the line.
  headers: JSON.stringify(json(root.dataset.headers, { Authorization: 'Bearer ' }), null, 2),
  tabs: json(root.dataset.tabs, []),
  sandbox: root.dataset.sandbox === 'true',
});
