// What a customer sees for each state of a checkout: names of words, and what can be done. No browser is needed here.

const WAITS = {
  NEW: { name: "waiting", title: "waiting_title", text: "waiting_hint", actions: [] },
  REQUIRES_ACTION: { name: "card-page", title: "card_page_title", text: "card_page_hint", actions: ["cardPage"] },
  INDETERMINATE: { name: "checking", title: "checking_title", text: "checking_hint", actions: [] },
  REQUIRES_REVIEW: { name: "checking", title: "checking_title", text: "checking_hint", actions: [] },
};

/** Return the view of a checkout; `cameBack` says that EPoint's page sent the customer here. */
export function viewOf({ status, attemptsLeft, transaction, savedCards }, { cameBack = false } = {}) {
  if (transaction?.status === "RETURNED") return { name: "returned", title: "returned_title", text: "returned_hint", actions: ["shop"] };
  if (status === "COMPLETE" || transaction?.status === "SUCCESS") {
    return { name: "paid", title: "paid_title", text: "paid_hint", actions: ["shop"] };
  }
  const waits = WAITS[transaction?.status];
  if (transaction?.status === "REQUIRES_ACTION" && cameBack) return { ...WAITS.NEW, actions: ["cardPageAgain"] };
  // A word that is newer than this page: better wait than let somebody pay twice.
  if (waits || (transaction && !transaction.isFinal)) return waits ?? WAITS.INDETERMINATE;
  if (status === "CANCELED") return { name: "canceled", title: "canceled_title", text: "canceled_hint", actions: ["shop"] };
  if (status === "EXPIRED") return { name: "expired", title: "expired_title", text: "expired_hint", actions: ["renew", "shop"] };
  if (!transaction) {
    const text = savedCards?.length ? "pay_cards_hint" : "pay_hint";
    return { name: "pay", title: "pay_title", text, pays: true, actions: ["cancel"] };
  }
  const text = transaction.failure?.category ?? "ABANDONED";
  if (attemptsLeft === 0) return { name: "no-attempts", title: "declined_title", text, more: "no_attempts", actions: ["shop"] };
  return {
    name: "declined", title: "declined_title", text, more: "no_money_moved", attempts: true, pays: true, actions: ["cancel"],
  };
}
