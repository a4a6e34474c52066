// What both pages share: the words and facts that the server put into the page, and requests to it.
export const page = JSON.parse(document.getElementById("data").textContent);

/** Write an amount, given in cents or as the service writes it, the way people do. */
export function price(amount) {
  const text = typeof amount === "number" ? `${Math.floor(amount / 100)}.${String(amount % 100).padStart(2, "0")}` : amount;
  return `${page.language === "az" ? text.replace(".", ",") : text}\u00a0AZN`;
}

/** Ask our own server, with the cookie. Throws an Error whose `code` the server gave. */
export async function ask(path, options) {
  const response = await fetch(path, { ...options, signal: AbortSignal.timeout(30_000) });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), { code: answer.error });
  return answer;
}

export const post = (path, body) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
