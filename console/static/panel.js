// The agent's panel: asks every second who is on the line and shows it. Whatever came from outside is set as text,
// never as markup; shapes are copied from the page's own, and addresses are followed only when they are http(s) or ours.
"use strict";

(() => {
  const panel = document.getElementById("panel");
  const announce = document.getElementById("announce");
  const offline = document.getElementById("offline");
  const live = document.getElementById("live");
  const idle = live.firstElementChild;
  const EVERY_MS = 1000;
  const SLOWEST_MS = 15000;
  const title = document.title;
  let shown = "";
  let announced = "";
  let failures = 0;
  let skew = 0; // the server's clock minus this one's
  let leads = !navigator.locks; // of several tabs one alone speaks up: whoever holds the lock, until it is closed

  function el(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function shape(name) {
    const found = document.querySelector(`[data-shape="${CSS.escape(name)}"]`) || document.querySelector("[data-shape=dot]");
    return found.firstElementChild.cloneNode(true);
  }

  function link(address, text, outside) {
    const made = el("a", "", text);
    if (/^(\/(?!\/)|https?:\/\/)/.test(address)) made.href = address;
    if (outside && /^https?:/.test(address)) {
      made.target = "_blank";
      made.rel = "noopener noreferrer";
      made.append(shape("link"));
    }
    return made;
  }

  function status(tone, name, text) {
    const made = el("span", `status ${tone}`);
    made.append(shape(name), el("span", "", text));
    return made;
  }

  function row(call, lead, ...rest) {
    const made = el("li");
    const top = el("p", "row-top");
    const cover = link(call.url, call[lead], false);
    cover.className = "cover";
    top.append(cover, status(call.tone, call.shape, call.outcome));
    const parts = rest.map((name) => call[name]).filter(Boolean);
    made.append(top, el("p", "soft", parts.join(" · ")));
    return made;
  }

  function list(id, calls, nothing, ...parts) {
    const place = document.getElementById(id);
    place.replaceChildren(...(calls.length ? calls.map((call) => row(call, "who", ...parts)) : [el("li", "soft", nothing)]));
  }

  function section(heading, items) {
    const made = el("div", "beside");
    made.append(el("h3", "", heading));
    const rows = el("ul", "rows");
    rows.append(...items);
    made.append(rows);
    return made;
  }

  function letter(message) {
    const made = el("li");
    const top = el("p", "row-top");
    const subject = link(message.url, message.subject, false);
    subject.className = "cover";
    top.append(subject);
    made.append(top, el("p", "soft", `${message.sender} · ${message.when}`));
    return made;
  }

  function card(call) {
    const made = el("article", `caller${call.ringing ? " ringing" : ""}${call.known ? "" : " stranger"}`);
    const state = el("p", "caller-state");
    state.append(status("live", "ring", call.state), el("span", "soft", [call.direction, call.queue].filter(Boolean).join(" · ")));
    const timer = el("span", "timer number");
    timer.dataset.since = call.since;
    state.append(timer);
    made.append(state, el("h2", "caller-name", call.who));
    if (call.role) made.append(el("p", "caller-role", call.role));
    if (call.number) made.append(el("p", "caller-number number", call.number));
    if (!call.known || call.others.length) made.append(el("p", "soft", call.why));
    if (call.others.length) {
      const others = el("ul", "people");
      for (const other of call.others) {
        const one = el("li");
        one.append(link(other.url, other.who || "Without a name", false), whoIsIt.choose(call, other));
        others.append(one);
      }
      made.append(others);
    }
    if (call.controls.buttons.length || call.controls.keys) made.append(steering.controls(call));
    if (call.lead) made.append(whoIsIt.lead(call));
    if (call.links.length) {
      const links = el("p", "actions");
      call.links.forEach((item, place) => {
        const anchor = link(item.url, item.text, true);
        anchor.className = place === 0 ? "button" : "button second";
        links.append(anchor);
      });
      made.append(links);
    }
    if (call.calls.length || call.mail.length) {
      const beside = el("div", "columns");
      if (call.calls.length) beside.append(section("Before this call", call.calls.map((item) => row(item, "when", "direction", "agent", "talk"))));
      if (call.mail.length) beside.append(section("Recent mail", call.mail.map(letter)));
      made.append(beside);
    }
    return made;
  }

  // ---- how it went: a card for each call stays as long as somebody writes in it ----

  const asking = document.getElementById("asking");

  function field(label, control) {
    const made = el("div", "field");
    control.id = `f-${control.name}-${Math.random().toString(36).slice(2)}`;
    const words = el("label", "", label);
    words.htmlFor = control.id;
    made.append(words, control);
    return made;
  }

  function remarkCard(call, dispositions) {
    const form = el("form", "remark fields");
    form.dataset.call = call.id;
    form.append(el("h2", "", call.title));
    const words = call.disposition && !dispositions.includes(call.disposition) ? [...dispositions, call.disposition] : dispositions;
    if (words.length) {
      const select = el("select");
      select.name = "disposition";
      select.append(new Option("Not chosen", ""), ...words.map((word) => new Option(word, word)));
      select.value = call.disposition;
      form.append(field("Result", select));
    }
    const note = el("textarea");
    Object.assign(note, { name: "note", rows: 2, maxLength: 4000, value: call.note, autocomplete: "off" });
    const told = el("span", "soft");
    told.setAttribute("role", "status");
    const save = el("button", "", "Save");
    const foot = el("p", "foot-row");
    foot.append(save, told);
    form.append(field("Note", note), foot);
    form.addEventListener("input", () => { form.dataset.dirty = "yes"; told.textContent = ""; });
    form.addEventListener("submit", (event) => { event.preventDefault(); keep(form, call.url, told); });
    return form;
  }

  async function keep(form, url, told) {
    const body = new URLSearchParams(new FormData(form));
    body.set("csrf_token", panel.dataset.token);
    try {
      const answer = await fetch(url, { method: "POST", body, headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      delete form.dataset.dirty;
      told.textContent = "Saved.";
    } catch {
      told.textContent = "This could not be saved. Please try again.";
    }
  }

  function showAsking(calls, dispositions) {
    const wanted = new Map(calls.map((call) => [call.id, call]));
    for (const form of [...asking.children]) {
      if (!wanted.has(form.dataset.call) && !form.dataset.dirty) form.remove();
    }
    for (const call of calls) {
      let form = asking.querySelector(`[data-call="${CSS.escape(call.id)}"]`);
      if (!form) asking.append((form = remarkCard(call, dispositions)));
      form.classList.toggle("required", call.required);
    }
    asking.hidden = !asking.children.length;
  }

  function tick() {
    for (const timer of live.querySelectorAll("[data-since]")) {
      const seconds = Math.max(0, Math.floor((Date.now() + skew - Date.parse(timer.dataset.since)) / 1000));
      timer.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    }
  }

  function say(calls) {
    const said = calls.map((call) => `${call.state}: ${call.who}${call.role ? ", " + call.role : ""}`).join(". ");
    if (said === announced || !leads) return;
    announced = said;
    announce.textContent = said || "Nobody is on the line.";
    document.title = calls.length ? `${calls[0].state}: ${calls[0].who}` : title;
  }

  function show(state) {
    skew = Date.parse(state.now) - Date.now();
    const { now, ...lasting } = state;
    const looks = JSON.stringify(lasting);
    if (looks !== shown) {
      shown = looks;
      const typing = document.activeElement;
      live.replaceChildren(...(state.live.length ? state.live.map(card) : [idle]));
      if (live.contains(typing)) typing.focus();
      whoIsIt.keep(state.live);
      steering.keep(state.live);
      list("recent", state.recent, "No calls of yours yet.", "direction", "company", "when", "talk");
      list("missed", state.missed, "None. Well done.", "company", "agent", "when");
      say(state.live);
      showAsking(state.asking, state.dispositions);
    }
    tick();
  }

  async function ask() {
    try {
      const answer = await fetch(panel.dataset.state, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (answer.status === 401) {
        window.location.assign(panel.dataset.signIn);
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      show(await answer.json());
      failures = 0;
    } catch {
      failures += 1;
    }
    offline.hidden = failures < 3;
    setTimeout(ask, Math.min(EVERY_MS * 2 ** Math.max(0, failures - 1), SLOWEST_MS));
  }

  if (navigator.locks) {
    navigator.locks.request("linekeeper panel", () => {
      leads = true;
      return new Promise(() => {});
    });
  }
  ask();
})();
