// Your server: the only place that has the secret key, and the only one that decides what is paid.
const CREATE_CHECKOUT = `mutation CreateCheckout($input: CreateCheckoutInput!) {
  createCheckout(input: $input) {
    checkout { id }
    clientToken { secret }
    errors { code message }
  }
}`;

const CREATE_CLIENT_TOKEN = `mutation CreateClientToken($input: CreateClientTokenInput!) {
  createClientToken(input: $input) {
    clientToken { secret }
    errors { code message }
  }
}`;

const PAYMENT = `query Payment($order: String!) {
  transaction(by: { orderId: $order }) { status amount { amount currency } }
}`;

export function payments({ endpoint, secretKey }) {
  async function ask(query, variables) {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${secretKey}` },
      body: JSON.stringify({ query, variables }),
      redirect: "error",
      signal: AbortSignal.timeout(15_000),
    });
    const { data, errors } = await response.json();
    if (errors) throw new Error(errors[0].message);
    const [refused] = Object.values(data)[0]?.errors ?? [];
    if (refused) throw Object.assign(new Error(refused.message), { code: refused.code });
    return data;
  }

  return {
    // `order` comes out of your own database: neither the amount nor the URL is something that the page has sent.
    async createCheckout({ id, total, description, returnUrl }) {
      const input = {
        idempotencyKey: `checkout-of-${id}`, // the same order asked for twice is one checkout
        orderId: id,
        amount: { amount: total, currency: "AZN" }, // a string such as "25.50", never a float
        description,
        returnUrls: { success: returnUrl, error: returnUrl },
        maxAttempts: 3,
      };
      const { checkout, clientToken } = (await ask(CREATE_CHECKOUT, { input })).createCheckout;
      return { checkoutId: checkout.id, token: clientToken?.secret }; // null when it existed already
    },

    // For the page to which the customer returns: ["READ", "SUBSCRIBE"]. To pay again, "CONFIRM" as well.
    async createToken(checkoutId, operations) {
      return (await ask(CREATE_CLIENT_TOKEN, { input: { checkoutId, operations } })).createClientToken.clientToken.secret;
    },

    // Deliver by this, and by nothing that a browser says.
    async isPaid({ id, total }) {
      const { transaction } = await ask(PAYMENT, { order: id });
      return transaction?.status === "SUCCESS" && transaction.amount.amount === total;
    },
  };
}
