// Two runs of one stack: figures side by side, classes matched by the particles they share.

const readReport = (text) => {
  const page = new DOMParser().parseFromString(text, "text/html");
  const data = page.getElementById("report-data");
  if (!data) throw new Error("it is not a report of isac2");
  const report = JSON.parse(data.textContent);
  if (report.format !== 1) throw new Error("it was written by another version of isac2");
  return report;
};

const total = (values) => values.reduce((sum, value) => sum + value, 0);

function weightedMean(values, weights) {
  const known = values.map((value, k) => [value, weights[k]]).filter(([value]) => value !== null);
  return known.length ? total(known.map(([value, weight]) => value * weight)) / total(known.map(([, weight]) => weight)) : null;
}

/** How an average there is turned and mirrored to match the one here, by the poses of the particles of both. */
function meanTurn(here, there, [from, to], partner, classOf, rowOf) {
  const sums = [[0, 0, 0], [0, 0, 0]]; // cosine, sine, count; without and with a mirror between the two
  for (let row = from; row < to; row += 1) {
    const id = here.ids[row];
    if (classOf[id] !== partner) continue;
    const other = rowOf[id];
    const difference = (2 * Math.PI * (here.alpha[row] - there.alpha[other])) / 65535;
    // There to here is M' R' R^-1 M, and M R(a) M = R(-a).
    const angle = there.mirror[other] ? -difference : difference;
    const sum = sums[here.mirror[row] ^ there.mirror[other]];
    sum[0] += Math.cos(angle);
    sum[1] += Math.sin(angle);
    sum[2] += 1;
  }
  const mirror = sums[1][2] > sums[0][2] ? 1 : 0;
  const [cosine, sine] = sums[mirror];
  return { alpha: (Math.atan2(sine, cosine) * 180) / Math.PI, mirror };
}

class Comparison {
  /** `current` returns the report and the gallery that are shown. */
  constructor(current) {
    this.current = current;
    this.place = document.getElementById("comparison");
    document.getElementById("other").addEventListener("change", (event) => this.load(event.target.files[0]));
  }

  get report() { return this.current().report; }

  get gallery() { return this.current().gallery; }

  async load(file) {
    if (!file) return;
    try {
      this.show(readReport(await file.text()), file.name);
    } catch (error) {
      this.place.replaceChildren(element("p", { class: "warnings" }, `${file.name} cannot be compared: ${error.message}.`));
    }
  }

  show(other, name) {
    this.place.replaceChildren(this.figures(other, name));
    if (!this.report.particles || !this.report.members || !other.members || this.report.particles !== other.particles) {
      this.place.append(element("p", { class: "note" }, "The two reports do not list the particles of one and the same stack, so their classes cannot be matched."));
      return;
    }
    const matches = this.match(other);
    const shared = total(matches.map((match) => match.common));
    const mine = total(this.report.classes.size);
    this.place.append(element("p", {}, `${shared.toLocaleString("en")} of the ${mine.toLocaleString("en")} particles in classes here (${short((100 * shared) / Math.max(1, mine))} %) are in the matching class there.`));
    this.place.append(this.pairs(matches, other));
  }

  figures(other, name) {
    const rows = [
      ["Classes", (report) => report.classes.size.length],
      ["Particles in classes", (report) => total(report.classes.size)],
      ["… of the stack, %", (report) => (100 * total(report.classes.size)) / report.particles],
      ["Mean resolution, Å", (report) => weightedMean(report.classes.resolution, report.classes.size)],
      ["Mean pixel error, px", (report) => weightedMean(report.classes.error, report.classes.size)],
      ["Mean mirror consistency, %", (report) => { const mean = weightedMean(report.classes.mirror, report.classes.size); return mean === null ? null : 100 * mean; }],
      ["Generations", (report) => report.generations.length],
      ["Time, s", (report) => total(report.phases.map((phase) => phase.seconds || 0)) || null],
    ];
    const body = element("tbody");
    for (const [label, read] of rows) {
      const cells = [this.report, other].map((report) => element("td", { class: "number" }, short(read(report), 4)));
      body.append(element("tr", {}, element("th", { scope: "row" }, label), ...cells));
    }
    const head = element("thead", {}, element("tr", {}, element("td"), element("th", { scope: "col", class: "number" }, `here: ${this.report.title}`), element("th", { scope: "col", class: "number" }, `there: ${other.title} (${name})`)));
    return element("table", {}, head, body);
  }

  /** For each class here, the class there with the largest overlap: shared particles over all of both. */
  match(other) {
    const there = unpackMembers(other);
    const here = unpackMembers(this.report);
    const classOf = new Int32Array(this.report.particles).fill(-1);
    const rowOf = new Int32Array(this.report.particles).fill(-1);
    other.classes.size.forEach((_, k) => {
      const [from, to] = there.range(k);
      for (let row = from; row < to; row += 1) [classOf[there.ids[row]], rowOf[there.ids[row]]] = [k, row];
    });
    return this.report.classes.size.map((size, k) => {
      const counts = new Map();
      for (const id of here.ids.subarray(...here.range(k))) {
        if (classOf[id] >= 0) counts.set(classOf[id], (counts.get(classOf[id]) || 0) + 1);
      }
      let best = { here: k, there: -1, common: 0, overlap: 0 };
      for (const [partner, common] of counts) {
        const overlap = common / (size + other.classes.size[partner] - common);
        if (overlap > best.overlap) best = { here: k, there: partner, common, overlap };
      }
      return { ...best, turn: best.there < 0 ? {} : meanTurn(here, there, here.range(k), best.there, classOf, rowOf) };
    });
  }

  pairs(matches, other) {
    const reader = new SheetReader(other.classes);
    const list = element("ol", { class: "matches" });
    for (const match of [...matches].sort((a, b) => b.overlap - a.overlap || a.here - b.here)) {
      const canvases = element("div", { class: "two" });
      const left = element("canvas", { role: "img", "aria-label": `Class ${match.here + 1} here` });
      drawImage(left, this.gallery.reader, match.here);
      canvases.append(left);
      if (match.there >= 0) {
        const right = element("canvas", { role: "img", "aria-label": `Class ${match.there + 1} there` });
        drawImage(right, reader, match.there, match.turn);
        canvases.append(right);
      }
      const words = match.there >= 0
        ? [element("b", {}, `${match.here + 1} ↔ ${match.there + 1}`), ` ${match.common} shared, overlap ${Math.round(100 * match.overlap)} %`]
        : [element("b", {}, `${match.here + 1}`), " shares no particle with any class there"];
      list.append(element("li", {}, canvases, element("p", {}, ...words)));
    }
    return list;
  }
}
