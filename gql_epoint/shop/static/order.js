// An order and its payment: the page on which a customer pays, and to which EPoint sends the customer back.
import { CheckoutClient } from "./checkout.js";
import { page, ask, post, price } from "./page.js";
import { viewOf } from "./views.js";

const { order, words, language } = page;
const api = `/api/orders/${order}`;
const byId = (id) => document.getElementById(id);
const cameBack = new URLSearchParams(location.search).get("from") === "card";

let checkout; // the client of checkout.js, once there is a token
let mayPay = false; // whether its token is good for paying
let shown; // the state that is on the page
let busy = false;
let leaving = false; // whether the customer has pressed the button and waits for the way to the bank's page

/** Get a client token from our own server: one that can only watch, unless the customer wants to pay. */
async function token(use) {
  const granted = await post(`${api}/token`, { use });
  mayPay = granted.operations.includes("CONFIRM");
  return granted;
}

async function start() {
  try {
    const { endpoint, token: secret } = await token("watch");
    checkout = new CheckoutClient({ endpoint, token: secret, renew: async () => (await token("watch")).token });
    checkout.watch({ onState: show, onLink: (link) => { byId("link").dataset.link = link; byId("link").textContent = linkText(link); } });
  } catch {
    trouble();
    actions(button(words.trouble_retry, () => location.reload()));
  }
}

const linkText = (link) => ({ live: words.live, waiting: words.reconnecting, lost: words.lost })[link];

function show(state) {
  const view = viewOf(state, { cameBack });
  const before = shown && viewOf(shown, { cameBack });
  // What has not changed is left alone: it is not read out again, and a keyboard's focus stays where it is.
  const same = before?.name === view.name && shown.attemptsLeft === state.attemptsLeft
    && shown.transaction?.nextAction?.url === state.transaction?.nextAction?.url;
  shown = state;
  if (leaving && state.transaction?.nextAction) leave(state.transaction);
  if (same) return;
  byId("problem").hidden = true;
  byId("state").dataset.state = view.name;
  byId("state-title").textContent = words[view.title];
  byId("state-text").textContent = (words[view.text] ?? words.OTHER).replace("{order}", order);
  const more = [view.more && words[view.more], view.attempts && words.attempts.replace("{count}", state.attemptsLeft)];
  byId("state-more").textContent = more.filter(Boolean).join(" ");
  byId("state-more").hidden = !more.some(Boolean);
  document.title = `${words[view.title]} · ${words.shop}`;
  methods(state, view);
  byId("pay").hidden = !view.pays;
  label();
  actions(...view.actions.map((name) => ACTIONS[name](state)));
  if (view.name === "paid") finish();
  if (["paid", "canceled", "expired"].includes(view.name)) { byId("link").dataset.link = ""; byId("link").textContent = ""; }
}

function label() {
  const usual = shown.transaction ? words.retry : words.pay.replace("{amount}", price(shown.amount.amount));
  byId("pay-button").textContent = busy ? words.paying : usual;
  byId("pay-button").disabled = busy;
}

const ACTIONS = {
  cardPage: ({ transaction }) => link(words.to_card_page, pageOf(transaction.nextAction.url), "button primary"),
  cardPageAgain: ({ transaction }) => link(words.to_card_page_again, pageOf(transaction.nextAction.url), "button text"),
  renew: () => button(words.renew, () => act(`${api}/checkout`), "button primary"),
  cancel: () => button(words.cancel, () => act(`${api}/cancel`), "text"),
  shop: () => link(words.back_to_shop, "/", "button"),
};

function methods({ savedCards, methods: offered }, view) {
  if (!view.pays) return;
  const cards = offered.includes("SAVED_CARD") ? savedCards : [];
  const choices = cards.map(({ id, details }) => choice(id, words.saved_card, `•••• ${details?.mask?.slice(-4) ?? ""}`));
  if (offered.includes("HOSTED_PAGE")) choices.push(choice("", words.new_card, words.new_card_hint));
  choices[0].querySelector("input").checked = true;
  byId("methods").replaceChildren(...choices);
  byId("methods").hidden = choices.length === 1; // nothing to choose
}

function choice(value, title, hint) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "method", value });
  const text = document.createElement("span");
  text.append(Object.assign(document.createElement("strong"), { textContent: title }), Object.assign(document.createElement("small"), { textContent: hint }));
  label.append(input, text);
  return label;
}

byId("pay").onsubmit = async (event) => {
  event.preventDefault();
  if (busy) return;
  working(true);
  let problem = "";
  try {
    if (!mayPay) checkout.token = (await token("pay")).token;
    const card = new FormData(byId("pay")).get("method");
    const method = card ? { savedCard: card } : { hostedPage: { language: language.toUpperCase() } };
    const { transaction } = await checkout.confirm(method);
    if (transaction?.nextAction) return leave(transaction); // and the button stays as it is until this page is left
    // Another tab was faster, and its request is not answered yet; or a card was charged and there is nowhere to go.
    leaving = !transaction?.isFinal;
    if (leaving && shown.transaction?.nextAction) return leave(shown.transaction);
  } catch (error) {
    // Its state has changed meanwhile, in another tab perhaps: that is on the page already, or will be in a moment.
    const known = ["CHECKOUT_NOT_OPEN", "ATTEMPT_LIMIT_REACHED"].includes(error.code);
    problem = known ? "" : error.code === "RATE_LIMITED" ? words.too_often : words.trouble;
  }
  working(false);
  if (problem) trouble(problem);
};

function leave({ nextAction }) {
  location.assign(pageOf(nextAction.url));
}

function working(now) {
  busy = now;
  byId("problem").hidden = true;
  label();
}

async function act(path) {
  try {
    await post(path, {});
    location.replace(location.pathname);
  } catch {
    trouble();
  }
}

/** The service says paid, which is for the customer; whether to deliver is for our own server to find out. */
async function finish() {
  sessionStorage.removeItem("basket");
  const { paid } = await ask(api).catch(() => ({}));
  if (!paid) return;
  byId("state-more").textContent = words.confirmed;
  byId("state-more").hidden = false;
}

function trouble(text = words.trouble) {
  byId("problem").textContent = text;
  byId("problem").hidden = false;
}

function actions(...elements) {
  byId("actions").replaceChildren(...elements);
}

function button(text, onclick, className = "button") {
  return Object.assign(document.createElement("button"), { type: "button", textContent: text, onclick, className });
}

function pageOf(url) {
  if (!/^https?:$/.test(new URL(url).protocol)) throw new Error("not a page to go to");
  return url;
}

function link(text, url, className) {
  return Object.assign(document.createElement("a"), { textContent: text, href: url, className });
}

// Out of the browser's memory, after the back button: the payment may have gone on, and the socket is gone.
addEventListener("pageshow", ({ persisted }) => { if (persisted) location.reload(); });
start();
