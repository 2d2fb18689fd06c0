// The page's own behaviour: theme, hold-to-confirm, copying, and the watchdog against a silent server.
window.tw = (() => {
  const HOLD_MS = 1000, SILENCE_MS = 4000, THEME = "tradewind-theme";

  function setTheme(dark) {
    if (window.Quasar) Quasar.Dark.set(dark);
    const scheme = document.getElementById("nicegui-color-scheme");
    if (scheme) scheme.content = dark ? "dark" : "light";
  }
  function toggleTheme() {
    const dark = !document.body.classList.contains("body--dark");
    setTheme(dark);
    try { localStorage.setItem(THEME, dark ? "dark" : "light"); } catch { /* private window: not remembered */ }
  }
  function restoreTheme() {
    try { if (localStorage.getItem(THEME) === "light") setTheme(false); } catch { /* keep the default */ }
  }

  async function copyHash(button) {
    const text = document.getElementById("head-hash")?.dataset.hash || "";
    const label = button.querySelector("span");
    try {
      await navigator.clipboard.writeText(text);
      label.textContent = text ? "Copied" : "Nothing to copy";
    } catch {
      label.textContent = "Not allowed";
    }
    setTimeout(() => { label.textContent = "Copy"; }, 1500);
  }

  let held = null, timer = 0;
  function startHold(button) {
    if (held) return;
    held = button;
    button.classList.add("holding");
    timer = setTimeout(() => {
      const done = held;
      stopHold();
      done.dispatchEvent(new CustomEvent("held"));
    }, HOLD_MS);
  }
  function stopHold() {
    clearTimeout(timer);
    held?.classList.remove("holding");
    held = null;
  }
  const target = (event) => event.target.closest?.("button.hold");
  document.addEventListener("pointerdown", (event) => { const b = target(event); if (b) startHold(b); });
  for (const name of ["pointerup", "pointercancel", "blur"]) window.addEventListener(name, stopHold);
  document.addEventListener("pointermove", (event) => { if (held && event.pointerType && !target(event)) stopHold(); });
  document.addEventListener("keydown", (event) => {
    const b = target(event);
    if (b && (event.key === " " || event.key === "Enter")) { event.preventDefault(); if (!event.repeat) startHold(b); }
  });
  document.addEventListener("keyup", (event) => { if (event.key === " " || event.key === "Enter") stopHold(); });

  // Silence is not success: when nothing arrives any more, the page says that its numbers are old.
  let beat = "", since = Date.now();
  setInterval(() => {
    const now = document.getElementById("tw-beat")?.textContent || "";
    if (now !== beat) { beat = now; since = Date.now(); }
    const silent = Date.now() - since;
    document.body.classList.toggle("silent", silent > SILENCE_MS);
    document.body.dataset.silence = `No update for ${Math.round(silent / 1000)} s. Everything below is old.`;
  }, 500);

  document.addEventListener("DOMContentLoaded", () => setTimeout(restoreTheme, 0));
  return { toggleTheme, copyHash };
})();
