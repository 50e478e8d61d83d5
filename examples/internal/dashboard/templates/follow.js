// Puts what server-sent events bring into the page. Without it everything works; what is
// shown is then as old as the page. It moves nothing that somebody could be about to press:
// when that has changed, it says so, and loads the page again if nobody is using it.
"use strict";
(() => {
  const live = document.querySelector("[data-follow]");
  const say = document.getElementById("say");
  const link = document.getElementById("link");
  const news = document.getElementById("news");
  let used = Date.now();
  // What the page itself says is not read out again.
  let told = live?.querySelector("[data-say]")?.dataset.say ?? "";
  for (const kind of ["pointerdown", "pointermove", "keydown", "scroll", "touchstart", "input"]) {
    addEventListener(kind, () => { used = Date.now(); }, { passive: true, capture: true });
  }

  // lasting says how long something lasts, as the server says it.
  const lasting = (seconds) => {
    const s = Math.max(0, Math.floor(seconds)), m = Math.floor(s / 60), h = Math.floor(m / 60);
    if (s < 60) return s + " s";
    if (m < 60) return m + " min";
    if (h < 24) return h + " h" + (m % 60 ? " " + (m % 60) + " min" : "");
    return Math.floor(h / 24) + " d" + (h % 24 ? " " + (h % 24) + " h" : "");
  };
  const tick = () => {
    const now = Date.now() / 1000;
    for (const e of document.querySelectorAll("[data-since]")) e.textContent = lasting(now - e.dataset.since);
    for (const e of document.querySelectorAll("[data-until]")) e.textContent = lasting(e.dataset.until - now);
  };
  setInterval(tick, 5000);

  if (!live || !window.EventSource) return;

  const writing = () => {
    for (const e of document.querySelectorAll("main input:not([type=hidden]), main textarea")) {
      if (e.value !== e.defaultValue) return true;
    }
    return document.activeElement && document.activeElement.closest("form") !== null;
  };
  // again loads the page again, once nobody uses it; until then it offers to.
  const again = (text) => {
    if (!writing() && (document.hidden || Date.now() - used > 20000)) {
      location.replace(location.pathname + location.search);
      return;
    }
    if (news.textContent !== "") return;
    const a = document.createElement("a");
    a.href = location.pathname + location.search;
    a.textContent = "Show it";
    news.replaceChildren(text + " ", a);
    setInterval(() => again(text), 5000);
  };

  const key = (root) => (root.querySelector("[data-key]") || { dataset: {} }).dataset.key;
  const first = key(live);
  // put replaces the parts of the page that have the same id, but keeps what was opened.
  const put = (html) => {
    const next = new DOMParser().parseFromString(html, "text/html");
    for (const part of [...next.body.children]) {
      const old = part.id && document.getElementById(part.id);
      if (!old || !live.contains(old)) continue;
      for (const d of old.querySelectorAll("details[open][id]")) {
        const same = [...part.querySelectorAll("details")].find((n) => n.id === d.id);
        if (same) same.open = true;
      }
      const held = old.contains(document.activeElement) ? document.activeElement : null;
      const at = held ? [...old.querySelectorAll("a, summary, pre")].indexOf(held) : -1;
      old.replaceWith(document.adoptNode(part));
      if (at >= 0) {
        const e = part.querySelectorAll("a, summary, pre")[at];
        if (e) e.focus({ preventScroll: true });
      }
    }
    const words = live.querySelector("[data-say]");
    if (words && words.dataset.say !== told) {
      if (told !== "") say.textContent = words.dataset.say;
      told = words.dataset.say;
    }
    if (key(live) !== first) again("Something has changed that you may want to act on.");
  };

  const source = new EventSource(live.dataset.follow);
  source.onopen = () => { link.textContent = "This page follows what happens."; };
  source.onerror = () => {
    link.textContent = source.readyState === EventSource.CLOSED ? "This page does not follow any more: reload it." : "The connection is lost; trying again.";
  };
  source.addEventListener("part", (e) => put(e.data));
  source.addEventListener("problem", (e) => { source.close(); link.textContent = e.data; });
  source.addEventListener("end", () => { source.close(); link.textContent = "It has ended."; again("It has ended."); });
})();
