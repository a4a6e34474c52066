// What relay.test.mjs runs; Relay's compiler makes the artifacts in generated/relay from this.
import { graphql } from 'relay-runtime';

export const Pay = graphql`
  mutation documentsPayMutation($input: PayInput!) {
    pay(input: $input) {
      errors { code message }
      transaction { ...documentsTransaction nextAction { ... on RedirectAction { url } } }
    }
  }
`;

export const Watch = graphql`
  subscription documentsWatchSubscription($order: String!) {
    transactionUpdated(by: { orderId: $order }) { kind transaction { ...documentsTransaction } }
  }
`;

export const Status = graphql`
  query documentsStatusQuery($order: String!) {
    transaction(by: { orderId: $order }) { ...documentsTransaction }
  }
`;

export const Page = graphql`
  query documentsPageQuery($count: Int!, $cursor: String) {
    ...documentsTransactions @arguments(count: $count, cursor: $cursor)
  }
`;

export const Transactions = graphql`
  fragment documentsTransactions on Query
  @argumentDefinitions(count: { type: "Int!" }, cursor: { type: "String" })
  @refetchable(queryName: "documentsTransactionsQuery") {
    transactions(first: $count, after: $cursor) @connection(key: "documents_transactions") {
      edges { node { ...documentsTransaction } }
    }
  }
`;

export const Transaction = graphql`
  fragment documentsTransaction on Transaction @refetchable(queryName: "documentsTransactionQuery") {
    id
    status
    isFinal
  }
`;
