// The shelf: a basket that lives in this tab, and the way to an order. What it costs is for the server to say.
import { page, post, price } from "./page.js";

const { goods, quantityMax, words } = page;
const byId = (id) => document.getElementById(id);
const basket = new Map(Object.entries(JSON.parse(sessionStorage.getItem("basket") ?? "{}")).filter(([id]) => id in goods));

function change(id, by) {
  const quantity = Math.min((basket.get(id) ?? 0) + by, quantityMax);
  if (quantity > 0) basket.set(id, quantity);
  else basket.delete(id);
  sessionStorage.setItem("basket", JSON.stringify(Object.fromEntries(basket)));
  show();
}

function stepper(id, by, sign, label) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", textContent: sign, className: "step", ariaLabel: label.replace("{name}", goods[id].name) });
  button.dataset.step = `${id} ${by}`;
  button.disabled = by > 0 && basket.get(id) >= quantityMax;
  button.onclick = () => {
    change(id, by);
    // The list was made anew: the focus stays where a keyboard user left it.
    (document.querySelector(`[data-step="${id} ${by}"]:enabled`) ?? byId("order")).focus();
  };
  return button;
}

function line([id, quantity]) {
  const item = document.createElement("li");
  const name = Object.assign(document.createElement("span"), { textContent: goods[id].name, className: "name" });
  const count = Object.assign(document.createElement("span"), { textContent: quantity, className: "count" });
  const steps = Object.assign(document.createElement("span"), { className: "steps" });
  const cost = Object.assign(document.createElement("span"), { textContent: price(goods[id].cents * quantity), className: "cost" });
  steps.append(stepper(id, -1, "−", words.fewer), count, stepper(id, 1, "+", words.more));
  item.append(name, steps, cost);
  return item;
}

function show() {
  byId("empty").hidden = basket.size > 0;
  byId("basket").hidden = basket.size === 0;
  byId("lines").replaceChildren(...[...basket].map(line));
  byId("total").value = price([...basket].reduce((sum, [id, quantity]) => sum + goods[id].cents * quantity, 0));
  byId("bar").hidden = basket.size === 0;
  byId("bar-total").textContent = byId("total").value;
}

for (const button of document.querySelectorAll("[data-add]")) button.onclick = () => change(button.dataset.add, 1);

byId("basket").onsubmit = async (event) => {
  event.preventDefault();
  const button = byId("order");
  button.disabled = true;
  byId("problem").hidden = true;
  try {
    const items = Object.fromEntries(basket);
    const { order } = await post("/api/orders", { items, saveCard: byId("save-card").checked });
    location.assign(`/orders/${order}`);
  } catch {
    byId("problem").textContent = words.trouble;
    byId("problem").hidden = false;
    button.disabled = false;
  }
};

// On a phone the basket is far down, so a bar leads there; it goes when the basket is in sight.
new IntersectionObserver(([{ isIntersecting }]) => byId("bar").classList.toggle("away", isIntersecting)).observe(byId("basket"));

// A page that the back button brings out of the browser's memory is as it was left.
addEventListener("pageshow", () => { byId("order").disabled = false; });
show();
