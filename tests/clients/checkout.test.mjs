// The snippets of gql_epoint/docs/frontend.md, as they stand there: a server, and a page with urql or Apollo.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import ws from 'ws';
import * as apollo from './checkout_apollo.mjs';
import { follow } from './checkout_delivery.mjs';
import { payments } from './checkout_server.mjs';
import * as urql from './checkout_urql.mjs';
import { KEY, SIMULATOR, graphql, payOnPage } from './shop.mjs';

globalThis.WebSocket ??= ws; // browsers have one, and newer versions of Node

const DECLINED = '4000 0000 0000 0116';
const server = payments({ endpoint: graphql, secretKey: KEY });
const key = () => randomUUID();

function newOrder() {
  return { id: `order-${randomUUID()}`, total: '25.50', description: 'Two tickets', returnUrl: `${SIMULATOR}/back/success` };
}

for (const [name, { connect, watch, confirm }] of Object.entries({ urql, apollo })) {
  test(`${name}: declined, tried again with another token, paid`, async () => {
    const order = newOrder();
    const { checkoutId, token } = await server.createCheckout(order);
    const session = { endpoint: graphql, token };
    const page = connect(session);
    const seen = [];
    let wake;
    const stop = watch(page, ({ status, transaction }) => {
      seen.push(transaction ? transaction.status : status);
      wake?.();
    });
    const until = async (status) => { while (seen.at(-1) !== status) await new Promise((resolve) => { wake = resolve; }); };

    await until('OPEN');
    const first = await confirm(page, { hostedPage: {} }, key());
    await until('REQUIRES_ACTION');
    assert.equal(await server.isPaid(order), false);
    await payOnPage(first.transaction.nextAction.url, DECLINED);
    await until('FAILED');
    session.token = await server.createToken(checkoutId, ['CONFIRM', 'READ', 'SUBSCRIBE']);
    const second = await confirm(page, { hostedPage: {} }, key());
    assert.equal(second.attemptsLeft, 1);
    await payOnPage(second.transaction.nextAction.url);
    await until('SUCCESS');

    assert.deepEqual(seen.filter((status) => status !== 'NEW'), ['OPEN', 'REQUIRES_ACTION', 'FAILED', 'REQUIRES_ACTION', 'SUCCESS']);
    assert.equal(await server.isPaid(order), true);
    stop();
    await page.close();
  });

  test(`${name}: what is refused is thrown with its code`, async () => {
    const { token } = await server.createCheckout(newOrder());
    const page = connect({ endpoint: graphql, token });
    await assert.rejects(confirm(page, { savedCard: 'card_of_somebody_else' }, key()), { code: 'METHOD_NOT_ALLOWED' });
    await page.close();
  });

  test(`${name}: a token that can only watch cannot pay`, async () => {
    const { checkoutId } = await server.createCheckout(newOrder());
    const page = connect({ endpoint: graphql, token: await server.createToken(checkoutId, ['READ', 'SUBSCRIBE']) });
    await assert.rejects(confirm(page, { hostedPage: {} }, key()), /made for CONFIRM/);
    await page.close();
  });
}

test('the server hears of a payment whose customer has closed the page, and goes on where it was', async () => {
  const following = (after, enough) => new Promise((resolve, reject) => {
    const stopping = new AbortController();
    const seen = [];
    const onEvent = async (event, cursor) => {
      seen.push({ ...event, cursor });
      if (enough(event)) { stopping.abort(); resolve(seen); }
    };
    follow({ endpoint: graphql, secretKey: KEY, after, onEvent, signal: stopping.signal }).catch(reject);
  });
  const pay = async () => {
    const order = newOrder();
    const page = urql.connect({ endpoint: graphql, token: (await server.createCheckout(order)).token });
    const { transaction } = await urql.confirm(page, { hostedPage: {} }, key());
    await page.close();
    await payOnPage(transaction.nextAction.url);
    return order.id;
  };
  const paid = (id) => ({ status, transaction }) => status === 'SUCCESS' && transaction.orderId === id;

  const first = await pay();
  const last = (await following(null, paid(first))).at(-1);
  assert.deepEqual(last.transaction, { orderId: first, operation: 'PAY', amount: { amount: '25.50', currency: 'AZN' } });
  const second = await pay();
  const later = await following(last.cursor, paid(second));
  assert.ok(later.every(({ transaction }) => transaction?.orderId !== first));
});

test('the same order is one checkout, whose token is shown once', async () => {
  const order = newOrder();
  const [first, again] = [await server.createCheckout(order), await server.createCheckout(order)];
  assert.equal(again.checkoutId, first.checkoutId);
  assert.match(first.token, /^ct_/);
  assert.equal(again.token, undefined);
});

test('what the server is refused is thrown with its code', async () => {
  await assert.rejects(server.createCheckout({ ...newOrder(), total: '-1.00' }), { code: 'INVALID_INPUT' });
});
