// Builds the explorer into ../static/explorer, which is committed: users of the package need no Node.

import { fileURLToPath } from 'node:url';

import { defineConfig } from 'vite';

import { licenses } from './build/licenses.js';
import { manifest } from './build/manifest.js';

const here = fileURLToPath(new URL('.', import.meta.url));
const { collect, write } = licenses();

// graphiql/style.css holds the editor's styles already; without this they would be in the bundle twice.
const editorStylesOnce = {
  name: 'editor-styles-once',
  enforce: 'pre',
  resolveId(source, importer) {
    return source.endsWith('.css') && importer?.includes('/monaco-editor/') ? '\0no-styles' : null;
  },
  load(id) {
    return id === '\0no-styles' ? '' : null;
  },
};

export default defineConfig({
  base: '/explorer/',
  publicDir: false,
  plugins: [editorStylesOnce, collect, write, manifest(here)],
  worker: { format: 'es', plugins: () => [collect] },
  build: {
    outDir: '../static/explorer',
    emptyOutDir: true,
    target: 'es2022',
    sourcemap: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4096,
    reportCompressedSize: false,
    // "use client" means nothing outside server rendering.
    rolldownOptions: { checks: { moduleLevelDirective: false } },
  },
});
