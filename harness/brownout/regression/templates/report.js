"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const entries = all("[data-result]"), controls = {};
  for (const name of ["text", "result", "series", "tag"]) controls[name] = document.getElementById("filter-" + name);
  const count = document.getElementById("filter-count");

  function applies(entry, words, wanted) {
    const data = entry.dataset;
    return words.every((word) => data.text.includes(word))
      && (!wanted.result || data.result === wanted.result)
      && (!wanted.series || data.series === wanted.series)
      && (!wanted.tag || data.tags.split("|").includes(wanted.tag));
  }

  function filter() {
    const words = controls.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = { result: controls.result.value, series: controls.series.value, tag: controls.tag ? controls.tag.value : "" };
    const active = words.length > 0 || Object.values(wanted).some(Boolean);
    let shown = 0;
    for (const entry of entries) {
      entry.hidden = !applies(entry, words, wanted);
      if (!entry.hidden) shown++;
    }
    for (const section of all("main > section")) {
      const own = all("[data-result]", section);
      section.hidden = active && own.every((entry) => entry.hidden) && section.id !== "runs" && section.id !== "how";
    }
    count.textContent = active ? `${shown} of ${entries.length} shown` : "";
  }

  function clear() {
    for (const control of Object.values(controls)) if (control) control.value = "";
    filter();
  }

  // A link opens what it names, and everything around it.
  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (target.closest("[hidden]")) clear();
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    target.scrollIntoView();
    const summary = target.matches("details.case") ? target.querySelector("summary") : null;
    if (summary) summary.focus({ preventScroll: true });
  }

  function step(by) {
    const summaries = all("details.case > summary").filter((item) => item.offsetParent !== null);
    const inside = document.activeElement.closest?.("details.case");
    const at = summaries.indexOf(inside?.querySelector("summary"));
    const next = summaries[at < 0 ? (by > 0 ? 0 : summaries.length - 1) : Math.min(summaries.length - 1, Math.max(0, at + by))];
    if (!next) return;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }

  async function copy(button) {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      // A page from disk may not use the clipboard: select it for Ctrl-C.
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }

  function tell(cell) {
    let place = cell.closest(".flash-map");
    while (place && !place.matches(".readout")) place = place.nextElementSibling;
    if (place) place.textContent = cell.getAttribute("aria-label");
  }

  // One stop for Tab in each map; arrows move inside.
  function moveInMap(cell, by) {
    const cells = all("button.cell", cell.closest(".flash-map"));
    const next = cells[Math.min(cells.length - 1, Math.max(0, cells.indexOf(cell) + by))];
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  document.addEventListener("click", (event) => { if (event.target.matches?.("button.copy")) copy(event.target); });
  for (const kind of ["focusin", "mouseover"]) document.addEventListener(kind, (event) => {
    const cell = event.target.closest?.("button.cell");
    if (cell) tell(cell);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target, typing = target.matches?.("input, select, textarea");
    if (event.key === "Escape" && target.closest?.(".filter")) { clear(); target.blur(); return; }
    if (typing) return;
    if (target.matches?.("button.cell") && ["ArrowLeft", "ArrowRight"].includes(event.key)) {
      moveInMap(target, event.key === "ArrowRight" ? 1 : -1);
      event.preventDefault();
      return;
    }
    // In a log the arrows scroll; on a summary, and nowhere, they go from case to case.
    const arrows = target === document.body || target.matches?.("details.case > summary");
    const by = event.key === "j" || (arrows && event.key === "ArrowDown") ? 1 : event.key === "k" || (arrows && event.key === "ArrowUp") ? -1 : 0;
    if (by) { step(by); event.preventDefault(); }
    if (event.key === "/") { controls.text.focus(); controls.text.select(); event.preventDefault(); }
  });
  for (const control of Object.values(controls)) if (control) control.addEventListener("input", filter);
  // The end of a log is what matters.
  const atEnd = (pre) => { pre.scrollTop = pre.scrollHeight; };
  all("pre[data-end]").forEach(atEnd);
  document.addEventListener("toggle", (event) => all("pre[data-end]", event.target).forEach(atEnd), { capture: true, once: false });
  addEventListener("hashchange", reveal);
  filter();
  reveal();
})();
