// Apollo Client: queries by POST and GET, mutations, subscriptions over graphql-ws and as multipart by fetch.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { CombinedGraphQLErrors } from '@apollo/client/errors';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { EXPECTED, PAY, authorization, graphql, iterate, journey, newPayment, socket } from './shop.mjs';

const http = (options) => new HttpLink({ uri: graphql, headers: { authorization }, ...options });

const clientOf = (link) => new ApolloClient({
  link,
  cache: new InMemoryCache(),
  defaultOptions: { query: { fetchPolicy: 'no-cache' }, mutate: { fetchPolicy: 'no-cache' } },
});

const runWith = (client) => async (text, variables) => {
  const document = gql(text);
  const { data } = text.includes('mutation')
    ? await client.mutate({ mutation: document, variables })
    : await client.query({ query: document, variables });
  return data;
};

const watchWith = (client) => (text, variables) => iterate((sink) => {
  const subscription = client.subscribe({ query: gql(text), variables, fetchPolicy: 'no-cache' }).subscribe({
    ...sink,
    next: ({ data, error }) => (error ? sink.error(error) : sink.next(data)),
  });
  return () => subscription.unsubscribe();
});

test('the journey over graphql-ws', async () => {
  const ws = createClient({ url: socket, webSocketImpl: WebSocket, connectionParams: { authorization } });
  const link = ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION, new GraphQLWsLink(ws), http(),
  );
  const client = clientOf(link);
  assert.deepEqual(await journey({ run: runWith(client), watch: watchWith(client) }), EXPECTED);
  await ws.dispose();
});

test('the journey with multipart subscriptions', async () => {
  const client = clientOf(http());
  assert.deepEqual(await journey({ run: runWith(client), watch: watchWith(client) }), EXPECTED);
});

test('the journey with queries by GET', async () => {
  const client = clientOf(http({ useGETForQueries: true }));
  assert.deepEqual(await journey({ run: runWith(client), watch: watchWith(client) }), EXPECTED);
});

for (const accept of [undefined, 'application/json']) {
  test(`the errors of a document that cannot run arrive; accept: ${accept ?? 'its own'}`, async () => {
    const client = clientOf(http(accept ? { headers: { authorization, accept } } : {}));
    const { input } = newPayment();
    await assert.rejects(runWith(client)(PAY.replace('status', 'nothing'), { input }), (error) => {
      assert.ok(CombinedGraphQLErrors.is(error), error);
      assert.match(error.errors[0].message, /Cannot query field/);
      return true;
    });
  });
}

test('automatic persisted queries', async () => {
  const bodies = [];
  const counting = (url, init) => { bodies.push(JSON.parse(init.body)); return fetch(url, init); };
  const link = new PersistedQueryLink({ sha256: (text) => createHash('sha256').update(text).digest('hex') });
  const client = clientOf(link.concat(http({ fetch: counting })));
  const ask = () => client.query({ query: gql`query Persisted { viewer { level } }` });
  for (let times = 0; times < 2; times += 1) assert.equal((await ask()).data.viewer.level, 'SECRET_KEY');
  assert.deepEqual(bodies.map((body) => 'query' in body), [false, true, false]);
});
