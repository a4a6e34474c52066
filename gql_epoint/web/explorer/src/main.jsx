// The page: GraphiQL with its documentation, history and query builder, and the tabs the service brings.

import './workers.js';
import { explorerPlugin } from '@graphiql/plugin-explorer';
import { HISTORY_PLUGIN } from '@graphiql/plugin-history';
import { ReloadIcon, ToolbarButton } from '@graphiql/react';
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';

import 'graphiql/style.css';
import '@graphiql/plugin-explorer/style.css';
import './page.css';

import { config } from './config.js';
import { fetcher } from './fetcher.js';
import { forgetTabs, seedFirstTab, storage } from './storage.js';

const plugins = [HISTORY_PLUGIN, explorerPlugin({ showAttribution: false })];

function restoreTabs() {
  if (!window.confirm('Close all tabs and open the examples again?')) return;
  // GraphiQL writes its tabs with a delay; leaving at once keeps that from undoing this.
  forgetTabs();
  window.location.reload();
}

function Page() {
  return (
    <GraphiQL
      fetcher={fetcher}
      storage={storage}
      plugins={plugins}
      defaultTabs={config.tabs.length > 0 ? config.tabs : undefined}
      defaultHeaders={config.headers}
      defaultEditorToolsVisibility="variables"
      shouldPersistHeaders={false}
      inputValueDeprecation
      schemaDescription
    >
      <GraphiQL.Logo>
        <span className="explorer-name">gql-epoint</span>
        {config.sandbox && (
          <span className="explorer-sandbox" title="No real money moves here">
            sandbox
          </span>
        )}
      </GraphiQL.Logo>
      <GraphiQL.Toolbar>
        {({ prettify, merge, copy }) => (
          <>
            {prettify}
            {merge}
            {copy}
            {config.tabs.length > 0 && (
              <ToolbarButton label="Open the example tabs again" onClick={restoreTabs}>
                <ReloadIcon className="graphiql-toolbar-icon" aria-hidden="true" />
              </ToolbarButton>
            )}
          </>
        )}
      </GraphiQL.Toolbar>
    </GraphiQL>
  );
}

seedFirstTab(config.tabs);
createRoot(config.root).render(<Page />);
