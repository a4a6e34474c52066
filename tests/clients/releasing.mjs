// The release gate: what would break clients of the last release, and whether the changelog says so.
import { CriticalityLevel, diff } from '@graphql-inspector/core';
import { buildSchema, valueFromASTUntyped } from 'graphql';

const LEVELS = ['PUBLIC', 'CLIENT_TOKEN', 'SECRET_KEY'];

// Every change between two schemas that can break a client: its path, and what happened there.
export async function breaking(released, now) {
  const [before, after] = [buildSchema(released), buildSchema(now)];
  const changes = await diff(before, after);
  return [
    ...changes.filter(({ criticality }) => criticality.level === CriticalityLevel.Breaking),
    ...stricter(before, after),
  ].map(({ path, message }) => ({ path, message }));
}

// Fields that ask for more than they did: to the inspector this is a directive like any other.
function* stricter(before, after) {
  for (const type of Object.values(before.getTypeMap())) {
    const fields = after.getType(type.name)?.getFields?.() ?? {};
    for (const [name, field] of Object.entries(type.getFields?.() ?? {})) {
      const [was, is] = [auth(field), auth(fields[name])];
      const more = is.scopes.filter((scope) => !was.scopes.includes(scope));
      if (LEVELS.indexOf(is.level) > LEVELS.indexOf(was.level)) more.push(is.level);
      if (is.exact && !was.exact) more.push('no other level');
      if (more.length) yield { path: `${type.name}.${name}`, message: `It asks for more: ${more.join(', ')}` };
    }
  }
}

function auth(field) {
  const found = field?.astNode?.directives?.find(({ name }) => name.value === 'auth');
  const given = (found?.arguments ?? []).map(({ name, value }) => [name.value, valueFromASTUntyped(value)]);
  return { level: 'PUBLIC', scopes: [], exact: false, ...Object.fromEntries(given) };
}

// What the changelog says of versions: the newest that is released, and the paths that break in what comes next.
export function changelog(text) {
  const [, ...sections] = text.split(/^## /m);
  const next = sections.find((section) => section.startsWith('Unreleased')) ?? '';
  const items = next.split(/^- /m).filter((item) => item.startsWith('**Breaking:**'));
  const announced = new Set(items.flatMap((item) => [...item.matchAll(/`([^`]+)`/g)].map(([, path]) => path)));
  const newest = sections.map((section) => section.match(/^\d+\.\d+\.\d+/)?.[0]).find(Boolean);
  return { newest, announced };
}

// The version whose schema was kept by `make released`; undefined before the first.
export const keptVersion = (released) => released?.match(/^# The schema of (\d+\.\d+\.\d+)\n/)?.[1];

// Everything that stands in the way of a release; empty if nothing does. `released` is undefined before the first.
export async function objections({ released, now, changes }) {
  const { newest, announced } = changelog(changes);
  const kept = keptVersion(released);
  if (newest !== kept) return [`the kept schema is of ${kept}, the newest release is ${newest}: make released`];
  if (released === undefined) return [];
  const found = await breaking(released, now);
  return found
    .filter(({ path }) => !announced.has(path))
    .map(({ path, message }) => `${path}: ${message}. The changelog must say **Breaking:** with \`${path}\``);
}
