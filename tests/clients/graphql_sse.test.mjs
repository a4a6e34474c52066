// graphql-sse, the reference client, in distinct connections mode: each operation is a stream.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createClient } from 'graphql-sse';
import { EXPECTED, authorization, graphql, iterate, journey } from './shop.mjs';

const connect = (options) => createClient({ url: graphql, headers: { authorization }, retryAttempts: 0, ...options });

export const watchWith = (client) => (query, variables) => iterate((sink) => client.subscribe(
  { query, variables },
  {
    ...sink,
    next: ({ data, errors }) => (errors ? sink.error(new Error(errors[0].message)) : sink.next(data)),
  },
));

export const runWith = (client) => async (query, variables) => {
  for await (const found of watchWith(client)(query, variables)) return found;
};

test('the journey in distinct connections', async () => {
  const client = connect();
  assert.deepEqual(await journey({ run: runWith(client), watch: watchWith(client) }), EXPECTED);
  client.dispose();
});

test('what cannot run says why', async () => {
  const client = connect();
  await assert.rejects(runWith(client)('{ nothing }'), /Cannot query field/);
  client.dispose();
});

test('the journey over a single connection', async () => {
  const client = connect({ singleConnection: true });
  assert.deepEqual(await journey({ run: runWith(client), watch: watchWith(client) }), EXPECTED);
  client.dispose();
});
