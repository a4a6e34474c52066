// Writes build.json: the hash of the sources the bundle was made from, and of each file of the bundle.
//
// tests/test_explorer.py computes the same from the files as they are, so that a bundle older than its sources, or
// changed by hand, fails by name. A hash is SHA-256 over "<path>\0<sha256 of the file>\n" of the sorted paths.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

function sha256(data) {
  return createHash('sha256').update(data).digest('hex');
}

function walk(folder, root = folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (name === 'node_modules') return [];
    return statSync(path).isDirectory() ? walk(path, root) : [relative(root, path).replaceAll('\\', '/')];
  });
}

// Sorted by code unit, as Python does it, and not by the locale of whoever builds.
function hashes(folder) {
  return Object.fromEntries(
    walk(folder)
      .sort()
      .map((path) => [path, sha256(readFileSync(join(folder, path)))]),
  );
}

export function manifest(sources) {
  let output;
  return {
    name: 'manifest',
    configResolved(config) {
      output = join(config.root, config.build.outDir);
    },
    closeBundle() {
      const sourceHash = sha256(
        Object.entries(hashes(sources))
          .map(([path, hash]) => `${path}\0${hash}\n`)
          .join(''),
      );
      writeFileSync(join(output, 'build.json'), `${JSON.stringify({ sources: sourceHash, files: hashes(output) }, null, 2)}\n`);
    },
  };
}
