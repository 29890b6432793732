// Tell Meet that the panel is here: until its session begins, Meet shows that it is loading
// (https://developers.google.com/workspace/meet/add-ons/guides/quickstart).
"use strict";
const own = document.querySelector("script[data-project]");
const addon = window.meet && window.meet.addon;
if (own && addon) addon.createAddonSession({ cloudProjectNumber: own.dataset.project }).catch(() => {});
