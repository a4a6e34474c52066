// The release gate: no change breaks clients of the last release unless the changelog says so.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { breaking, objections } from './releasing.mjs';

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');
const kept = new URL('released.graphql', import.meta.url);
const now = read('../../schema.graphql');
const changes = read('../../CHANGELOG.md');

test('what is about to be released breaks nothing that is not announced', async () => {
  const released = existsSync(kept) ? readFileSync(kept, 'utf8') : undefined;
  assert.deepEqual(await objections({ released, now, changes }), []);
});

// -- the gate itself, on what it must stop and what it must let pass -------------------------------------------------

const contract = `
  directive @auth(level: AuthLevel!, scopes: [String!], exact: Boolean! = false) on FIELD_DEFINITION
  enum AuthLevel { CLIENT_TOKEN SECRET_KEY }
  enum Status { NEW SUCCESS }
  input PayInput { amount: String! }
  type Query {
    status: Status! @auth(level: CLIENT_TOKEN)
    holder: String @auth(level: SECRET_KEY, scopes: ["READ"])
  }
  type Mutation { pay(input: PayInput!): Status @auth(level: SECRET_KEY, scopes: ["WRITE"]) }
`;
const released = `# The schema of 1.0.0\n${contract}`;
const log = (unreleased = '') => `# Changelog\n\n## Unreleased\n\n${unreleased}\n## 1.0.0\n\n- First.\n`;

// Each breaks clients: the path that the changelog must name, and the change.
const BREAKING = {
  'a field is removed': ['Query.holder', /holder: .*/, ''],
  'an enum value is removed': ['Status.NEW', 'NEW', ''],
  'a field can be null': ['Query.status', 'Status!', 'Status'],
  'an argument is gone': ['Mutation.pay.input', '(input: PayInput!)', ''],
  'an input asks for more': ['PayInput.currency', 'amount: String!', 'amount: String! currency: String!'],
  'a field asks for another scope': ['Query.holder', '["READ"]', '["READ", "MORE"]'],
  'a field is for keys only': ['Query.status', 'CLIENT_TOKEN)', 'SECRET_KEY)'],
  'a field refuses keys': ['Query.status', 'CLIENT_TOKEN)', 'CLIENT_TOKEN, exact: true)'],
};

// Each adds to the contract, or asks for less.
const HARMLESS = {
  'nothing': ['', ''],
  'a field is added': ['type Query {', 'type Query { more: Int @auth(level: SECRET_KEY)'],
  'an input may say more': ['amount: String!', 'amount: String! currency: String'],
  'a field is for browsers too': ['level: SECRET_KEY, scopes: ["READ"]', 'level: CLIENT_TOKEN'],
  'a field is deprecated': ['holder: String', 'holder: String @deprecated(reason: "Nobody asks.")'],
};

for (const [what, [path, ...change]] of Object.entries(BREAKING)) {
  test(`${what}: stopped, until the changelog says so`, async () => {
    const changed = contract.replace(...change);
    const found = await objections({ released, now: changed, changes: log() });
    assert.ok(found.some((objection) => objection.startsWith(`${path}: `)), `${path} in ${JSON.stringify(found)}`);
    const paths = (await breaking(released, changed)).map((change) => `\`${change.path}\``).join(', ');
    const announced = log(`- **Breaking:** no more ${paths}.\n`);
    assert.deepEqual(await objections({ released, now: changed, changes: announced }), []);
    const elsewhere = log(`- Better: ${paths}.\n`);
    assert.notDeepEqual(await objections({ released, now: changed, changes: elsewhere }), []);
  });
}

for (const [what, change] of Object.entries(HARMLESS)) {
  test(`${what}: passes`, async () => {
    assert.deepEqual(await objections({ released, now: contract.replace(...change), changes: log() }), []);
  });
}

test('before the first release there is nothing to break', async () => {
  assert.deepEqual(await objections({ released: undefined, now: contract, changes: '## Unreleased\n' }), []);
});

test('a release whose schema was not kept is stopped', async () => {
  for (const before of [undefined, released.replace('1.0.0', '0.9.0'), contract]) {
    assert.equal((await objections({ released: before, now: contract, changes: log() })).length, 1);
  }
});
