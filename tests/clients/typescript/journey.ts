// A program against the generated types; it is compiled and not run.
import type { DocumentType } from '../generated/typescript';
import { graphql } from '../generated/typescript';
import type { PayMutationVariables } from '../generated/typescript/graphql';

export const Pay = graphql(`
  mutation Pay($input: PayInput!) {
    pay(input: $input) {
      replayed
      errors { code message }
      transaction {
        id
        status
        nextAction {
          __typename
          ... on RedirectAction { url }
          ... on EmbedWidgetAction { url expectedOrigin }
        }
        failure { category retryable }
      }
    }
  }
`);

export const Watch = graphql(`
  subscription Watch($by: TransactionBy!) {
    transactionUpdated(by: $by) { kind transaction { id status isFinal amount { amount currency } } }
  }
`);

export const variables: PayMutationVariables = {
  input: { idempotencyKey: 'k', orderId: 'o', amount: { amount: '10.50', currency: 'AZN' } },
};

// @ts-expect-error money is text, never a number
export const wrong: PayMutationVariables = { input: { idempotencyKey: 'k', orderId: 'o', amount: { amount: 10.5 } } };

export function where({ pay }: DocumentType<typeof Pay>): string {
  const { transaction } = pay;
  if (!transaction) return pay.errors.map(({ message }) => message).join();
  const next = transaction.nextAction;
  if (next?.__typename === 'RedirectAction') return next.url;
  if (next?.__typename === 'EmbedWidgetAction') return `${next.url} in a frame, messages from ${next.expectedOrigin}`;
  return transaction.failure?.category ?? transaction.status;
}
