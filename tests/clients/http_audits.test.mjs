// The public audits of GraphQL over HTTP, all of them: graphql-http names each after its place in the specification.
import assert from 'node:assert/strict';
import test from 'node:test';
import { serverAudits } from 'graphql-http';
import { authorization, graphql } from './shop.mjs';

const audits = serverAudits({
  url: graphql,
  fetchFn: (url, init = {}) => fetch(url, { ...init, headers: { authorization, ...init.headers } }),
});

test('there are as many audits as when they were last read', () => assert.equal(audits.length, 61));

for (const audit of audits) {
  test(`${audit.id} ${audit.name}`, async () => {
    const result = await audit.fn();
    assert.equal(result.status, 'ok', result.reason);
  });
}
