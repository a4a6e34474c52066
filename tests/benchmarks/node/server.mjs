// GraphQL on Node as a user would write it: Fastify and mercurius, the order signed and posted by undici.
// `node server.mjs GATEWAY_URL JIT` prints its address and ends with its input; JIT is mercurius's, 0 is off.
import { createHash } from 'node:crypto';
import Fastify from 'fastify';
import mercurius from 'mercurius';
import { Pool } from 'undici';

const [gateway, jit] = process.argv.slice(2);
const PUBLIC_KEY = 'i000000001';
const PRIVATE_KEY = 'd3hjsl8sd8kfh';
const pool = new Pool(gateway, { connections: 100 });

async function callPay(input) {
  const payload = JSON.stringify({
    public_key: PUBLIC_KEY,
    language: 'az',
    order_id: input.orderId,
    amount: input.amount.amount,
    currency: input.amount.currency,
    description: input.description,
  });
  const data = Buffer.from(payload).toString('base64');
  const signature = createHash('sha1').update(PRIVATE_KEY + data + PRIVATE_KEY).digest('base64');
  const answer = await pool.request({
    path: '/api/1/request',
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: `data=${encodeURIComponent(data)}&signature=${encodeURIComponent(signature)}`,
  });
  return answer.body.json();
}

const schema = `
  enum Currency { AZN }
  input MoneyInput { amount: String! currency: Currency! }
  input PayInput { idempotencyKey: String! orderId: String! amount: MoneyInput! description: String }
  type RedirectAction { url: String! }
  union NextAction = RedirectAction
  type Transaction { id: ID! status: String! nextAction: NextAction }
  type UserError { code: String! message: String! }
  type TransactionPayload { transaction: Transaction replayed: Boolean! errors: [UserError!]! }
  type Query { ok: Boolean! }
  type Mutation { pay(input: PayInput!): TransactionPayload! }
`;

const resolvers = {
  Query: { ok: () => true },
  NextAction: { resolveType: () => 'RedirectAction' },
  Mutation: {
    async pay(_, { input }) {
      const reply = await callPay(input);
      return {
        transaction: { id: reply.transaction, status: 'REQUIRES_ACTION', nextAction: { url: reply.redirect_url } },
        replayed: false,
        errors: [],
      };
    },
  },
};

const app = Fastify();
app.register(mercurius, { schema, resolvers, jit: Number(jit) });
console.log(await app.listen({ port: 0, host: '127.0.0.1' }));
process.stdin.on('end', () => process.exit()).resume();
