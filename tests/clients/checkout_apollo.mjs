import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { SetContextLink } from "@apollo/client/link/context";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { createClient } from "graphql-ws";

const STATE = gql`
  fragment State on Checkout {
    id
    status
    attemptsLeft
    transaction {
      id
      status
      isFinal
      nextAction { ... on RedirectAction { url } }
      failure { category message retryable }
    }
  }
`;

const CONFIRM = gql`
  mutation Confirm($input: ConfirmCheckoutInput!) {
    confirmCheckout(input: $input) { checkout { ...State } errors { code message } }
  }
  ${STATE}
`;

const WATCH = gql`
  subscription Watch { checkoutUpdated { checkout { ...State } } }
  ${STATE}
`;

// `session` is { endpoint, token }: put a new token into it when you have got one, and it is used from then on.
export function connect(session) {
  const authorization = () => ({ authorization: `Bearer ${session.token}` });
  const socket = createClient({
    url: session.endpoint.replace(/^http/, "ws"),
    connectionParams: authorization,
    retryAttempts: 20,
    shouldRetry: () => true,
  });
  const http = new SetContextLink(({ headers }) => ({ headers: { ...headers, ...authorization() } }))
    .concat(new HttpLink({ uri: session.endpoint, credentials: "omit" }));
  const client = new ApolloClient({
    link: ApolloLink.split(({ operationType }) => operationType === "subscription", new GraphQLWsLink(socket), http),
    cache: new InMemoryCache(),
  });
  return { client, close: () => socket.dispose() };
}

// Returns how to stop. In React: useSubscription(WATCH, { fetchPolicy: "no-cache" }).
export function watch({ client }, onState) {
  const subscription = client.subscribe({ query: WATCH, fetchPolicy: "no-cache" }).subscribe(({ data }) => {
    if (data) onState(data.checkoutUpdated.checkout);
  });
  return () => subscription.unsubscribe();
}

// Make the key when the button is pressed, and send the same one again if no answer came.
export async function confirm({ client }, method, idempotencyKey = crypto.randomUUID()) {
  const variables = { input: { idempotencyKey, method } };
  const { data } = await client.mutate({ mutation: CONFIRM, variables, fetchPolicy: "no-cache" });
  const { checkout, errors } = data.confirmCheckout;
  if (!checkout) throw Object.assign(new Error(errors[0].message), { code: errors[0].code });
  return checkout; // a decline is in checkout.transaction.failure, and no error
}
