// While somebody of a list is called: asks whether the call has ended, and then shows who is next. A note that is
// being written is left alone; saving it leads on.
"use strict";
const card = document.querySelector("[data-watch]");
if (card) {
  const EVERY_MS = 2000;
  const note = card.querySelector("textarea");
  const ask = async () => {
    const answer = await fetch(card.dataset.watch, { headers: { Accept: "application/json" } }).catch(() => null);
    if (answer && answer.status >= 400 && answer.status < 500) return;
    const told = answer && answer.ok ? await answer.json() : null;
    if (!told || String(told.turn) === card.dataset.turn) setTimeout(ask, EVERY_MS);
    else if (note.value === note.defaultValue) location.reload();
    else card.querySelector("[data-over]").hidden = false;
  };
  setTimeout(ask, EVERY_MS);
}
