// Relay with persisted documents, against a service that runs nothing but those in the manifest its compiler wrote.
import assert from 'node:assert/strict';
import { artifactsIn, ask, relayJourney, ws } from './relay_journey.mjs';
import { EXPECTED, STATUS } from './shop.mjs';

const artifact = artifactsIn('persisted');

for (const name of ['PayMutation', 'WatchSubscription', 'StatusQuery']) {
  const { params } = await artifact(name);
  assert.equal(params.text, null);
  assert.match(params.id, /^[0-9a-f]{64}$/);
}
assert.deepEqual(await relayJourney(artifact), EXPECTED);

const codeOf = async (params) => (await ask(params, { order: 'x' })).errors[0].extensions.code;
assert.equal(await codeOf({ text: STATUS }), 'DOCUMENT_NOT_TRUSTED');
assert.equal(await codeOf({ text: null, id: '0'.repeat(64) }), 'PERSISTED_DOCUMENT_NOT_FOUND');
await ws.dispose();
