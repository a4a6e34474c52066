// A shop that orders a payment, and its customer who pays on EPoint's page.
import { randomUUID } from 'node:crypto';

export const { SERVICE, SIMULATOR, KEY } = process.env;
export const graphql = `${SERVICE}/graphql`;
export const socket = graphql.replace(/^http/, 'ws');
export const authorization = `Bearer ${KEY}`;

export const PAY = `
  mutation Pay($input: PayInput!) {
    pay(input: $input) {
      errors { code message }
      transaction { id orderId status nextAction { ... on RedirectAction { url } } }
    }
  }`;
export const WATCH = `
  subscription Watch($order: String!) {
    transactionUpdated(by: { orderId: $order }) { kind transaction { id status version isFinal } }
  }`;
export const STATUS = `
  query Status($order: String!) { transaction(by: { orderId: $order }) { id status isFinal } }`;

export function newPayment() {
  const order = `order-${randomUUID()}`;
  return { order, input: { idempotencyKey: `key-of-${order}`, orderId: order, amount: { amount: '10.00' } } };
}

export async function payOnPage(url, card = '4111 1111 1111 1111') {
  const page = await fetch(url);
  const body = new URLSearchParams({ card_number: card });
  const answer = await fetch(page.url, { method: 'POST', body, redirect: 'manual' });
  if (page.status !== 200 || answer.status >= 400) throw new Error(`the page said ${page.status}, ${answer.status}`);
}

// The journey that every client makes. `run` resolves to the data of one operation; `watch` yields data of each
// result of a subscription, and ends with it.
export async function journey({ run, watch }) {
  const { order, input } = newPayment();
  const { pay } = await run(PAY, { input });
  const seen = [];
  const started = Date.now();
  for await (const { transactionUpdated } of watch(WATCH, { order })) {
    seen.push(transactionUpdated.transaction.status);
    if (seen.length === 1) await payOnPage(pay.transaction.nextAction.url);
  }
  // Far below a heartbeat: a client that waits for one to read what came before it is not served well.
  if (Date.now() - started > 5000) throw new Error('the updates came late');
  const { transaction } = await run(STATUS, { order });
  return { seen, status: transaction.status, errors: pay.errors.length };
}

export const EXPECTED = { seen: ['REQUIRES_ACTION', 'SUCCESS'], status: 'SUCCESS', errors: 0 };

// Turns callbacks into something to iterate over: `start({next, error, complete})` returns how to stop.
export async function* iterate(start) {
  const waiting = [];
  let wake = () => {};
  const push = (item) => { waiting.push(item); wake(); };
  const stop = start({
    next: (value) => push({ value }),
    error: (error) => push({ error }),
    complete: () => push({ done: true }),
  });
  try {
    for (;;) {
      while (waiting.length === 0) await new Promise((resolve) => { wake = resolve; });
      const item = waiting.shift();
      if (item.error) throw item.error;
      if (item.done) return;
      yield item.value;
    }
  } finally {
    stop?.();
  }
}
