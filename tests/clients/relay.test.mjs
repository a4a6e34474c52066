// Relay: its compiler takes our schema with connections and refetchable nodes, and its runtime makes the journey.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import test from 'node:test';
import { createClient } from 'graphql-ws';
import relay from 'relay-runtime';
import WebSocket from 'ws';
import { EXPECTED, PAY, STATUS, WATCH, authorization, graphql, iterate, journey, socket } from './shop.mjs';
import { run as tool } from './tools.mjs';

const { Environment, Network, Observable, RecordSource, Store, commitMutation, fetchQuery, requestSubscription } = relay;

mkdirSync(new URL('./generated/relay/', import.meta.url), { recursive: true });
tool('relay-compiler', 'relay.config.json');
const artifact = async (name) => (await import(`./generated/relay/documents${name}.graphql.js`)).default;

const ws = createClient({ url: socket, webSocketImpl: WebSocket, connectionParams: { authorization } });

async function ask({ text }, variables) {
  const headers = { authorization, accept: 'application/graphql-response+json', 'content-type': 'application/json' };
  const body = JSON.stringify({ query: text, variables });
  return (await fetch(graphql, { method: 'POST', headers, body })).json();
}

const subscribe = ({ text, name }, variables) =>
  Observable.create((sink) => ws.subscribe({ query: text, operationName: name, variables }, sink));

const environmentOf = () =>
  new Environment({ network: Network.create(ask, subscribe), store: new Store(new RecordSource()) });

test('the journey', async () => {
  const environment = environmentOf();
  const documents = {
    [PAY]: await artifact('PayMutation'),
    [WATCH]: await artifact('WatchSubscription'),
    [STATUS]: await artifact('StatusQuery'),
  };
  // Data of fragments is read where they are used; the answer itself is what the journey looks at.
  const whole = (document, variables) => ask(document.params, variables).then(({ data }) => data);
  const run = async (text, variables) => {
    if (text === STATUS) {
      await fetchQuery(environment, documents[text], variables).toPromise();
      return whole(documents[text], variables);
    }
    return new Promise((resolve, reject) => {
      commitMutation(environment, {
        mutation: documents[text],
        variables,
        onCompleted: (found, errors) => (errors ? reject(errors[0]) : resolve(found)),
        onError: reject,
      });
    });
  };
  const watch = (text, variables) => iterate((sink) => {
    const { dispose } = requestSubscription(environment, {
      subscription: documents[text],
      variables,
      onNext: ({ transactionUpdated: { transaction } }) => {
        const { status } = environment.getStore().getSource().get(transaction.__id);
        sink.next({ transactionUpdated: { transaction: { status } } });
      },
      onCompleted: sink.complete,
      onError: sink.error,
    });
    return dispose;
  });
  assert.deepEqual(await journey({ run, watch }), EXPECTED);
  await ws.dispose();
});

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
