// What an agent says of a caller in the panel: which of several it is, or who somebody unknown is.
// The forms are the pages' own: a press leaves the panel and comes back to it.
"use strict";

const whoIsIt = (() => {
  const written = new Map(); // a form being filled in outlives the card around it

  function field(name, label, most, required) {
    const made = document.createElement("label");
    made.append(label);
    const input = document.createElement("input");
    Object.assign(input, { name, type: "text", maxLength: most, required, autocomplete: "off" });
    made.append(input);
    return made;
  }

  function button(text, className) {
    const made = document.createElement("button");
    Object.assign(made, { type: "submit", textContent: text, className });
    return made;
  }

  function form(address, values, ...parts) {
    const made = document.createElement("form");
    Object.assign(made, { method: "post", action: address });
    made.append(...[...document.getElementById("token").children].map((input) => input.cloneNode(true)));
    for (const [name, value] of Object.entries({ ...values, back: "panel" })) {
      const input = document.createElement("input");
      Object.assign(input, { type: "hidden", name, value });
      made.append(input);
    }
    made.append(...parts);
    return made;
  }

  /** A button for each of the others: it is them. */
  function choose(call, other) {
    return form(call.choose, { contact: other.contact }, button(`It is ${other.who || "this one"}`, "second"));
  }

  /** The form that makes a lead; the same one as long as the call lives, so that nothing typed is lost. */
  function lead(call) {
    if (!written.has(call.id)) {
      const fields = document.createElement("div");
      fields.className = "in-line";
      const said = [["given", "First name", 40, false], ["family", "Last name", 80, true], ["company", "Company", 200, false]];
      fields.append(...said.map((one) => field(...one)), button("Make a lead", ""));
      written.set(call.id, form(call.lead, {}, fields));
    }
    return written.get(call.id);
  }

  /** Forget the forms of calls that are over. */
  function keep(calls) {
    const living = new Set(calls.map((call) => call.id));
    for (const id of written.keys()) if (!living.has(id)) written.delete(id);
  }

  return { choose, lead, keep };
})();
