"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const op = data.op, point = data.point, rows = data.rows, verdicts = data.verdicts, text = data.strings;
  document.addEventListener("click", (event) => { if (event.target.matches?.("button.copy")) copy(event.target); });
  const map = document.getElementById("map"), chart = document.getElementById("addresses");
  const readout = document.getElementById("readout"), windowText = document.getElementById("window");
  let LEFT = 208;  // room for labels; less on a small screen
  const count = op.number.length, RIGHT = 8, ROW = 22, LANE = 12, AXIS = 20, CHART = 260;
  if (map === null) return;  // nothing was operated on, there are no charts
  const hex = (value) => "0x" + value.toString(16);

  // Points by row and operation; where two share a cell, a failure stays on top.
  const column = new Map(op.number.map((number, index) => [number, index]));
  const columnOf = (number) => column.get(number) ?? 0;
  const cells = rows.map(() => new Int32Array(Math.max(1, count)).fill(-1));
  const failed = new Uint8Array(Math.max(1, count));
  point.operation.forEach((number, index) => {
    const at = columnOf(number), row = cells[point.row[index]], failure = verdicts[point.verdict[index]].failure;
    if (row[at] < 0 || failure || !verdicts[point.verdict[row[at]]].failure) row[at] = index;
    if (failure) failed[at] = 1;
  });

  // What is shown: operations from `low` up to `high` (columns, fractional), and the cell under the cursor.
  const view = { low: 0, high: Math.max(1, count), row: 0, column: -1, pinned: false };
  let colours = {}, frame = 0;

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    const names = ["ink", "soft", "line", "empty", "grid", "program", "erase", "card", "on-good", "on-bad", "brick"];
    colours = {};
    for (const name of [...names, ...verdicts.map((verdict) => verdict.css)]) colours[name] = style.getPropertyValue("--" + name).trim();
  }

  function prepare(canvas, height) {
    const width = canvas.clientWidth, scale = window.devicePixelRatio || 1;
    canvas.style.height = height + "px";
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const g = canvas.getContext("2d");
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.clearRect(0, 0, width, height);
    g.font = "12px ui-monospace, Menlo, Consolas, monospace";
    g.textBaseline = "middle";
    return { g, width, plot: width - LEFT - RIGHT };
  }
  const xOf = (at, plot) => LEFT + ((at - view.low) / (view.high - view.low)) * plot;

  function clip(g, label, width) {
    if (g.measureText(label).width <= width) return label;
    while (label.length > 1 && g.measureText(label + "…").width > width) label = label.slice(0, -1);
    return label + "…";
  }

  function rowLabel(row) { return row[1] ? row[0] + " " + row[1].replaceAll("_", " ") : row[0]; }

  function drawMap() {
    const height = LANE + rows.length * ROW + AXIS;
    const { g, width, plot } = prepare(map, height);
    const perCell = plot / (view.high - view.low);
    rows.forEach((row, index) => {
      const y = LANE + index * ROW;
      g.fillStyle = colours.ink;
      g.textAlign = "right";
      g.fillText(clip(g, rowLabel(row), LEFT - 12), LEFT - 8, y + ROW / 2);
      g.fillStyle = colours.empty;
      g.fillRect(LEFT, y + 1, plot, ROW - 2);
      if (perCell >= 2) drawCells(g, cells[index], y, perCell, plot);
      else drawColumns(g, cells[index], y, plot);
    });
    drawLane(g, plot);
    drawAxis(g, width, plot, height);
    drawCursor(g, plot, LANE + rows.length * ROW);
  }

  function drawCells(g, row, y, perCell, plot) {
    const gap = perCell >= 5 ? 1 : 0;
    for (let at = Math.max(0, Math.floor(view.low)); at < Math.min(count, Math.ceil(view.high)); at++) {
      if (row[at] < 0) continue;
      const verdict = verdicts[point.verdict[row[at]]];
      const left = Math.max(LEFT, xOf(at, plot)), right = Math.min(LEFT + plot, xOf(at + 1, plot));
      fillCell(g, verdict, left, y + 1, Math.max(1, right - left - gap), ROW - 2);
      if (perCell >= 10) {
        g.fillStyle = verdict.failure ? colours["on-bad"] : colours["on-good"];
        g.textAlign = "center";
        g.fillText(verdict.letter, (left + right - gap) / 2, y + ROW / 2 + 1);
      }
    }
  }

  // Several operations in one pixel column: the worst of them shows.
  function drawColumns(g, row, y, plot) {
    const each = (view.high - view.low) / plot;
    for (let x = 0; x < plot; x++) {
      const from = Math.max(0, Math.floor(view.low + x * each)), to = Math.min(count, Math.max(from + 1, Math.floor(view.low + (x + 1) * each)));
      let best = null;
      for (let at = from; at < to; at++) {
        if (row[at] < 0) continue;
        const verdict = verdicts[point.verdict[row[at]]];
        if (best === null || (verdict.failure && !best.failure)) best = verdict;
        if (best.failure) break;
      }
      if (best !== null) fillCell(g, best, LEFT + x, y + 1, 1, ROW - 2);
    }
  }

  // Failures have a bar of ink at top and bottom: they stand out without colour, at one pixel's width too.
  function fillCell(g, verdict, x, y, width, height) {
    g.fillStyle = colours[verdict.css];
    g.fillRect(x, y, width, height);
    if (!verdict.failure) return;
    g.fillStyle = colours.ink;
    g.fillRect(x, y, width, 2);
    g.fillRect(x, y + height - 2, width, 2);
  }

  function drawLane(g, plot) {
    g.fillStyle = colours.brick;
    let last = -99;
    for (let at = Math.max(0, Math.floor(view.low)); at < Math.min(count, Math.ceil(view.high)); at++) {
      if (!failed[at]) continue;
      const x = Math.round(xOf(at + 0.5, plot));
      if (x - last < 3) continue;
      last = x;
      g.beginPath();
      g.moveTo(x - 4, 1);
      g.lineTo(x + 4, 1);
      g.lineTo(x, LANE - 2);
      g.fill();
    }
  }

  function drawAxis(g, width, plot, height) {
    const span = view.high - view.low, target = Math.max(1, span / (plot / 90));
    const power = 10 ** Math.floor(Math.log10(target)), step = Math.max(1, [1, 2, 5, 10].find((unit) => unit * power >= target) * power);
    g.fillStyle = colours.soft;
    g.textAlign = "center";
    if (!count) return;
    const first = op.number[Math.max(0, Math.min(count - 1, Math.floor(view.low)))];
    for (let number = Math.ceil(first / step) * step || step; ; number += step) {
      const at = column.get(number);
      if (at === undefined || at >= view.high) break;
      const x = xOf(at + 0.5, plot);
      if (x < LEFT || x > width - RIGHT) continue;
      const label = number.toLocaleString("en"), half = g.measureText(label).width / 2;
      g.fillRect(x, height - AXIS, 1, 4);
      g.fillText(label, Math.min(x, width - half), height - AXIS / 2 + 2);
    }
    g.textAlign = "right";
    g.fillText("operation", LEFT - 8, height - AXIS / 2 + 2);
  }

  function drawCursor(g, plot, height) {
    if (view.column < 0 || view.column < Math.floor(view.low) || view.column >= view.high) return;
    const left = Math.max(LEFT, xOf(view.column, plot)), right = Math.max(left + 2, xOf(view.column + 1, plot));
    g.strokeStyle = colours.ink;
    g.lineWidth = view.pinned ? 2 : 1;
    g.strokeRect(left - 1, LANE - 1, right - left + 1, height - LANE + 1);
    g.lineWidth = 1;
  }

  // The touched parts of the array one above the other, low addresses at the bottom.
  function layout() {
    const total = data.extents.reduce((sum, [from, to]) => sum + to - from, 0), gap = 12;
    const room = CHART - AXIS - gap * Math.max(0, data.extents.length - 1), least = Math.min(16, room / Math.max(1, data.extents.length));
    const heights = data.extents.map(([from, to]) => Math.max(least, ((to - from) / total) * room));
    const scale = room / heights.reduce((sum, value) => sum + value, 0);
    let bottom = CHART - AXIS;
    return data.extents.map(([from, to], index) => {
      const height = heights[index] * scale, part = { from, to, bottom, height };
      bottom -= height + gap;
      return part;
    });
  }

  function drawAddresses() {
    const { g, width, plot } = prepare(chart, CHART), parts = layout();
    const yOf = (part, offset) => part.bottom - ((offset - part.from) / (part.to - part.from)) * part.height;
    let lastLabel = CHART + 99;
    parts.forEach((part, index) => {
      g.fillStyle = colours.empty;
      g.fillRect(LEFT, part.bottom - part.height, plot, part.height);
      if (index) {
        g.setLineDash([4, 4]);
        g.strokeStyle = colours.grid;
        g.beginPath();
        g.moveTo(LEFT, part.bottom + 6);
        g.lineTo(width - RIGHT, part.bottom + 6);
        g.stroke();
        g.setLineDash([]);
      }
      lastLabel = drawRegions(g, part, yOf, width, lastLabel);
    });
    drawBoots(g, plot);
    const partOf = (offset) => parts.find((part) => offset >= part.from && offset < part.to);
    for (let at = Math.max(0, Math.floor(view.low)); at < Math.min(count, Math.ceil(view.high)); at++) {
      const part = partOf(op.offset[at]);
      if (part === undefined) continue;
      const left = Math.max(LEFT, xOf(at, plot)), wide = Math.max(1.5, Math.min(LEFT + plot, xOf(at + 1, plot)) - left);
      const top = yOf(part, Math.min(part.to, op.offset[at] + op.length[at])), high = Math.max(2, yOf(part, op.offset[at]) - top);
      if (op.erase[at] && wide < 3) {
        g.fillStyle = colours.erase;
        g.fillRect(left, top, wide, high);
      } else if (op.erase[at]) {
        g.strokeStyle = colours.erase;
        g.strokeRect(left + 0.5, top + 0.5, Math.max(1, wide - 1), Math.max(1, high - 1));
      } else {
        g.fillStyle = failed[at] ? colours.brick : colours.program;
        g.fillRect(left, top, wide, high);
      }
    }
    drawLane(g, plot);
    drawCursor(g, plot, CHART - AXIS);
    drawAxis(g, width, plot, CHART);
  }

  function drawRegions(g, part, yOf, width, lastLabel) {
    g.textAlign = "right";
    const inside = data.regions.filter(([, offset, size]) => offset < part.to && offset + size > part.from);
    const names = inside.length ? inside : [[hex(data.base + part.from), part.from, part.to - part.from]];
    for (const [name, offset, size] of [...names].sort((one, other) => one[1] - other[1] || one[2] - other[2])) {
      const low = yOf(part, Math.max(part.from, offset)), high = yOf(part, Math.min(part.to, offset + size));
      g.strokeStyle = colours.grid;
      g.beginPath();
      g.moveTo(LEFT - 4, low);
      g.lineTo(width - RIGHT, low);
      g.stroke();
      const middle = (low + high) / 2;
      if (lastLabel - middle < 13) continue;
      lastLabel = middle;
      g.fillStyle = colours.ink;
      g.fillText(clip(g, name, LEFT - 12), LEFT - 8, middle);
    }
    return lastLabel;
  }

  function drawBoots(g, plot) {
    g.strokeStyle = colours.soft;
    g.setLineDash([2, 3]);
    for (let at = Math.max(1, Math.floor(view.low)); at < Math.min(count, view.high); at++) {
      if (op.boot[at] === op.boot[at - 1]) continue;
      const x = Math.round(xOf(at, plot)) + 0.5;
      g.beginPath();
      g.moveTo(x, 0);
      g.lineTo(x, CHART - AXIS);
      g.stroke();
    }
    g.setLineDash([]);
  }

  function draw() {
    frame = 0;
    LEFT = Math.min(208, Math.round(map.clientWidth * 0.3));
    drawMap();
    drawAddresses();
    const first = Math.floor(view.low), last = Math.min(count, Math.ceil(view.high)) - 1;
    windowText.textContent = count ? `operations ${op.number[first].toLocaleString("en")} to ${op.number[last].toLocaleString("en")} of ${count.toLocaleString("en")}` : "no flash operation";
  }
  const later = () => { if (!frame) frame = requestAnimationFrame(draw); };

  // -- what the cell under the cursor says ------------------------------------------------------------------
  function tell() {
    readout.replaceChildren();
    if (view.column < 0 || !count) return;
    const at = view.column, list = document.createElement("dl");
    const add = (name, value, code) => {
      if (value === "") return;
      const dt = document.createElement("dt"), dd = document.createElement("dd"), inner = document.createElement(code ? "code" : "span");
      dt.textContent = name;
      inner.textContent = value;
      dd.append(inner);
      list.append(dt, dd);
    };
    const where = [text[op.region[at]], text[op.state[at]] && "state " + text[op.state[at]], "boot " + op.boot[at]].filter(Boolean).join(", ");
    add("operation", `${op.number[at].toLocaleString("en")}: ${op.erase[at] ? "erase" : "program"} of ${op.length[at]} bytes at ${hex(data.base + op.offset[at])} (${where})`);
    add("code", `${text[op.symbol[at]] || "no symbol"} (pc ${hex(op.pc[at])})`);
    const found = rows.map((row, index) => [row, cells[index][at]]).filter(([, index]) => index >= 0);
    const chosen = cells[view.row]?.[at] ?? -1;
    add("outcomes", found.map(([row, index]) => `${rowLabel(row)}: ${verdicts[point.verdict[index]].name}`).join(", "));
    if (chosen >= 0) {
      const row = rows[view.row], verdict = verdicts[point.verdict[chosen]], same = text[point.same[chosen]];
      add("this cell", `${rowLabel(row)}: ${verdict.letter} ${verdict.name}` + (point.time[chosen] ? `, up after ${point.time[chosen].toLocaleString("en")} halfwords of code` : "") + (same ? `; same flash as ${same}` : ""));
      add("replay", data.prefix + (text[point.replay[chosen]] || `op=${op.number[at]}/${row[0]}${row[1] ? "/" + row[1] : ""}`), true);
    }
    readout.append(list);
    if (view.pinned) {
      const note = document.createElement("p");
      note.className = "hint";
      note.textContent = "Held: click the cell again, or press Escape, to follow the mouse.";
      readout.append(note);
    }
  }

  // -- moving about -----------------------------------------------------------------------------------------
  function show(low, high) {
    const span = Math.min(Math.max(1, count), Math.max(4, high - low));
    view.low = Math.min(Math.max(0, low), Math.max(1, count) - span);
    view.low = Math.max(0, view.low);
    view.high = view.low + span;
    later();
  }
  const zoom = (factor, middle) => {
    const centre = middle ?? (view.low + view.high) / 2;
    show(centre - (centre - view.low) * factor, centre + (view.high - centre) * factor);
  };
  const place = (event, canvas) => {
    const box = canvas.getBoundingClientRect(), plot = box.width - LEFT - RIGHT;
    return {
      at: view.low + ((event.clientX - box.left - LEFT) / plot) * (view.high - view.low),
      row: Math.floor((event.clientY - box.top - LANE) / ROW),
      inside: event.clientX - box.left >= LEFT,
    };
  };
  function choose(at, row) {
    view.column = Math.min(count - 1, Math.max(0, Math.floor(at)));
    if (row >= 0 && row < rows.length) view.row = row;
    tell();
    later();
  }
  function step(move) {
    const at = Math.min(count - 1, Math.max(0, view.column + move));
    view.pinned = true;
    reveal(at);
    choose(at, view.row);
  }
  function reveal(at) {
    const span = view.high - view.low;
    if (at < view.low || at >= view.high) show(at - span / 2, at + span / 2);
  }
  function nextFinding() {
    for (let move = 1; move <= count; move++) {
      const at = (view.column + move + count) % count;
      if (!failed[at]) continue;
      view.pinned = true;
      reveal(at);
      choose(at, rows.findIndex((row, index) => cells[index][at] >= 0 && verdicts[point.verdict[cells[index][at]]].failure));
      return;
    }
  }

  for (const canvas of [map, chart]) {
    let drag = null;
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;  // a plain wheel scrolls the page
      event.preventDefault();
      zoom(event.deltaY > 0 ? 1.25 : 0.8, place(event, canvas).at);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      drag = { x: event.clientX, low: view.low, high: view.high, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (drag && Math.abs(event.clientX - drag.x) > 3) {
        drag.moved = true;
        const plot = canvas.clientWidth - LEFT - RIGHT, shift = ((drag.x - event.clientX) / plot) * (drag.high - drag.low);
        show(drag.low + shift, drag.high + shift);
      } else if (!drag && !view.pinned) {
        const { at, row, inside } = place(event, canvas);
        if (inside) choose(at, canvas === map ? row : view.row);
      }
    });
    canvas.addEventListener("pointerup", (event) => {
      if (drag && !drag.moved) {
        const { at, row, inside } = place(event, canvas), again = view.pinned && view.column === Math.floor(at);
        if (inside) {
          view.pinned = !again;
          choose(at, canvas === map ? row : view.row);
        }
      }
      drag = null;
    });
    canvas.addEventListener("pointercancel", () => { drag = null; });
  }
  map.addEventListener("keydown", (event) => {
    const act = {
      ArrowLeft: () => step(-1), ArrowRight: () => step(1), "+": () => zoom(0.6), "-": () => zoom(1.6), n: nextFinding,
      ArrowUp: () => choose(view.column, view.row - 1), ArrowDown: () => choose(view.column, view.row + 1),
      Escape: () => { view.pinned = false; tell(); later(); }, Home: () => show(0, count),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (count) act();
  });
  document.getElementById("zoom-in").addEventListener("click", () => zoom(0.6));
  document.getElementById("zoom-out").addEventListener("click", () => zoom(1.6));
  document.getElementById("zoom-all").addEventListener("click", () => show(0, count));
  document.getElementById("next-finding").addEventListener("click", nextFinding);

  async function copy(button) {
    const value = button.parentElement.querySelector("code").textContent;
    try {
      await navigator.clipboard.writeText(value);
      button.textContent = "Copied";
    } catch {
      // A page from disk may not use the clipboard: select it for Ctrl-C.
      getSelection().selectAllChildren(button.parentElement.querySelector("code"));
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }
  const repaint = () => { readColours(); draw(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("paper");
    document.querySelectorAll("article details:first-of-type").forEach((part) => { part.open = true; });
    repaint();
  });
  addEventListener("afterprint", () => { document.documentElement.classList.remove("paper"); repaint(); });
  new ResizeObserver(later).observe(map);
  repaint();
})();
