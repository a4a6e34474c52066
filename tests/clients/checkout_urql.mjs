import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient } from "graphql-ws";

const STATE = `
  status
  attemptsLeft
  transaction {
    status
    isFinal
    nextAction { ... on RedirectAction { url } }
    failure { category message retryable }
  }`;

const CONFIRM = `mutation Confirm($input: ConfirmCheckoutInput!) {
  confirmCheckout(input: $input) { checkout { ${STATE} } errors { code message } }
}`;

const WATCH = `subscription Watch { checkoutUpdated { checkout { ${STATE} } } }`;

// `session` is { endpoint, token }: put a new token into it when you have got one, and it is used from then on.
export function connect(session) {
  const authorization = () => ({ authorization: `Bearer ${session.token}` });
  const socket = createClient({
    url: session.endpoint.replace(/^http/, "ws"),
    connectionParams: authorization,
    retryAttempts: 20,
    shouldRetry: () => true,
  });
  const client = new Client({
    url: session.endpoint,
    preferGetMethod: false,
    fetchOptions: () => ({ headers: authorization(), credentials: "omit" }),
    exchanges: [
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query, variables }) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
        }),
      }),
    ],
  });
  return { client, close: () => socket.dispose() };
}

// Returns how to stop. In React: useSubscription({ query: WATCH }).
export function watch({ client }, onState) {
  const { unsubscribe } = client.subscription(WATCH, {}).subscribe(({ data }) => {
    if (data) onState(data.checkoutUpdated.checkout);
  });
  return unsubscribe;
}

// Make the key when the button is pressed, and send the same one again if no answer came.
export async function confirm({ client }, method, idempotencyKey = crypto.randomUUID()) {
  const { data, error } = await client.mutation(CONFIRM, { input: { idempotencyKey, method } }).toPromise();
  if (error) throw error;
  const { checkout, errors } = data.confirmCheckout;
  if (!checkout) throw Object.assign(new Error(errors[0].message), { code: errors[0].code });
  return checkout; // a decline is in checkout.transaction.failure, and no error
}
