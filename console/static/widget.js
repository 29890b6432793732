// The frame in Zoho, before it knows which record is open: Zoho's own script says so, and the frame goes to that page.
"use strict";

(() => {
  const NAMED = /^[A-Za-z0-9_]{1,64}$/;
  const here = document.getElementById("start").dataset.here;
  if (!window.ZOHO || !window.ZOHO.embeddedApp) return;
  window.ZOHO.embeddedApp.on("PageLoad", (told) => {
    const module = String((told && told.Entity) || "");
    const record = String([].concat((told && told.EntityId) || "")[0] || "");
    if (NAMED.test(module) && NAMED.test(record)) window.location.replace(`${here}/${module}/${record}`);
  });
  window.ZOHO.embeddedApp.init();
})();
