// A native EventSource, as browsers have it: it sends no header of ours, so it comes with a stream's token.
import assert from 'node:assert/strict';
import test from 'node:test';
import { EventSource } from 'eventsource';
import { EXPECTED, authorization, graphql, iterate, journey } from './shop.mjs';

test('the journey with an EventSource', async () => {
  const token = await (await fetch(graphql, { method: 'PUT', headers: { authorization } })).text();
  const source = new EventSource(`${graphql}?token=${token}`);
  const sinks = new Map();
  source.addEventListener('next', ({ data }) => {
    const { id, payload } = JSON.parse(data);
    if (payload.errors) sinks.get(id).error(new Error(payload.errors[0].message));
    else sinks.get(id).next(payload.data);
  });
  source.addEventListener('complete', ({ data }) => sinks.get(JSON.parse(data).id).complete());

  const send = (method, search, body) => fetch(`${graphql}${search}`, {
    method,
    headers: { authorization, 'content-type': 'application/json', 'x-graphql-event-stream-token': token },
    body: body && JSON.stringify(body),
  });
  let operations = 0;
  const watch = (query, variables) => iterate((sink) => {
    const operationId = `operation-${operations += 1}`;
    sinks.set(operationId, sink);
    send('POST', '', { query, variables, extensions: { operationId } }).then(({ status }) => assert.equal(status, 202));
    return () => send('DELETE', `?operationId=${operationId}`);
  });
  const run = async (query, variables) => {
    for await (const found of watch(query, variables)) return found;
  };
  assert.deepEqual(await journey({ run, watch }), EXPECTED);
  source.close();
});

test('an EventSource without a token is told so', async () => {
  const source = new EventSource(`${graphql}?token=wrong`);
  const { code } = await new Promise((resolve) => source.addEventListener('error', resolve));
  source.close();
  assert.equal(code, 404);
});

test('an operation goes on, on another stream, after the last event that was seen', async () => {
  const query = 'subscription { events { cursor } }';
  const first = await events({ query, until: 2 });
  const again = await events({ query, until: 1, after: first[0].lastEventId });
  assert.equal(JSON.parse(again[0].data).payload.data.events.cursor, first[1].lastEventId);
});

// The first events of an operation on a stream of its own, of which the journey has made some.
async function events({ query, until, after }) {
  const token = await (await fetch(graphql, { method: 'PUT', headers: { authorization } })).text();
  const source = new EventSource(`${graphql}?token=${token}`);
  const headers = {
    authorization,
    'content-type': 'application/json',
    'x-graphql-event-stream-token': token,
    ...(after && { 'last-event-id': after }),
  };
  const found = [];
  // Heard before it is asked for: events may be here before the answer to the POST is.
  const enough = new Promise((resolve) => source.addEventListener('next', (event) => {
    if (found.push(event) === until) resolve();
  }));
  const body = JSON.stringify({ query, extensions: { operationId: '1' } });
  assert.equal((await fetch(graphql, { method: 'POST', headers, body })).status, 202);
  await enough;
  source.close();
  return found;
}
