// urql: queries and mutations by fetch, subscriptions by fetch as well (event streams), and over graphql-ws.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import { subscribe } from 'wonka';
import WebSocket from 'ws';
import { EXPECTED, PAY, STATUS, authorization, graphql, iterate, journey, newPayment, socket } from './shop.mjs';

const options = (extra) => ({
  url: graphql,
  fetchOptions: { headers: { authorization } },
  preferGetMethod: false,
  requestPolicy: 'network-only',
  ...extra,
});

const runWith = (client) => async (query, variables) => {
  const source = query.includes('mutation') ? client.mutation(query, variables) : client.query(query, variables);
  const { data, error } = await source.toPromise();
  if (error) throw error;
  return data;
};

const watchWith = (client) => (query, variables) => iterate((sink) => {
  let over = false;
  const { unsubscribe } = subscribe(({ data, error, hasNext }) => {
    if (over) return;
    if (error) sink.error(error);
    else if (data) sink.next(data);
    if (data?.transactionUpdated.transaction.isFinal || hasNext === false) { over = true; sink.complete(); }
  })(client.subscription(query, variables));
  return unsubscribe;
});

test('the journey with event streams by fetch', async () => {
  const client = new Client(options({ exchanges: [cacheExchange, fetchExchange], fetchSubscriptions: true }));
  assert.deepEqual(await journey({ run: runWith(client), watch: watchWith(client) }), EXPECTED);
});

test('the journey with queries by GET', async () => {
  const exchanges = [cacheExchange, fetchExchange];
  const client = new Client(options({ exchanges, fetchSubscriptions: true, preferGetMethod: 'force' }));
  assert.deepEqual(await journey({ run: runWith(client), watch: watchWith(client) }), EXPECTED);
});

test('the journey over graphql-ws', async () => {
  const ws = createClient({ url: socket, webSocketImpl: WebSocket, connectionParams: { authorization } });
  const forwardSubscription = (request) => ({
    subscribe: (sink) => ({ unsubscribe: ws.subscribe({ ...request, query: request.query ?? '' }, sink) }),
  });
  const exchanges = [cacheExchange, fetchExchange, subscriptionExchange({ forwardSubscription })];
  const client = new Client(options({ exchanges }));
  assert.deepEqual(await journey({ run: runWith(client), watch: watchWith(client) }), EXPECTED);
  await ws.dispose();
});

test('what cannot run says why', async () => {
  const client = new Client(options({ exchanges: [fetchExchange] }));
  const { input } = newPayment();
  const { error } = await client.mutation(PAY.replace('status', 'nothing'), { input }).toPromise();
  assert.match(error.graphQLErrors[0].message, /Cannot query field/);
  const found = await client.query(STATUS, { order: 'no such order' }).toPromise();
  assert.equal(found.error, undefined);
  assert.equal(found.data.transaction, null);
});
