// Pay a checkout of gql-epoint in a browser: confirm it, and watch it live until it is over. Copy this file; it needs
// nothing else. `token` is a client token that your server got from createCheckout or createClientToken.
//
//   const checkout = new CheckoutClient({ endpoint, token, renew });
//   const stop = checkout.watch({ onState, onLink });              // its state now, then whenever it changes
//   const { transaction } = await checkout.confirm({ hostedPage: {} });
//   if (transaction.nextAction) location.assign(transaction.nextAction.url);
//
// `renew`, if given, asks your server for another token when this one has ended.

const STATE = `fragment State on Checkout {
  status attemptsLeft expiresAt methods
  amount { amount currency }
  savedCards { id details { mask } }
  transaction {
    status isFinal
    nextAction { ... on RedirectAction { url } }
    failure { category message retryable }
  }
}`;

export const CONFIRM = `mutation Confirm($input: ConfirmCheckoutInput!) {
  confirmCheckout(input: $input) { checkout { ...State } errors { code message } }
}
${STATE}`;

export const READ = `query Read { checkout { ...State } }
${STATE}`;

export const WATCH = `subscription Watch { checkoutUpdated { checkout { ...State } } }
${STATE}`;

const TRIES = 4;
const SILENCE_MS = 25_000;
const ANSWER_MS = 10_000;
const ENDED = ["UNAUTHENTICATED", "FORBIDDEN"];

/** `code` is what to branch on: an ErrorCode of the schema, or UNREACHABLE, or the code of a refused request. */
export class CheckoutError extends Error {
  constructor(code, message, { passing = false, waitMs } = {}) {
    super(message);
    Object.assign(this, { name: "CheckoutError", code, passing, waitMs });
  }
}

/** Whether nothing more is expected to happen. */
export const isOver = ({ status, transaction }) => status !== "OPEN" && (!transaction || transaction.isFinal);

export class CheckoutClient {
  #confirming;

  constructor({ endpoint, token, renew }) {
    Object.assign(this, { endpoint, token, renew });
  }

  /** Start paying, and return the checkout. Two clicks are one attempt, and so is a request that had to be repeated. */
  confirm(method) {
    this.#confirming ??= this.#confirm(method).finally(() => { this.#confirming = undefined; });
    return this.#confirming;
  }

  async #confirm(method) {
    // One key for one press of the button: whatever is lost on the way, the service starts one attempt for it.
    const input = { idempotencyKey: crypto.randomUUID(), method };
    for (let attempt = 1; ; attempt += 1) {
      const { confirmCheckout: { checkout, errors: [error] } } = await this.#ask(CONFIRM, { input });
      if (checkout) return checkout; // a decline is in its transaction
      if (error.code !== "IDEMPOTENCY_IN_PROGRESS" || attempt === TRIES) throw new CheckoutError(error.code, error.message);
      await pause(backoff(attempt));
    }
  }

  /** Ask once. Watching is better: it tells at once, and costs less. */
  async read() {
    return (await this.#ask(READ)).checkout;
  }

  /** Tell each state, newest last, until it is over. `onLink` hears "live", "waiting" or "lost". Returns how to stop. */
  watch({ onState, onLink = () => {} }) {
    const stopping = new AbortController();
    this.#follow(onState, onLink, stopping.signal).catch(() => onLink("lost"));
    return () => stopping.abort();
  }

  async #follow(onState, onLink, signal) {
    for (let failures = 0; ; ) {
      let last;
      const ended = await this.#listen(signal, (state) => {
        failures = 0;
        last = state;
        onLink("live");
        onState(state);
      });
      if (signal.aborted || ended === "over" || (last && isOver(last))) return;
      if (ended === "token") await this.#renewToken();
      failures += 1;
      onLink("waiting");
      await pause(backoff(failures), signal);
      // Where sockets never work (a proxy may refuse them) there is still one question after each pause.
      const state = signal.aborted ? null : await this.read().catch((error) => {
        if (!error.passing) throw error;
      });
      if (signal.aborted) return;
      if (state) onState(state);
      if (state && isOver(state)) return;
    }
  }

  /** One WebSocket, graphql-transport-ws. Resolves to "over", "token" (it has ended) or "closed". */
  #listen(signal, onState) {
    return new Promise((resolve) => {
      const socket = new WebSocket(this.endpoint.replace(/^http/, "ws"), "graphql-transport-ws");
      const send = (message) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));
      let timer;
      const end = (how) => {
        clearTimeout(timer);
        signal.removeEventListener("abort", stop);
        resolve(how);
        socket.close();
      };
      const stop = () => end("closed");
      const expect = (ms, otherwise) => { clearTimeout(timer); timer = setTimeout(otherwise, ms); };
      // A phone that slept has sockets that are dead and do not know it: after some silence, ask for a sign of life.
      const listenOn = () => expect(SILENCE_MS, () => { send({ type: "ping" }); expect(ANSWER_MS, stop); });

      signal.addEventListener("abort", stop);
      expect(ANSWER_MS, stop);
      socket.onopen = () => send({ type: "connection_init", payload: { authorization: `Bearer ${this.token}` } });
      socket.onclose = ({ code }) => end(code === 4401 || code === 4403 ? "token" : "closed");
      socket.onmessage = ({ data }) => {
        const { type, payload } = JSON.parse(data);
        listenOn();
        if (type === "connection_ack") send({ id: "1", type: "subscribe", payload: { query: WATCH } });
        if (type === "ping") send({ type: "pong" });
        const errors = type === "error" ? payload : payload?.errors;
        if (errors) end(ENDED.includes(errors[0].extensions?.code) ? "token" : "closed");
        else if (type === "next") onState(payload.data.checkoutUpdated.checkout);
        else if (type === "complete") end("over");
      };
    });
  }

  /** Ask by fetch; what passes by itself is tried again, with the same variables. */
  async #ask(query, variables) {
    for (let attempt = 1, renewed = false; ; attempt += 1) {
      try {
        return await this.#post(query, variables);
      } catch (error) {
        const ended = error.code === "UNAUTHENTICATED" && this.renew && !renewed;
        if (attempt === TRIES || !(ended || error.passing)) throw error;
        if (ended) renewed = await this.#renewToken();
        else await pause(error.waitMs ?? backoff(attempt));
      }
    }
  }

  async #post(query, variables) {
    let response, answer;
    try {
      response = await fetch(this.endpoint, {
        method: "POST",
        headers: { "content-type": "application/json", accept: "application/json", authorization: `Bearer ${this.token}` },
        body: JSON.stringify({ query, variables }),
        credentials: "omit",
        signal: AbortSignal.timeout(60_000),
      });
      answer = await response.json();
    } catch (cause) {
      throw new CheckoutError("UNREACHABLE", `The payment service did not answer: ${cause.message}`, { passing: true });
    }
    const { data, errors } = answer;
    if (!errors && data) return data;
    const waitMs = Number(response.headers.get("retry-after")) * 1000 || undefined;
    const passing = response.status === 429 || response.status >= 500;
    throw new CheckoutError(errors?.[0].extensions?.code ?? "UNKNOWN", errors?.[0].message, { passing, waitMs });
  }

  async #renewToken() {
    if (!this.renew) throw new CheckoutError("UNAUTHENTICATED", "The client token has ended.");
    this.token = await this.renew();
    return true;
  }
}

// Half a second, then twice as long each time, at most ten seconds; not all customers at the same moment.
const backoff = (failures) => Math.min(250 * 2 ** failures, 10_000) * (0.75 + Math.random() / 2);

/** Wait; shorter if it is stopped, or the network comes back. */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
    addEventListener("online", done);
  });
}
