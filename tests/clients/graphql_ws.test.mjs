// graphql-ws, the reference client: everything over one socket.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { EXPECTED, PAY, authorization, iterate, journey, newPayment, socket } from './shop.mjs';

const connect = (options) =>
  createClient({ url: socket, webSocketImpl: WebSocket, connectionParams: { authorization }, retryAttempts: 0, ...options });

const data = ({ data, errors }) => {
  if (errors) throw new Error(errors[0].message);
  return data;
};

const subscribe = (client) => (query, variables) => iterate((sink) => client.subscribe(
  { query, variables },
  { ...sink, next: (result) => sink.next(data(result)) },
));

test('the journey, mutations included', async () => {
  const client = connect();
  const watch = subscribe(client);
  const run = async (query, variables) => {
    for await (const found of watch(query, variables)) return found;
  };
  assert.deepEqual(await journey({ run, watch }), EXPECTED);
  await client.dispose();
});

test('its own pings are answered', async () => {
  const pongs = [];
  const client = connect({ keepAlive: 50, lazy: false, on: { pong: (received) => received && pongs.push(1) } });
  await new Promise((resolve) => { setTimeout(resolve, 400); });
  assert.ok(pongs.length > 1);
  await client.dispose();
});

test('a wrong credential closes with 4403', async () => {
  const client = connect({ connectionParams: { authorization: 'Bearer wrong' }, });
  await assert.rejects(async () => {
    for await (const _ of subscribe(client)('{ __typename }')) ;
  }, (event) => event.code === 4403);
});

test('money moves once per operation here too', async () => {
  const client = connect();
  const { input } = newPayment();
  const twice = PAY.replace('pay(input: $input)', 'again: pay(input: $input) { replayed } pay(input: $input)');
  await assert.rejects(async () => {
    for await (const _ of subscribe(client)(twice, { input })) ;
  }, (errors) => errors[0].extensions.code === 'ONE_MONEY_FIELD');
  await client.dispose();
});
