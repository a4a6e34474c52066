// Relay's runtime on what its compiler made in a folder: documents as texts or, where they are persisted, as ids.
import { createClient } from 'graphql-ws';
import relay from 'relay-runtime';
import WebSocket from 'ws';
import { PAY, STATUS, WATCH, authorization, graphql, iterate, journey, socket } from './shop.mjs';

const { Environment, Network, Observable, RecordSource, Store, commitMutation, fetchQuery, requestSubscription } = relay;

export const ws = createClient({ url: socket, webSocketImpl: WebSocket, connectionParams: { authorization } });

export const artifactsIn = (folder) => async (name) =>
  (await import(`./generated/${folder}/documents${name}.graphql.js`)).default;

// A persisted document has an id and no text. graphql-ws refuses to send a message without any `query`.
const named = ({ id, text }) => (text === null ? { documentId: id, query: '' } : { query: text });

export async function ask(params, variables) {
  const headers = { authorization, accept: 'application/graphql-response+json', 'content-type': 'application/json' };
  const body = JSON.stringify({ ...named(params), variables });
  return (await fetch(graphql, { method: 'POST', headers, body })).json();
}

const subscribe = (params, variables) =>
  Observable.create((sink) => ws.subscribe({ ...named(params), operationName: params.name, variables }, sink));

export const environmentOf = () =>
  new Environment({ network: Network.create(ask, subscribe), store: new Store(new RecordSource()) });

export async function relayJourney(artifact) {
  const environment = environmentOf();
  const documents = {
    [PAY]: await artifact('PayMutation'),
    [WATCH]: await artifact('WatchSubscription'),
    [STATUS]: await artifact('StatusQuery'),
  };
  // Data of fragments is read where they are used; the answer itself is what the journey looks at.
  const whole = (document, variables) => ask(document.params, variables).then(({ data }) => data);
  const run = async (text, variables) => {
    if (text === STATUS) {
      await fetchQuery(environment, documents[text], variables).toPromise();
      return whole(documents[text], variables);
    }
    return new Promise((resolve, reject) => {
      commitMutation(environment, {
        mutation: documents[text],
        variables,
        onCompleted: (found, errors) => (errors ? reject(errors[0]) : resolve(found)),
        onError: reject,
      });
    });
  };
  const watch = (text, variables) => iterate((sink) => {
    const { dispose } = requestSubscription(environment, {
      subscription: documents[text],
      variables,
      onNext: ({ transactionUpdated: { transaction } }) => {
        const { status } = environment.getStore().getSource().get(transaction.__id);
        sink.next({ transactionUpdated: { transaction: { status } } });
      },
      onCompleted: sink.complete,
      onError: sink.error,
    });
    return dispose;
  });
  return journey({ run, watch });
}
