// Writes LICENSES.txt: the notices of every package the bundle was made from, workers and styles included.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const PACKAGE = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//;
const NOTICE = /^(licen[cs]e|notice|third-?party-?notices)/i;

// These come inside graphiql's style sheet, without a notice in the package.
const FONTS = `Fonts inside the style sheet of graphiql

Roboto: Copyright Google Inc. Apache License 2.0, https://www.apache.org/licenses/LICENSE-2.0
Fira Code: Copyright The Fira Code Project Authors. SIL Open Font License 1.1, https://openfontlicense.org
Codicons: Copyright Microsoft Corporation. CC BY 4.0, https://creativecommons.org/licenses/by/4.0/
`;

const RULE = `\n${'-'.repeat(80)}\n\n`;

function describe(folder) {
  const { name, version, license, author, homepage } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const by = typeof author === 'string' ? author : author?.name;
  const notices = readdirSync(folder)
    .filter((file) => NOTICE.test(file))
    .sort()
    .map((file) => readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n').trim());
  const text = [`${name} ${version}`, `License: ${license}`];
  if (by) text.push(`Author: ${by}`);
  if (homepage) text.push(`Home: ${homepage}`);
  return { name: `${name} ${version}`, text: [text.join('\n'), ...notices].join('\n\n') + '\n' };
}

export function licenses() {
  const folders = new Set();

  // Workers are bundled apart from the page, so this one is given to both.
  const collect = {
    name: 'collect-licenses',
    transform(_code, id) {
      const folder = PACKAGE.exec(id)?.[1];
      if (folder) folders.add(folder);
      return null;
    },
  };

  const write = {
    name: 'write-licenses',
    generateBundle() {
      const described = [...folders].map(describe).sort((a, b) => (a.name < b.name ? -1 : 1));
      const source = [
        'The explorer is bundled from the packages below.\n',
        FONTS,
        ...new Set(described.map(({ text }) => text)),
      ].join(RULE);
      this.emitFile({ type: 'asset', fileName: 'LICENSES.txt', source });
    },
  };

  return { collect, write };
}
