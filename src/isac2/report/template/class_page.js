// One class: its average, what is known of it, its members.

class ClassPage {
  constructor(report, gallery) {
    this.report = report;
    this.gallery = gallery;
    this.dialog = document.getElementById("class-page");
    this.title = document.getElementById("class-title");
    this.body = document.getElementById("class-body");
    this.members = report.members ? unpackMembers(report) : null;
    this.sampleReader = report.sample ? new SheetReader(report.sample) : null;
    const { signal } = gallery.ended;
    const on = (target, name, answer) => target.addEventListener(name, answer, { signal });
    on(document.getElementById("close"), "click", () => this.close());
    on(document.getElementById("previous"), "click", () => this.step(-1));
    on(document.getElementById("next"), "click", () => this.step(1));
    on(this.dialog, "click", (event) => { if (event.target === this.dialog) this.close(); });
    on(this.dialog, "keydown", (event) => {
      if (event.target.closest("input, textarea, select")) return;
      if (event.key === "ArrowLeft") this.step(-1);
      else if (event.key === "ArrowRight") this.step(1);
    });
    on(this.dialog, "cancel", (event) => { event.preventDefault(); this.close(); }); // Escape
    on(this.dialog, "close", () => this.leave()); // where a browser let nobody prevent it
  }

  close() {
    this.dialog.close();
    this.leave();
  }

  /**
   * Go on at the class that was looked at last. At once: the browser itself goes back to where the
   * page was opened from, and tells of the closing later, when the next key may have come already.
   */
  leave() {
    if (!this.isOpen) return;
    this.isOpen = false;
    history.replaceState(null, "", "#classes");
    this.gallery.tiles[this.current].button.focus();
  }

  step(by) {
    const { shown } = this.gallery;
    const index = shown.indexOf(this.current) + by;
    if (index >= 0 && index < shown.length) this.open(shown[index]);
  }

  open(k) {
    this.current = k;
    this.gallery.rove(k);
    const index = this.gallery.shown.indexOf(k);
    this.title.textContent = `Class ${k + 1}`;
    document.getElementById("previous").disabled = index <= 0;
    document.getElementById("next").disabled = index < 0 || index >= this.gallery.shown.length - 1;
    this.body.replaceChildren(this.picture(k), this.charts(k));
    const sample = this.sample(k);
    if (sample) this.body.append(sample);
    const marks = this.makeMarks?.(k);
    if (marks) this.body.firstChild.append(marks);
    if (!this.dialog.open) this.dialog.showModal();
    this.isOpen = true;
    this.title.focus();
    this.dialog.scrollTop = 0;
    history.replaceState(null, "", `#class-${k + 1}`);
  }

  picture(k) {
    const { classes, radius, pixelSize } = this.report;
    const canvas = element("canvas", { role: "img", "aria-label": this.gallery.describe(k) });
    // Not turned along the chain: the members below are in the frame of the average as it was found.
    drawImage(canvas, this.gallery.reader, k, { ...this.gallery.view(k), alpha: 0, mirror: 0 });
    const marks = discMarks(classes.box, radius, pixelSize);
    const pairs = element("dl", { class: "pairs" });
    const add = (name, value) => { if (value) pairs.append(element("dt", {}, name), element("dd", {}, value)); };
    const tested = classes.tested[k] ? ` of ${classes.tested[k]} tested` : "";
    add("Particles", `${classes.size[k].toLocaleString("en")}${tested}`);
    add("Resolution", classes.resolution[k] !== null && `${classes.resolution[k].toFixed(1)} Å`);
    add("Pixel error", classes.error[k] !== null && `${classes.error[k].toFixed(3)} px (root mean square)`);
    add("Mirror consistency", classes.mirror[k] !== null && `${(100 * classes.mirror[k]).toFixed(1)} %`);
    add("Bright part", classes.offCentre[k] !== null && `${classes.offCentre[k].toFixed(1)} px off the centre`);
    add("Found in", classes.main[k] && `main iteration ${classes.main[k]}, generation ${classes.generation[k]}`);
    add("Worth a look", classes.flags[k].join(", "));
    return element("div", {}, element("div", { class: "picture" }, canvas, marks), pairs, this.actions(k));
  }

  actions(k) {
    const row = element("div", { class: "actions" });
    if (!this.members) return row;
    const ids = () => `${Array.from(this.members.ids.subarray(...this.members.range(k))).join("\n")}\n`;
    const save = element("button", { type: "button", class: "quiet" }, "Save particle ids");
    save.addEventListener("click", () => {
      const address = URL.createObjectURL(new Blob([ids()], { type: "text/plain" }));
      element("a", { href: address, download: `class_${String(k + 1).padStart(4, "0")}_ids.txt` }).click();
      URL.revokeObjectURL(address);
    });
    row.append(save);
    return row;
  }

  charts(k) {
    const charts = element("div", { class: "charts" });
    const add = (name, chart) => charts.append(element("div", {}, element("h3", {}, name), chart));
    const { ringCorrelation, pixelSize } = this.report;
    if (ringCorrelation) {
      this.curves ??= unpacked(ringCorrelation.curves, Uint8Array);
      const { rings, step } = ringCorrelation;
      const curve = Array.from(this.curves.subarray(k * rings, (k + 1) * rings), (value) => value / 127 - 1);
      add("Fourier ring correlation", ringCurve(curve, step, pixelSize));
    }
    if (this.members) {
      const { error, alpha, tx, ty, mirror } = this.members.of(k);
      if (error.some((value) => value !== null)) add("Pixel error of the members", histogram(error, { label: "Pixel error", unit: "px", height: 140 }));
      add("In-plane angle", rose(alpha, mirror));
      add("Shift in the average's frame", scatter(tx.map((x, i) => (mirror[i] ? -x : x)), ty, mirror));
    }
    if (!charts.children.length) charts.append(element("p", { class: "note" }, "The run left no data about single members."));
    return charts;
  }

  sample(k) {
    if (!this.sampleReader || !this.members) return null;
    const [from, to] = this.members.range(k);
    const strip = element("div", { class: "strip" });
    this.report.sample.member.forEach((member, i) => {
      if (member < from || member >= to) return;
      const canvas = element("canvas", { role: "img", "aria-label": `Particle ${this.members.ids[member]}` });
      drawImage(canvas, this.sampleReader, i, { sigma: 1, invert: this.gallery.view(k).invert });
      const error = this.members.error[member];
      const words = error === 65535 ? "" : ` · ${(error / 1000).toFixed(2)} px`;
      strip.append(element("figure", {}, canvas, element("figcaption", {}, `${this.members.ids[member]}${words}`)));
    });
    if (!strip.children.length) return null;
    return element("div", { class: "sample" }, element("h3", {}, "Some members in their poses, lowest pixel error first"), strip);
  }
}

/** Members of all classes as typed arrays, and where each class begins. */
function unpackMembers(report) {
  const packed = report.members;
  const starts = [0];
  for (const size of report.classes.size) starts.push(starts[starts.length - 1] + size);
  const all = {
    ids: unpacked(packed.ids, Int32Array),
    error: unpacked(packed.error, Uint16Array),
    alpha: unpacked(packed.alpha, Uint16Array),
    tx: unpacked(packed.tx, Int16Array),
    ty: unpacked(packed.ty, Int16Array),
    mirror: unpacked(packed.mirror, Uint8Array),
  };
  all.range = (k) => [starts[k], starts[k + 1]];
  all.of = (k) => {
    const part = (name, change) => Array.from(all[name].subarray(starts[k], starts[k + 1]), change);
    return {
      error: part("error", (value) => (value === 65535 ? null : value / 1000)),
      alpha: part("alpha", (value) => value / 65535),
      tx: part("tx", (value) => value / 100),
      ty: part("ty", (value) => value / 100),
      mirror: part("mirror", (value) => value),
    };
  };
  return all;
}

/** The disc's rim, the centre and a scale bar, to lie over an average; `found` marks a point. */
function discMarks(box, radius, pixelSize, found = null) {
  const marks = element("svg:svg", { class: "marks", viewBox: `0 0 ${box} ${box}`, "aria-hidden": "true" });
  const centre = Math.floor(box / 2) + 0.5;
  if (radius) marks.append(element("svg:circle", { class: "disc", cx: centre, cy: centre, r: radius }));
  marks.append(element("svg:path", { d: `M${centre - 2} ${centre}h4M${centre} ${centre - 2}v4` }));
  if (found) marks.append(element("svg:circle", { class: "found", cx: centre + found[0], cy: centre + found[1], r: 1.6 }));
  if (pixelSize) {
    const length = scaleBar(box * pixelSize) / pixelSize;
    marks.append(element("svg:rect", { x: box * 0.05, y: box * 0.94, width: length, height: box * 0.012 }));
  }
  return marks;
}
