// Drawings as SVG: each function returns an element as wide as it is told, at one unit a pixel.

const SPACE = "http://www.w3.org/2000/svg";
export const COLORS = ["var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)"];
export const color = k => COLORS[k % COLORS.length];

export function el(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "fill" || name === "stroke") made.style[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function number(x, digits = 4) {
  if (x === null || x === undefined) return "–";
  if (x !== 0 && (Math.abs(x) >= 1e5 || Math.abs(x) < 1e-4)) {
    const [head, power] = x.toExponential(Math.min(digits - 1, 2)).split("e");
    return `${Number(head)}e${Number(power)}`.replaceAll("-", "−");
  }
  return String(Number(x.toPrecision(digits))).replace("-", "−");
}

const svg = (width, height, title) => {
  const made = el("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
  made.append(el("title", {}, title));
  return made;
};
const line = (x1, y1, x2, y2, kind) => el("line", { x1, y1, x2, y2, class: kind });
const label = (x, y, text, extra = {}) => el("text", { x, y, ...extra }, text);

export function curve(points, kind, stroke) {
  const parts = [];
  let pen = "M";
  for (const [x, y] of points) {
    if (y === null || !Number.isFinite(y)) pen = "M";
    else { parts.push(`${pen}${x.toFixed(1)},${y.toFixed(1)}`); pen = "L"; }
  }
  const made = el("path", { d: parts.join(""), class: kind });
  if (stroke) made.style.stroke = stroke;
  return made;
}

function steps(low, high, count) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find(m => m * power >= rough) * power, found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(k * step);
  return found;
}

function decades(low, high) {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first) / 5)), found = [];
  for (let k = first; k <= last; k += every) found.push(k);
  return found;
}

// A frame with both axes; x is linear, y linear or logarithmic. Returns the drawing and the two scales.
function frame(width, height, title, x, y, { log = false, xlabel = "", ylabel = "", top = 20, whole = false } = {}) {
  const made = svg(width, height, title), box = { left: 50, right: width - 10, top, bottom: height - 38 };
  const across = v => box.left + (v - x[0]) / (x[1] - x[0] || 1) * (box.right - box.left);
  const share = log ? v => Math.log(Math.max(v, y[0]) / y[0]) / Math.log(y[1] / y[0]) : v => (v - y[0]) / (y[1] - y[0] || 1);
  const up = v => box.bottom - share(v) * (box.bottom - box.top);
  for (const v of log ? decades(y[0], y[1]) : steps(y[0], y[1], 5)) {
    const height = up(log ? 10 ** v : v);
    made.append(line(box.left, height, box.right, height, "rule"));
    const text = label(box.left - 7, height + 4, log ? "10" : number(v), { "text-anchor": "end" });
    if (log) text.append(el("tspan", { dy: -5, "font-size": 9 }, String(v).replace("-", "−")));
    made.append(text);
  }
  for (const v of steps(x[0], x[1], Math.max(2, Math.floor(width / 90))).filter(v => !whole || Number.isInteger(v))) {
    made.append(line(across(v), box.bottom, across(v), box.bottom + 4, "axis"));
    made.append(label(across(v), box.bottom + 17, number(v), { "text-anchor": "middle" }));
  }
  made.append(line(box.left, box.bottom, box.right, box.bottom, "axis"));
  made.append(label((box.left + box.right) / 2, height - 4, xlabel, { "text-anchor": "middle" }));
  made.append(label(box.left - 44, 11, ylabel));
  return { made, across, up, box };
}

export function graph(width, state, found, lit) {
  const [d1, d2] = [state.values.length, state.values[0].length], step = Math.max(24, Math.min(52, 240 / Math.max(d1, d2)));
  const height = step * Math.max(d1, d2) + 26, left = 30, right = Math.max(width - 30, 120);
  const made = svg(width, height, `Observation graph: rows left, columns right, ${found.words}`);
  const place = (k, n) => 22 + step * (Math.max(d1, d2) - n) / 2 + step * (k + 0.5);
  const part = { rows: Array(d1).fill(null), columns: Array(d2).fill(null) };
  found.components.forEach((each, k) => {
    each.rows.forEach(i => { part.rows[i] = k; });
    each.columns.forEach(j => { part.columns[j] = k; });
  });
  made.append(label(left, 12, "rows", { "text-anchor": "middle" }), label(right, 12, "columns", { "text-anchor": "middle" }));
  state.values.forEach((row, i) => row.forEach((value, j) => {
    if (!state.seen[i][j]) return;
    const zero = Number(value) === 0, on = lit && lit[0] === i && lit[1] === j;
    const made_ = line(left, place(i, d1), right, place(j, d2), `edge${zero ? " zero" : ""}${on ? " lit" : ""}`);
    made_.style.stroke = zero ? "var(--soft)" : color(part.rows[i] ?? 5);
    made_.append(el("title", {}, `row ${i + 1}, column ${j + 1}: ${value}`));
    made.append(made_);
  }));
  const node = (x, y, text, k) => {
    const circle = el("circle", { cx: x, cy: y, r: 11, class: k === null ? "alone" : "node" });
    if (k !== null) circle.style.fill = color(k);
    made.append(circle, label(x, y + 4, text, { class: k === null ? "" : "on", "text-anchor": "middle" }));
  };
  for (let i = 0; i < d1; i++) node(left, place(i, d1), String(i + 1), part.rows[i]);
  for (let j = 0; j < d2; j++) node(right, place(j, d2), String(j + 1), part.columns[j]);
  return made;
}

// The loss of the saddles against time; where times are not known, against their number.
export function stairsOf(chain) {
  const known = chain.clock === "log" && chain.stops.every(stop => stop.time !== null);
  const times = chain.stops.map((stop, k) => known ? stop.time : k);
  const last = times.at(-1), end = known ? (last * 1.22 || 1) : last + 1;
  const losses = chain.stops.map(stop => stop.loss), kept = losses.filter(x => x > 0);
  const low = (kept.length ? Math.min(...kept) : 1) / 30, high = 3 * (kept.length ? Math.max(...kept) : 1);
  return { known, times, end, losses, low, high };
}

function falling(times, losses, end, low) {
  const points = [];
  times.forEach((t, k) => {
    const height = Math.max(losses[k], low), until = k + 1 < times.length ? times[k + 1] : end;
    points.push([t, height], [until, height]);
  });
  return points;
}

export function stairs(width, chain) {
  const { known, times, end, losses, low, high } = stairsOf(chain);
  const { made, across, up } = frame(width, 270, "Loss from saddle to saddle", [0, end], [low, high], {
    log: true, whole: !known, ylabel: "loss", xlabel: known ? "time / log(1/α)" : "saddles passed",
  });
  const path = falling(times, losses, end, low).map(([x, y]) => [across(x), up(y)]);
  made.append(curve(path, "curve", "var(--c0)"));
  chain.stops.forEach((stop, k) => {
    const until = k + 1 < times.length ? times[k + 1] : end, at = (across(times[k]) + across(until)) / 2;
    const room = across(until) - across(times[k]), text = room > 92 ? `rank ${stop.rank} · ${number(stop.loss, 3)}` : room > 44 ? `rank ${stop.rank}` : room > 12 ? String(stop.rank) : "";
    made.append(label(at, up(Math.max(stop.loss, low)) - 7, text, { class: "strong", "text-anchor": "middle" }));
  });
  return made;
}

// Where an escape goes: bars for the rows and the columns, tints for their products.
export function direction(u, v) {
  const cell = Math.max(7, Math.min(16, 84 / Math.max(u.length, v.length))), bar = 20, gap = 3;
  const width = bar + gap + cell * v.length, height = bar + gap + cell * u.length;
  const made = svg(width, height, `Escape direction on rows (${u.map(x => number(x, 2)).join(", ")}) and columns (${v.map(x => number(x, 2)).join(", ")})`);
  const most = Math.max(...u.map(Math.abs)) * Math.max(...v.map(Math.abs)) || 1;
  const tint = x => x < 0 ? "var(--c1)" : "var(--c0)";
  const box = (x, y, w, h, fill, opacity) => { const made = el("rect", { x, y, width: w, height: h, rx: 1.5, "fill-opacity": opacity }); made.style.fill = fill; return made; };
  u.forEach((a, i) => made.append(box(bar * (1 - Math.abs(a)), bar + gap + cell * i + 1, bar * Math.abs(a) + .01, cell - 2, tint(a), 1)));
  v.forEach((b, j) => made.append(box(bar + gap + cell * j + 1, bar * (1 - Math.abs(b)), cell - 2, bar * Math.abs(b) + .01, tint(b), 1)));
  u.forEach((a, i) => v.forEach((b, j) => made.append(box(bar + gap + cell * j + .5, bar + gap + cell * i + .5, cell - 1, cell - 1, tint(a * b), .08 + .75 * Math.abs(a * b) / most))));
  return made;
}

export const clockOf = course => course.clock.replace("alpha", "α").replace("^-1", "⁻¹").replace("^-2", "⁻²");

export function lossCurve(width, course, chain) {
  const { known, times, losses, low, high } = chain ? stairsOf(chain) : { known: false, times: [], losses: [], low: 1e-6, high: 1 };
  const shown = course.losses.filter(x => x > 0), top = Math.max(high, ...shown.slice(0, 1));
  const { made, across, up } = frame(width, 240, "Loss along the trajectory, and in the limit", [0, course.last], [low, top], {
    log: true, ylabel: "loss", xlabel: `time / ${clockOf(course)}`,
  });
  let falls = known ? times : [0, ...course.predicted];
  if (falls.length > losses.length) falls = falls.slice(0, losses.length);
  if (falls.length > 1 && falls.every(t => t !== null)) {
    const whole = falls.length === losses.length;
    const steps = falling(falls, losses.slice(0, falls.length), whole ? course.last : falls.at(-1), low).filter(([t]) => t <= course.last);
    if (whole) steps.push([course.last, steps.at(-1)[1]]);
    made.append(curve(steps.map(([x, y]) => [across(x), up(y)]), "ghost"));
  }
  const points = course.times.map((t, k) => [across(Math.min(t, course.last)), up(course.losses[k])]);
  made.append(curve(points, "curve", "var(--c0)"));
  return made;
}

export function valueCurves(width, course, which) {
  const values = course.values[which], top = Math.max(...values.map(row => row[0])) || 1;
  const { made, across, up } = frame(width, 240, `Singular values of ${which} along the trajectory`, [0, course.last], [top * 1e-9, top * 3], { log: true, ylabel: "σ", xlabel: "time, as on the left" });
  for (let k = values[0].length - 1; k >= 0; k--) {
    const points = course.times.map((t, m) => [across(Math.min(t, course.last)), values[m][k] > top * 1e-9 ? up(values[m][k]) : null]);
    made.append(curve(points, "curve", color(k)));
  }
  return made;
}

export function density(width, height, law, drawn, chosen) {
  const made = svg(width, height, "How the entry is distributed over starts");
  let span = 1, base = height - 9;
  if (law.kind === "density") {
    span = law.half * 1.06 || 1;
    const most = Math.min(Math.max(...law.points.map(p => p[1])), 3 * law.points[Math.floor(law.points.length / 2)][1]);
    const x = v => width / 2 * (1 + v / span), y = v => base - Math.min(v / most, 1) * (base - 3);
    const points = law.points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`);
    made.append(el("polygon", { points: [`${x(law.points[0][0])},${base}`, ...points, `${x(law.points.at(-1)[0])},${base}`].join(" "), class: "law" }));
  } else if (law.kind === "values") {
    const low = Math.min(...law.values.map(p => p[0])), high = Math.max(...law.values.map(p => p[0]));
    span = Math.max(Math.abs(low), Math.abs(high)) * 1.15 || 1;
    const most = Math.max(...law.values.map(p => p[1]));
    for (const [a, b] of law.values) made.append(line(width / 2 * (1 + a / span), base, width / 2 * (1 + a / span), base - b / most * (base - 4), "stem"));
  } else span = Math.max(...drawn.map(Math.abs), 1e-300) * 1.1;
  made.append(line(2, base, width - 2, base, "rule"));
  drawn.forEach((v, k) => {
    const at = width / 2 * (1 + v / span);
    if (at > 0 && at < width) made.append(el("circle", { cx: at, cy: base + 4.5, r: k === chosen ? 3.6 : 2.2, class: k === chosen ? "start lit" : "start" }));
  });
  return made;
}

// The range that is shown: where values run away to one side, the bulk of them.
function middling(values) {
  const sorted = values.toSorted((a, b) => a - b), at = share => sorted[Math.round(share * (sorted.length - 1))];
  const [low, high] = [at(0.1), at(0.9)], reach = 0.8 * (high - low) || Math.abs(high) || 1;
  return [Math.max(sorted[0], low - reach), Math.min(sorted.at(-1), high + reach)];
}

let clips = 0;

export function swing(width, sweep, now) {
  const points = sweep.points, values = points.filter(p => p.y !== null).flatMap(p => [p.y - (p.std ?? 0), p.y + (p.std ?? 0)]);
  if (!points.length) return svg(width, 10, "nothing swept");
  let [low, high] = values.length ? middling(values) : [-1, 1];
  const margin = 0.08 * (high - low) || 0.1 * Math.abs(high) || 1;
  const { made, across, up, box } = frame(width, 250, "An entry of the limit against the value that is swept", [sweep.low, sweep.high], [low - margin, high + margin], {
    top: 36, ylabel: `entry (${sweep.watched_row + 1}, ${sweep.watched_column + 1}) of the limit`, xlabel: `value at (${sweep.row + 1}, ${sweep.column + 1})`,
  });
  const clip = `clip${clips++}`, inside = el("g", { "clip-path": `url(#${clip})` });
  made.append(el("clipPath", { id: clip }, el("rect", { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top })), inside);
  const broken = x => sweep.jumps.some(jump => x > jump.low && x <= jump.high);
  const pieces = [[]];
  points.forEach((p, k) => {
    if (k && (broken(p.x) || p.y === null || points[k - 1].y === null)) pieces.push([]);
    if (p.y !== null) pieces.at(-1).push(p);
    else {
      const left = k ? (points[k - 1].x + p.x) / 2 : p.x, right = k + 1 < points.length ? (points[k + 1].x + p.x) / 2 : p.x;
      made.append(el("rect", { x: across(left), y: box.top, width: Math.max(across(right) - across(left), 1), height: box.bottom - box.top, class: "blank" }, el("title", {}, `no limit that is known: ${p.status}`)));
    }
  });
  for (const piece of pieces.filter(each => each.length)) {
    if (piece.some(p => p.std)) {
      const edge = [...piece.map(p => [p.x, p.y + (p.std ?? 0)]), ...piece.toReversed().map(p => [p.x, p.y - (p.std ?? 0)])];
      inside.append(el("polygon", { points: edge.map(([x, y]) => `${across(x).toFixed(1)},${up(y).toFixed(1)}`).join(" "), class: "band" }));
    }
    if (piece.length > 1) inside.append(curve(piece.map(p => [across(p.x), up(p.y)]), "curve", "var(--c0)"));
    else { const dot = el("circle", { cx: across(piece[0].x), cy: up(piece[0].y), r: 2 }); dot.style.fill = "var(--c0)"; inside.append(dot); }
  }
  sweep.jumps.forEach((jump, k) => {
    const at = across((jump.low + jump.high) / 2);
    made.append(line(at, box.top, at, box.bottom, "jump"), label(at, box.top - 5, String(k + 1), { class: "bold", "text-anchor": "middle" }));
  });
  const here = points.filter(p => p.y !== null).reduce((best, p) => best && Math.abs(best.x - now) <= Math.abs(p.x - now) ? best : p, null);
  if (here && Math.abs(here.x - now) < (sweep.high - sweep.low) / 20) made.append(el("circle", { cx: across(here.x), cy: up(here.y), r: 4.5, class: "now" }));
  return made;
}
