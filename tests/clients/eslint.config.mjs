// The contract by @graphql-eslint's recommended and Relay presets. Each exception says why it is one.
import graphqlPlugin from '@graphql-eslint/eslint-plugin';

const preset = (name) => graphqlPlugin.configs[`flat/schema-${name}`].rules;

export default [
  {
    files: ['**/*.graphql'],
    languageOptions: {
      parser: graphqlPlugin.parser,
      parserOptions: { graphQLConfig: { schema: new URL('../../schema.graphql', import.meta.url).pathname } },
    },
    plugins: { '@graphql-eslint': graphqlPlugin },
    rules: {
      ...preset('recommended'),
      ...preset('relay'),

      // Descriptions everywhere, not on types alone. @oneOf is the specification's own, so it describes nothing.
      '@graphql-eslint/require-description': ['error', {
        types: true,
        rootField: true,
        DirectiveDefinition: true,
        FieldDefinition: true,
        EnumValueDefinition: true,
        InputValueDefinition: true,
        ignoredSelectors: ['DirectiveDefinition[name.value=oneOf]'],
      }],
      '@graphql-eslint/require-deprecation-reason': 'error',
      '@graphql-eslint/require-deprecation-date': 'error',

      // These are values, or stand for one moment of something that has an id: nobody could fetch them by one.
      '@graphql-eslint/strict-id-in-types': ['error', {
        exceptions: {
          suffixes: ['Connection', 'Edge', 'Error', 'Payload', 'Update'],
          types: [
            'HoldRequest', 'InstallmentPlan',
            'BusinessPayee', 'BusinessTransferReference', 'Gateway', 'GatewayInvoice', 'InvoiceReference',
            'CardDetails', 'ClientToken', 'EmbedWidgetAction', 'EventMessage', 'Failure', 'GatewayReference', 'GatewayStatusResult', 'Money',
            'PageInfo', 'RedirectAction', 'Split', 'TokenPayAction', 'Viewer',
            'SimulatorAttempt', 'SimulatorCallback', 'SimulatorExchange', 'SimulatorTransaction',
            'SimulatorImage', 'SimulatorInvoice', 'SimulatorMessage', 'SimulatorTransfer',
          ],
        },
      }],
      // Lists of errors, scopes and the parts of a path are short and complete: there is nothing to page through.
      '@graphql-eslint/relay-edge-types': ['error', { listTypeCanWrapOnlyEdgeType: false }],
      // Events, callbacks and refunds are read forwards only, as the specification of connections allows.
      '@graphql-eslint/relay-arguments': ['error', { includeBoth: false }],
    },
  },
];
