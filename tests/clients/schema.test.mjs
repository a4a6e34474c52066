// The contract as tools see it: @graphql-eslint, and graphql-codegen with tsc --strict.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'node:test';
import { ESLint } from 'eslint';
import { run } from './tools.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = fileURLToPath(new URL('../../', import.meta.url));

test('lint', async () => {
  const eslint = new ESLint({ cwd: root, overrideConfigFile: `${here}eslint.config.mjs` });
  const [{ messages }] = await eslint.lintFiles([`${root}schema.graphql`]);
  assert.deepEqual(messages.map(({ line, message }) => `${line}: ${message}`), []);
});

test('types for TypeScript', () => {
  rmSync(`${here}generated/typescript`, { recursive: true, force: true });
  run('graphql-codegen', '--config', 'codegen.yml');
  run('tsc', '--project', 'tsconfig.json');
});
