// Steering a live call from the panel: buttons, a keypad, and whom to pass the call on to. Each press is sent once, under
// a name of its own, and its button waits for the answer; what became of it stands under the buttons.
"use strict";

const steering = (() => {
  const panel = document.getElementById("panel");
  const EVERY_MS = 700;
  const LOOKS = 20; // a press is done within ten seconds or not at all
  const written = new Map(); // a keypad that is open and a number half typed outlive the card around them

  function named() {
    return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function say(said, good, text) {
    said.className = good ? "soft" : "problem";
    said.textContent = text;
  }

  async function steer(address, told, said, button) {
    const press = named();
    button.disabled = true;
    said.dataset.press = press;
    say(said, true, "");
    try {
      const answer = await fetch(address, {
        method: "POST",
        headers: { Accept: "application/json", "X-CSRFToken": panel.dataset.token },
        body: new URLSearchParams({ ...told, press }),
      });
      const refused = answer.ok ? {} : await answer.json().catch(() => ({}));
      if (!answer.ok) say(said, false, refused.detail || "That did not work. The call may be over.");
      else follow(address, press, said, LOOKS);
      return answer.ok;
    } catch {
      say(said, false, "We cannot be reached at the moment.");
      return false;
    } finally {
      button.disabled = false;
    }
  }

  /** Look what became of a press, until that is known or another button was pressed. */
  function follow(address, press, said, left) {
    if (!left) return;
    setTimeout(async () => {
      if (said.dataset.press !== press) return;
      try {
        const answer = await fetch(`${address}?press=${press}`, { headers: { Accept: "application/json" }, cache: "no-store" });
        const known = answer.ok ? await answer.json() : {};
        if (said.dataset.press !== press) return;
        if (known.over) say(said, known.done, known.text);
        else follow(address, press, said, left - 1);
      } catch {
        follow(address, press, said, left - 1);
      }
    }, EVERY_MS);
  }

  function button(text, className) {
    const made = document.createElement("button");
    Object.assign(made, { type: "button", textContent: text, className });
    return made;
  }

  function folded(title, className, inside) {
    const made = document.createElement("details");
    const summary = document.createElement("summary");
    made.className = className;
    summary.textContent = title;
    made.append(summary, inside);
    return made;
  }

  /** A number or a colleague's line, and the button that passes the call on to it. */
  function passOn(call, said) {
    const form = document.createElement("form");
    const label = document.createElement("label");
    const to = document.createElement("input");
    const go = button("Pass on", "second");
    form.className = "dialler pass-on";
    label.className = "unseen";
    label.textContent = "Number or inside line to pass the call on to";
    Object.assign(to, { id: `to-${call.id}`, name: "to", type: "text", inputMode: "tel", maxLength: 200 });
    Object.assign(to, { required: true, autocomplete: "off", placeholder: "Number or inside line" });
    to.setAttribute("list", "colleagues");
    label.htmlFor = to.id;
    go.type = "submit";
    form.append(label, to, go);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (!go.disabled && (await steer(`${call.controls.url}transfer`, { to: to.value }, said, go))) to.value = "";
    });
    return folded("Pass the call on", "keypad", form);
  }

  function made(call) {
    const whole = document.createElement("div");
    const said = document.createElement("p");
    const row = document.createElement("p");
    const more = document.createElement("div");
    const press = (text, className, action, told) => {
      const one = button(text, className);
      one.addEventListener("click", () => steer(call.controls.url + action, told, said, one));
      return one;
    };
    whole.className = "controls";
    said.setAttribute("role", "status");
    row.className = "actions";
    more.className = "more-controls";
    row.append(...call.controls.buttons.map((item) => press(item.text, item.action === "hangup" ? "danger" : "second", item.action, {})));
    if (call.controls.passes) more.append(passOn(call, said));
    if (call.controls.keys) {
      const pad = document.createElement("div");
      pad.className = "keys";
      pad.append(...[..."123456789*0#"].map((digit) => press(digit, "second number", "dtmf", { digits: digit })));
      more.append(folded("Keys", "keypad", pad));
    }
    whole.append(row, said, more);
    return whole;
  }

  /** What this call's agent can do now; the same buttons as long as they can do the same. */
  function controls(call) {
    const looks = JSON.stringify(call.controls);
    const before = written.get(call.id);
    if (before && before.looks === looks) return before.whole;
    const whole = made(call);
    written.set(call.id, { looks, whole });
    return whole;
  }

  /** Forget the buttons of calls that are over. */
  function keep(calls) {
    const living = new Set(calls.map((call) => call.id));
    for (const id of written.keys()) if (!living.has(id)) written.delete(id);
  }

  return { controls, keep };
})();
