// The reference server of graphql-transport-ws, for tests/socket_protocol.py: `node reference_server.mjs SLOW_S INIT_S`.
// It prints its address, and ends when its input does.
import { buildSchema } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';

const [slow, init] = process.argv.slice(2).map((seconds) => Number(seconds) * 1000);

const schema = buildSchema(`
  type Query { slow: Int }
  type Mutation { nothing: Int }
  type Subscription { once: Int events: Event }
  type Event { cursor: String }
`);

const roots = {
  query: { slow: () => new Promise((resolve) => setTimeout(resolve, slow, 1)) },
  subscription: {
    async *once() { yield { once: 1 }; },
    async *events() { await new Promise(() => {}); },
  },
};

const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
useServer(
  {
    schema,
    roots,
    connectionInitWaitTimeout: init,
    onConnect: ({ connectionParams }) => connectionParams?.authorization !== 'wrong',
  },
  server,
);
server.on('listening', () => console.log(`ws://127.0.0.1:${server.address().port}`));
process.stdin.on('end', () => process.exit()).resume();
