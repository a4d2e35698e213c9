// Small charts, drawn as SVG; every one has a text that says what it shows.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; text children become text nodes. */
function element(name, attributes = {}, ...children) {
  const made = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== undefined && value !== null && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function svg(width, height, label) {
  return element("svg:svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
}

function text(x, y, words, anchor = "middle") {
  return element("svg:text", { x, y, "text-anchor": anchor }, words);
}

/** A round number near value, for ticks and steps. */
function roundStep(value, steps = [1, 2, 5, 10]) {
  const power = 10 ** Math.floor(Math.log10(value));
  return steps.map((factor) => factor * power).find((step) => step >= value * 0.999);
}

function short(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 4 });
}

/** Count values in bins of a round width. */
function binned(values, most = 24, wholeNumbers = false) {
  const known = values.filter((value) => value !== null && Number.isFinite(value));
  if (!known.length) return { low: 0, step: 1, counts: [] };
  const smallest = known.reduce((a, b) => Math.min(a, b));
  const largest = known.reduce((a, b) => Math.max(a, b));
  let step = roundStep(Math.max((largest - smallest) / most, wholeNumbers ? 1 : 1e-6));
  if (largest === smallest) step = roundStep(Math.max(Math.abs(largest) / 20, wholeNumbers ? 1 : 1e-3));
  const low = Math.floor(smallest / step + 1e-9) * step;
  const counts = new Array(Math.max(1, Math.floor((largest - low) / step + 1e-9) + 1)).fill(0);
  for (const value of known) counts[Math.min(counts.length - 1, Math.floor((value - low) / step + 1e-9))] += 1;
  return { low, step, counts };
}

/** Histogram; bars outside [from, to] are greyed. */
function histogram(values, { label, unit = "", from = -Infinity, to = Infinity, whole = false, height = 84, limit = Infinity }) {
  const { low, step, counts } = binned(values, 24, whole);
  const width = 260;
  const floor = height - 16;
  const most = Math.max(1, ...counts);
  const chart = svg(width, height, `${label}: histogram of ${values.length} values from ${short(low)} to ${short(Math.min(limit, low + step * counts.length))} ${unit}`);
  const wide = width / Math.max(counts.length, 6);
  counts.forEach((count, i) => {
    const start = low + i * step;
    const inside = start + step > from && start <= to;
    const tall = count ? Math.max(1.5, ((floor - 4) * count) / most) : 0;
    const bar = element("svg:rect", { class: inside ? "bar" : "bar out", x: i * wide + 0.75, y: floor - tall, width: Math.max(1, wide - 1.5), height: tall, rx: 1.5 });
    bar.append(element("svg:title", {}, `${short(start)} to ${short(Math.min(limit, start + step))} ${unit}: ${count}`));
    chart.append(bar);
  });
  chart.append(element("svg:line", { class: "axis", x1: 0, x2: width, y1: floor, y2: floor }));
  chart.append(text(0, height - 3, counts.length > 1 ? short(low) : `${short(low)} ${unit}`, "start"));
  const end = Math.min(limit, low + step * counts.length);
  if (counts.length > 1) chart.append(text(Math.max(60, counts.length * wide), height - 3, `${short(end)} ${unit}`, "end"));
  return chart;
}

/** Fourier ring correlation of halves; where it falls below 1/3, the whole average is half noise. */
function ringCurve(curve, step, pixelSize) {
  const [width, height, left, floor] = [280, 150, 26, 128];
  const chart = svg(width, height, "Fourier ring correlation of the half averages against frequency");
  const largest = step * (curve.length - 1);
  const x = (frequency) => left + ((width - left - 4) * frequency) / largest;
  const y = (value) => floor - 118 * Math.max(-0.05, value);
  for (const [value, words] of [[0, "0"], [1 / 3, "⅓"], [1, "1"]]) {
    chart.append(element("svg:line", { class: value === 0 ? "axis" : "guide", x1: left, x2: width - 4, y1: y(value), y2: y(value), "stroke-opacity": value === 1 ? 0.3 : 1 }));
    chart.append(text(left - 4, y(value) + 4, words, "end"));
  }
  const points = Array.from(curve, (value, i) => `${x(i * step).toFixed(1)},${y(value).toFixed(1)}`);
  chart.append(element("svg:polyline", { class: "line", points: points.join(" ") }));
  const ticks = pixelSize ? [40, 20, 14, 10, 8, 7, 6, 5, 4, 3].filter((d) => pixelSize / d <= largest) : [];
  let last = -40;
  for (const resolution of ticks) {
    const at = x(pixelSize / resolution);
    if (at - last < 30) continue;
    last = at;
    chart.append(text(at, height - 6, `${resolution} Å`));
  }
  if (!ticks.length) chart.append(text(width - 4, height - 6, `${largest.toFixed(2)} / px`, "end"));
  return chart;
}

/** In-plane angles as a rose of 24 slices. */
function rose(turns, mirrored) {
  const [size, slices] = [150, 24];
  const counts = new Array(slices).fill(0);
  for (const turn of turns) counts[Math.min(slices - 1, Math.floor((turn % 1) * slices))] += 1;
  const most = Math.max(1, ...counts);
  const share = mirrored.reduce((sum, value) => sum + value, 0) / Math.max(1, mirrored.length);
  const chart = svg(280, size, `In-plane angles of ${turns.length} members; ${Math.round(100 * share)} % are mirrored`);
  const [cx, cy, reach] = [140, size / 2, size / 2 - 12];
  for (const part of [0.5, 1]) chart.append(element("svg:circle", { cx, cy, r: reach * part, fill: "none", class: "axis" }));
  counts.forEach((count, i) => {
    const radius = reach * Math.sqrt(count / most);
    const at = (k) => `${(cx + radius * Math.cos((2 * Math.PI * k) / slices)).toFixed(1)} ${(cy - radius * Math.sin((2 * Math.PI * k) / slices)).toFixed(1)}`;
    const slice = element("svg:path", { class: "slice", d: `M${cx} ${cy}L${at(i)}A${radius} ${radius} 0 0 0 ${at(i + 1)}Z` });
    slice.append(element("svg:title", {}, `${i * 15}° to ${(i + 1) * 15}°: ${count}`));
    chart.append(slice);
  });
  chart.append(text(cx + reach + 4, cy + 4, "0°", "start"), text(cx, 9, "90°"), text(6, size - 6, `${Math.round(100 * share)} % mirrored`, "start"));
  return chart;
}

/** Shifts of members, pixels; mirrored ones in another colour. */
function scatter(xs, ys, mirrored) {
  const [width, size] = [280, 150];
  const largest = Math.max(1, ...xs.map(Math.abs), ...ys.map(Math.abs));
  const reach = roundStep(largest, [1, 1.5, 2, 3, 4, 5, 6, 8, 10]);
  const chart = svg(width, size, `Shifts of ${xs.length} members, up to ${short(largest)} pixels`);
  const [cx, cy, scale] = [width / 2, size / 2, (size / 2 - 8) / reach];
  chart.append(element("svg:line", { class: "axis", x1: cx - reach * scale, x2: cx + reach * scale, y1: cy, y2: cy }));
  chart.append(element("svg:line", { class: "axis", x1: cx, x2: cx, y1: cy - reach * scale, y2: cy + reach * scale }));
  xs.forEach((x, i) => chart.append(element("svg:circle", { class: mirrored[i] ? "dot mirrored" : "dot", cx: (cx + x * scale).toFixed(1), cy: (cy + ys[i] * scale).toFixed(1), r: 2 })));
  chart.append(text(cx + reach * scale + 3, cy + 4, `${short(reach)} px`, "start"));
  return chart;
}
