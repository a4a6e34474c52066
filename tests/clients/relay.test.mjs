// Relay: its compiler takes our schema with connections and refetchable nodes, and its runtime makes the journey.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import test, { after } from 'node:test';
import relay from 'relay-runtime';
import { artifactsIn, ask, environmentOf, relayJourney, ws } from './relay_journey.mjs';
import { EXPECTED } from './shop.mjs';
import { run as tool } from './tools.mjs';

const { fetchQuery } = relay;

mkdirSync(new URL('./generated/relay/', import.meta.url), { recursive: true });
tool('relay-compiler', 'relay.config.json');
const artifact = artifactsIn('relay');

after(() => ws.dispose());

test('the journey', async () => assert.deepEqual(await relayJourney(artifact), EXPECTED));

test('a page of a connection, and the next', async () => {
  const environment = environmentOf();
  const page = await artifact('PageQuery');
  await fetchQuery(environment, page, { count: 1 }).toPromise();
  const records = environment.getStore().getSource().toJSON();
  assert.ok(Object.keys(records).some((id) => id.includes('documents_transactions')));
});

test('an object is fetched again by its id', async () => {
  const { data } = await ask({ text: '{ transactions(first: 1) { edges { node { id } } } }' });
  const { id } = data.transactions.edges[0].node;
  const again = await artifact('TransactionQuery');
  const found = await ask(again.params, { id });
  assert.equal(found.data.node.id, id);
});
