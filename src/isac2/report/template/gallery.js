// The gallery: sort, filter, size, contrast, low-pass; drawn only where it is seen.

const MEASURES = [
  { key: "size", name: "Class size", unit: "particles", whole: true, rising: false },
  { key: "resolution", name: "Resolution", unit: "Å", rising: true },
  { key: "error", name: "Pixel error", unit: "px", rising: true },
  { key: "mirror", name: "Mirror consistency", unit: "%", scale: 100, limit: 100, rising: false },
];

class Gallery {
  /** `before` is a gallery of the same run at an earlier time, whose filters and place are kept. */
  constructor(report, open, before = null) {
    this.report = report;
    this.open = open;
    this.press = (k) => this.open(k);
    this.ended = new AbortController();
    this.reader = new SheetReader(report.classes);
    this.count = report.classes.size.length;
    this.limits = before ? before.limits : new Map();
    this.generationChosen = before ? before.generationChosen : "";
    this.reversed = before ? before.reversed : false;
    this.current = before ? before.current : undefined;
    this.alsoPasses = before ? before.alsoPasses : () => true;
    before?.end();
    this.shown = [];
    this.dirty = new Set();
    this.seen = new Set();
    this.list = document.getElementById("gallery");
    this.place = new Array(this.count).fill(0);
    if (report.chain) report.chain.order.forEach((k, place) => { this.place[k] = place; });
    this.makeControls();
    this.makeTiles();
    this.update();
  }

  control(id) { return document.getElementById(id); }

  /** Let go of the controls, for a gallery that takes this one's place. */
  end() {
    this.ended.abort();
    this.watcher.disconnect();
  }

  /** Values of a measure for all classes, in the unit they are shown in. */
  values(measure) {
    return this.report.classes[measure.key].map((value) => (value === null ? null : value * (measure.scale || 1)));
  }

  makeControls() {
    const sort = this.control("sort");
    const { signal } = this.ended;
    const sortedBy = sort.value;
    sort.replaceChildren();
    const known = MEASURES.filter((measure) => this.values(measure).some((value) => value !== null));
    if (this.report.chain) sort.append(element("option", { value: "chain" }, "Likeness (chain)"));
    sort.append(element("option", { value: "number" }, "Number"));
    for (const measure of known) sort.append(element("option", { value: measure.key }, measure.name));
    sort.append(element("option", { value: "generation" }, "Generation"));
    if (sortedBy && [...sort.options].some((option) => option.value === sortedBy)) sort.value = sortedBy;
    this.control("turn-label").hidden = !this.report.chain;
    this.control("toolbar").hidden = this.count === 0;
    for (const id of ["sort", "tile", "contrast", "low-pass", "invert", "turn"]) {
      this.control(id).addEventListener("input", () => this.update(), { signal });
    }
    this.control("direction").addEventListener("click", () => { this.reversed = !this.reversed; this.update(); }, { signal });
    this.control("reset").addEventListener("click", () => this.reset(), { signal });
    const filters = this.control("filters");
    filters.replaceChildren();
    this.control("generation")?.parentElement.remove();
    if (this.count > 1) for (const measure of known) filters.append(this.makeFilter(measure));
    const generations = [...new Set(this.report.classes.size.map((_, k) => this.generationName(k)))];
    if (generations.length > 1) {
      const choice = element("select", { id: "generation" }, element("option", { value: "" }, "all"));
      for (const name of generations) choice.append(element("option", { value: name }, name));
      choice.value = this.generationChosen;
      choice.addEventListener("input", () => { this.generationChosen = choice.value; this.update(); });
      sort.parentElement.after(element("label", {}, "Generation ", choice));
    }
  }

  generationName(k) {
    const { main, generation } = this.report.classes;
    return main[k] ? `${main[k]}.${generation[k]}` : "–";
  }

  makeFilter(measure) {
    const values = this.values(measure);
    const panel = element("fieldset", { class: "panel" });
    const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
    const median = sorted[Math.floor(sorted.length / 2)];
    panel.append(element("legend", {}, element("b", {}, measure.name), ` · median ${short(median)} ${measure.unit}`));
    const holder = element("div");
    const draw = () => {
      const [from, to] = this.limits.get(measure.key) || [-Infinity, Infinity];
      holder.replaceChildren(histogram(values, { label: measure.name, unit: measure.unit, from, to, whole: measure.whole, limit: measure.limit }));
    };
    const inputs = ["from", "to"].map((end) => element("input", { type: "number", step: "any", "aria-label": `${measure.name} ${end}, ${measure.unit}`, placeholder: short(end === "from" ? sorted[0] : sorted[sorted.length - 1]) }));
    (this.limits.get(measure.key) || []).forEach((limit, i) => { if (Number.isFinite(limit)) inputs[i].value = limit; });
    for (const input of inputs) {
      input.addEventListener("input", () => {
        const [from, to] = inputs.map((one) => (one.value === "" ? null : Number(one.value)));
        if (from === null && to === null) this.limits.delete(measure.key);
        else this.limits.set(measure.key, [from ?? -Infinity, to ?? Infinity]);
        draw();
        this.update();
      });
    }
    this.clearFilters = [...(this.clearFilters || []), () => { for (const input of inputs) input.value = ""; draw(); }];
    panel.append(holder, element("div", { class: "range" }, inputs[0], "to", inputs[1], measure.unit));
    draw();
    return panel;
  }

  reset() {
    for (const [id, value] of [["tile", 112], ["contrast", 0], ["low-pass", 0]]) this.control(id).value = value;
    this.control("sort").selectedIndex = 0;
    this.control("invert").checked = false;
    this.control("turn").checked = true;
    if (this.control("generation")) this.control("generation").value = "";
    this.generationChosen = "";
    this.reversed = false;
    this.limits.clear();
    for (const clear of this.clearFilters || []) clear();
    this.update();
  }

  makeTiles() {
    const { classes } = this.report;
    this.tiles = classes.size.map((size, k) => {
      const canvas = element("canvas", { width: classes.box, height: classes.box, "aria-hidden": "true" });
      const frame = element("span", { class: "frame" }, canvas, element("span", { class: "bar" }));
      if (classes.flags[k].length) frame.append(element("span", { class: "flag", "aria-hidden": "true", title: classes.flags[k].join(", ") }, "▲"));
      const caption = element("span", { class: "caption", "aria-hidden": "true" }, element("b", {}, String(k + 1)), element("span", {}, size.toLocaleString("en")));
      if (classes.resolution[k] !== null) caption.append(element("span", { class: "more" }, `${classes.resolution[k].toFixed(1)} Å`));
      if (classes.error[k] !== null) caption.append(element("span", { class: "more", title: "pixel error" }, `${classes.error[k].toFixed(2)} px`));
      const button = element("button", { type: "button", class: "tile", tabindex: "-1", "aria-label": this.describe(k) }, frame, caption);
      button.addEventListener("click", (event) => this.press(k, event));
      const item = element("li", {}, button);
      item.dataset.index = k;
      return { item, button, canvas };
    });
    this.list.addEventListener("keydown", (event) => this.move(event), { signal: this.ended.signal });
    this.watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const k = Number(entry.target.dataset.index);
        if (entry.isIntersecting) this.seen.add(k);
        else this.seen.delete(k);
        if (entry.isIntersecting && this.dirty.has(k)) this.draw(k);
      }
    }, { rootMargin: "400px" });
    for (const { item } of this.tiles) this.watcher.observe(item);
  }

  describe(k) {
    const { classes } = this.report;
    const parts = [`Class ${k + 1}: ${classes.size[k]} particles`];
    if (classes.resolution[k] !== null) parts.push(`resolution ${classes.resolution[k].toFixed(1)} ångström`);
    if (classes.error[k] !== null) parts.push(`pixel error ${classes.error[k].toFixed(2)}`);
    if (classes.mirror[k] !== null) parts.push(`mirror consistency ${Math.round(100 * classes.mirror[k])} percent`);
    return [...parts, ...classes.flags[k]].join(", ");
  }

  /** How class k is drawn at present. */
  view(k) {
    const { chain, pixelSize } = this.report;
    const level = Number(this.control("low-pass").value);
    // A Gaussian with half its height at the frequency 1/d has sigma = sqrt(2 ln 2) d / (2 pi).
    const sigma = level ? 0.1874 * (this.resolutionOf(level) / (pixelSize || 1)) : 0;
    const turn = chain && this.control("turn").checked && this.control("sort").value === "chain";
    return {
      contrast: Number(this.control("contrast").value),
      invert: this.control("invert").checked,
      sigma,
      alpha: turn ? chain.alpha[this.place[k]] : 0,
      mirror: turn ? chain.mirror[this.place[k]] : 0,
    };
  }

  /** Resolution that a step of the low-pass slider stands for: Å, or pixels where those are not known. */
  resolutionOf(level) {
    return (this.report.pixelSize || 1) * 2 * 1.13 ** level;
  }

  draw(k) {
    this.dirty.delete(k);
    return drawImage(this.tiles[k].canvas, this.reader, k, this.view(k));
  }

  key(k) {
    const { classes } = this.report;
    const by = this.control("sort").value;
    if (by === "chain") return this.place[k];
    if (by === "number") return k;
    if (by === "generation") return classes.main[k] * 1000 + classes.generation[k];
    const measure = MEASURES.find((one) => one.key === by);
    const value = classes[by][k];
    if (value === null) return Infinity;
    return measure.rising ? value : -value;
  }

  passes(k) {
    if (!this.alsoPasses(k)) return false;
    if (this.generationChosen && this.generationName(k) !== this.generationChosen) return false;
    for (const measure of MEASURES) {
      const limits = this.limits.get(measure.key);
      if (!limits) continue;
      const value = this.report.classes[measure.key][k];
      const shown = value === null ? null : value * (measure.scale || 1);
      if (shown === null || shown < limits[0] || shown > limits[1]) return false;
    }
    return true;
  }

  update() {
    const { classes, pixelSize } = this.report;
    const keys = classes.size.map((_, k) => this.key(k));
    this.shown = keys.map((_, k) => k).filter((k) => this.passes(k));
    const way = this.reversed ? -1 : 1;
    this.shown.sort((a, b) => (keys[a] === keys[b] ? a - b : (keys[a] < keys[b] ? -way : way)));
    const before = document.activeElement;
    this.list.replaceChildren(...this.shown.map((k) => this.tiles[k].item));
    if (before && this.list.contains(before)) before.focus();
    const size = Number(this.control("tile").value);
    this.list.style.setProperty("--tile", `${size}px`);
    this.list.classList.toggle("small", size < 92);
    this.control("direction").setAttribute("aria-pressed", String(this.reversed));
    const level = Number(this.control("low-pass").value);
    const resolution = this.resolutionOf(level);
    this.control("low-pass-text").textContent = level ? `${short(resolution, 2)} ${pixelSize ? "Å" : "px"}` : "off";
    this.control("turn").disabled = this.control("sort").value !== "chain";
    const particles = this.shown.reduce((sum, k) => sum + classes.size[k], 0).toLocaleString("en");
    const some = this.shown.length === this.count ? `All ${this.count}` : `${this.shown.length} of ${this.count}`;
    const none = this.report.isFinished ? "This run found no class." : "No class yet.";
    this.control("count").textContent = this.count ? `${some} classes, ${particles} particles` : none;
    this.placeScaleBars();
    this.dirty = new Set(this.shown);
    for (const k of this.shown) if (this.seen.has(k)) this.draw(k);
    this.drawWhenIdle();
    const first = this.shown.includes(this.current) ? this.current : this.shown[0];
    if (first !== undefined) this.rove(first);
  }

  placeScaleBars() {
    const { pixelSize, classes } = this.report;
    const length = pixelSize ? scaleBar(classes.box * pixelSize) : 0;
    this.control("scale").textContent = length ? `${length} Å` : "";
    const share = length ? (100 * length) / (classes.box * pixelSize) : 0;
    for (const { button } of this.tiles) button.querySelector(".bar").style.width = `${share}%`;
  }

  /** Make class k the one that Tab reaches. */
  rove(k) {
    if (this.current !== undefined) this.tiles[this.current].button.tabIndex = -1;
    this.tiles[k].button.tabIndex = 0;
    this.current = k;
  }

  move(event) {
    const index = this.shown.indexOf(Number(event.target.closest("li")?.dataset.index));
    if (index < 0) return;
    const columns = getComputedStyle(this.list).gridTemplateColumns.split(" ").length;
    const targets = { ArrowRight: index + 1, ArrowLeft: index - 1, ArrowDown: index + columns, ArrowUp: index - columns, Home: 0, End: this.shown.length - 1 };
    const target = this.shown[targets[event.key]];
    if (!(event.key in targets) || target === undefined) return;
    event.preventDefault();
    this.rove(target);
    this.tiles[target].button.focus();
  }

  /** Draw what is out of sight too, a few at a time, so that scrolling and printing find all drawn. */
  drawWhenIdle() {
    if (this.isWaiting || !this.dirty.size) return;
    this.isWaiting = true;
    const whenIdle = window.requestIdleCallback ?? ((task) => setTimeout(task, 30));
    whenIdle(async () => {
      this.isWaiting = false;
      await Promise.all(this.shown.filter((k) => this.dirty.has(k)).slice(0, 12).map((k) => this.draw(k)));
      if (this.shown.some((k) => this.dirty.has(k))) this.drawWhenIdle();
    });
  }
}

/** Length of a scale bar that suits an image of this width, both in Å. */
function scaleBar(width) {
  const step = roundStep(width / 5);
  return step > width / 2.5 ? step / 2 : step;
}
