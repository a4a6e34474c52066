// Beside your server: hears of every change, also of a payment whose customer has closed the page.
const EVENTS = `subscription Events($after: String) {
  events(after: $after) {
    cursor
    event { ... on StatusChanged { status transaction { orderId operation amount { amount currency } } } }
  }
}`;

// Calls onEvent with each event in its order, from the cursor `after` on, until `signal` is aborted. Store the cursor with
// what you did about the event, in one transaction of your database: then nothing is missed, and nothing done twice.
export async function follow({ endpoint, secretKey, after = null, onEvent, signal }) {
  while (!signal.aborted) {
    try {
      const response = await fetch(endpoint, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          accept: "text/event-stream",
          authorization: `Bearer ${secretKey}`,
        },
        body: JSON.stringify({ query: EVENTS, variables: { after } }),
        signal,
      });
      for await (const { data } of messages(response.body)) {
        await onEvent(data.events.event, data.events.cursor);
        after = data.events.cursor;
      }
    } catch (error) {
      if (signal.aborted) return;
      console.warn(`events: ${error.message}; connecting again`);
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function* messages(body) {
  let text = "";
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + chunk).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const line = block.split("\n").find((found) => found.startsWith("data: "));
      if (block.includes("event: next") && line) yield JSON.parse(line.slice(6));
    }
  }
}
