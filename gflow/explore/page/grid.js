// The matrix as cells that are clicked, typed into, dragged and walked through by keys.

import { number } from "./figures.js";

const FAR = 4;  // pixels after which a press is a drag
const NUMERIC = /^[0-9.,+\-*]$/;

export class Grid {
  constructor(box, hooks) {
    this.box = box;
    this.hooks = hooks;
    this.at = [0, 0];
    this.cells = [];
    this.editing = null;
    box.addEventListener("keydown", event => this.key(event));
    box.addEventListener("paste", event => this.paste(event));
    box.addEventListener("focusin", event => {
      const cell = event.target.closest("[role=gridcell]");
      if (cell) this.choose(Number(cell.dataset.i), Number(cell.dataset.j), false);
    });
  }

  get state() { return this.hooks.state(); }

  show() {
    const { values } = this.state, [d1, d2] = [values.length, values[0].length];
    if (this.cells.length !== d1 || this.cells[0].length !== d2) this.build(d1, d2);
    this.at = [Math.min(this.at[0], d1 - 1), Math.min(this.at[1], d2 - 1)];
    for (let i = 0; i < d1; i++) for (let j = 0; j < d2; j++) this.paint(i, j);
  }

  build(d1, d2) {
    this.box.textContent = "";
    this.box.style.gridTemplateColumns = `1.3rem repeat(${d2}, minmax(${d2 > 6 ? "2.75rem" : "0"}, 1fr))`;
    this.box.classList.toggle("many", d2 > 6);
    const head = (text, role) => {
      const made = document.createElement("div");
      made.className = "head"; made.textContent = text; made.setAttribute("role", role);
      return made;
    };
    const row = () => { const made = document.createElement("div"); made.setAttribute("role", "row"); this.box.append(made); return made; };
    const top = row();
    top.append(head("", "columnheader"), ...Array.from({ length: d2 }, (_, j) => head(String(j + 1), "columnheader")));
    this.cells = Array.from({ length: d1 }, (_, i) => {
      const line = row();
      line.append(head(String(i + 1), "rowheader"));
      return Array.from({ length: d2 }, (_, j) => {
        const cell = document.createElement("div");
        cell.setAttribute("role", "gridcell");
        Object.assign(cell.dataset, { i, j });
        cell.append(document.createElement("span"));
        cell.addEventListener("pointerdown", event => this.press(event, i, j));
        cell.addEventListener("dblclick", () => this.edit(i, j));
        cell.addEventListener("pointerenter", () => this.hooks.lit([i, j]));
        cell.addEventListener("pointerleave", () => this.hooks.lit(null));
        line.append(cell);
        return cell;
      });
    });
  }

  paint(i, j) {
    const cell = this.cells[i][j], { values, seen } = this.state, value = values[i][j], shown = seen[i][j];
    const chosen = this.at[0] === i && this.at[1] === j, fault = this.hooks.fault(i, j);
    cell.className = `cell${shown ? "" : " hidden"}${chosen ? " chosen" : ""}${fault ? " bad" : ""}`;
    cell.tabIndex = chosen ? 0 : -1;
    cell.setAttribute("aria-selected", String(chosen));
    cell.setAttribute("aria-invalid", String(Boolean(fault)));
    const text = value === null || value === "" ? "∗" : typeof value === "number" ? number(value, values[0].length > 6 ? 3 : 4) : value;
    if (!(this.editing && this.editing[0] === i && this.editing[1] === j)) {
      if (cell.firstChild.nodeName !== "SPAN") cell.replaceChildren(document.createElement("span"));
      cell.firstChild.textContent = text;
    }
    cell.setAttribute("aria-label", `row ${i + 1}, column ${j + 1}: ${shown ? text : value === null ? "not observed" : `hidden, ${text}`}`);
  }

  choose(i, j, focus = true) {
    const [a, b] = this.at;
    this.at = [i, j];
    if (this.cells[a]?.[b]) this.paint(a, b);
    this.paint(i, j);
    if (focus) this.cells[i][j].focus({ preventScroll: false });
    this.hooks.chosen(i, j);
  }

  press(event, i, j) {
    if (event.button !== 0 || event.target.nodeName === "INPUT") return;
    event.preventDefault();
    this.commit();
    this.choose(i, j);
    const cell = this.cells[i][j], from = event.clientX, start = Number(this.state.values[i][j]);
    const movable = this.state.seen[i][j] && Number.isFinite(start), step = this.hooks.step();
    let moved = false;
    cell.setPointerCapture(event.pointerId);
    const move = now => {
      const far = now.clientX - from;
      if (!moved && Math.abs(far) < FAR) return;
      const first = !moved;
      moved = true;
      if (movable) this.hooks.value(i, j, rounded(start + Math.trunc(far / 3) * step * (now.shiftKey ? 0.1 : 1), step / 10), true, first);
    };
    const end = done => {
      for (const [name, what] of [["pointermove", move], ["pointerup", end], ["pointercancel", end]]) cell.removeEventListener(name, what);
      if (!moved && done.type === "pointerup") this.hooks.toggle(i, j);
      if (moved) this.hooks.settled();
    };
    for (const [name, what] of [["pointermove", move], ["pointerup", end], ["pointercancel", end]]) cell.addEventListener(name, what);
  }

  key(event) {
    if (event.target.nodeName === "INPUT") return;
    const [i, j] = this.at, [d1, d2] = [this.cells.length, this.cells[0].length];
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (moves && !event.altKey) this.choose(Math.min(Math.max(i + moves[0], 0), d1 - 1), Math.min(Math.max(j + moves[1], 0), d2 - 1));
    else if (event.key === "Home") this.choose(i, 0);
    else if (event.key === "End") this.choose(i, d2 - 1);
    else if (event.ctrlKey || event.metaKey) return;
    else if ((moves && event.altKey) || event.key === "+" || event.key === "-") {
      const sign = event.key === "+" || moves?.[0] < 0 || moves?.[1] > 0 ? 1 : -1;
      this.hooks.nudge(i, j, sign * (event.shiftKey && moves ? 0.1 : 1));
    } else if (event.key === " " || event.key === "Delete" || event.key === "Backspace" || event.key === "*") this.hooks.toggle(i, j);
    else if (event.key === "Enter" || event.key === "F2") this.edit(i, j);
    else if (NUMERIC.test(event.key)) this.edit(i, j, event.key);
    else return;
    event.preventDefault();
  }

  edit(i, j, text = null) {
    const cell = this.cells[i][j], input = document.createElement("input"), held = this.state.values[i][j];
    this.editing = [i, j];
    input.value = text ?? (held === null ? "" : String(held));
    input.setAttribute("aria-label", `row ${i + 1}, column ${j + 1}`);
    cell.replaceChildren(input);
    input.focus();
    if (text === null) input.select();
    input.addEventListener("keydown", event => {
      if (event.key === "Enter" || event.key === "Tab") { this.commit(); this.choose(i, j); if (event.key === "Enter") event.preventDefault(); }
      else if (event.key === "Escape") { this.editing = null; this.paint(i, j); this.choose(i, j); }
      event.stopPropagation();
    });
    input.addEventListener("blur", () => this.commit());
  }

  commit() {
    if (!this.editing) return;
    const [i, j] = this.editing, input = this.cells[i][j].querySelector("input");
    this.editing = null;
    if (input) this.hooks.value(i, j, input.value, false);
    this.paint(i, j);
  }

  paste(event) {
    if (event.target.nodeName === "INPUT") return;
    const text = event.clipboardData.getData("text").trim();
    event.preventDefault();
    if (/[\t\n;]|m=|\d\s*,\s*\d.*,|\]/.test(text)) this.hooks.paste(text);
    else this.hooks.value(...this.at, text, false);
  }
}

export function rounded(x, step) {
  const digits = Math.max(0, Math.min(12, -Math.floor(Math.log10(step))));
  return Number(x.toFixed(digits));
}
