// The three workers GraphiQL's editors need, bundled and served from the page's own origin.

import EditorWorker from 'monaco-editor/esm/vs/editor/editor.worker.js?worker';
import JsonWorker from 'monaco-editor/esm/vs/language/json/json.worker.js?worker';
import GraphQLWorker from 'monaco-graphql/esm/graphql.worker.js?worker';

const WORKERS = { graphql: GraphQLWorker, json: JsonWorker };

globalThis.MonacoEnvironment = {
  getWorker(_id, label) {
    const Worker = WORKERS[label] ?? EditorWorker;
    return new Worker();
  },
};
