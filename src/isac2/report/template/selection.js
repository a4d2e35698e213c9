// Choosing classes: in the gallery, on the class page, and in the bar below them.

class Picker {
  constructor() {
    this.anchor = null;
    this.filter = "";
    this.names = new Map();
    this.marks = null;
    this.listen();
  }

  control(id) { return document.getElementById(id); }

  listen() {
    const click = (id, answer) => this.control(id).addEventListener("click", answer);
    click("choose-shown", () => this.chooseShown(() => true));
    click("drop-shown", () => this.chooseShown(() => false));
    click("invert-shown", () => this.chooseShown((mark) => !mark.chosen));
    click("undo", () => this.marks.undo());
    click("redo", () => this.marks.redo());
    click("selection-new", () => this.name("", (name) => this.open(name)));
    click("selection-copy", () => this.name(`${this.marks.name} copy`, (name) => this.copy(name)));
    this.control("selection-name").addEventListener("input", (event) => this.open(event.target.value));
    this.control("marks-shown").addEventListener("input", (event) => { this.filter = event.target.value; this.gallery.update(); });
    for (const button of document.querySelectorAll("#picker [data-label]")) {
      button.addEventListener("click", () => this.label(this.chosen(), button.dataset.label));
    }
    for (const button of document.querySelectorAll("#picker [data-export]")) {
      button.addEventListener("click", () => this.export(button.dataset.export));
    }
    document.addEventListener("keydown", (event) => this.key(event));
    addEventListener("beforeunload", (event) => { if (this.marks?.waiting.length) event.preventDefault(); });
  }

  /** Take part in a gallery and a class page: at the start, and when the run has gone on. */
  attach({ gallery, page, report }) {
    this.gallery = gallery;
    this.page = page;
    this.report = report;
    gallery.press = (k, event) => this.press(k, event);
    gallery.alsoPasses = (k) => this.passes(k);
    page.makeMarks = (k) => this.makeMarks(k);
    gallery.list.setAttribute("aria-label", "Class averages; arrow keys move, Space chooses, Enter opens");
    gallery.tiles.forEach(({ item, button }, k) => {
      const magnifier = element("button", { type: "button", class: "magnify", tabindex: "-1", "aria-label": `Open class ${k + 1}`, title: "Open" }, "⤢");
      magnifier.addEventListener("click", () => page.open(k));
      button.addEventListener("dblclick", () => { this.marks?.undo(); page.open(k); }); // what its first click did
      item.append(magnifier);
      button.querySelector(".frame").append(element("span", { class: "tick", "aria-hidden": "true" }, "✓"), element("span", { class: "label" }));
    });
    if (this.marks) this.draw();
  }

  /** Show the selection of this name; one that is new is saved with its first change. */
  async open(name) {
    await this.marks?.flush();
    const marks = new Marks(name, () => { if (this.marks === marks) this.draw(); }, (state, words) => this.tell(state, words));
    await marks.load();
    this.marks = marks;
    this.anchor = null;
    sessionStorage.setItem("selection", name);
    if (!this.names.has(name)) this.names.set(name, { name, chosen: 0 });
    this.tell("");
    this.draw();
    if (this.page.dialog.open) this.page.open(this.page.current); // it has no marks yet
  }

  async copy(name) {
    const marks = [...this.marks.all()];
    await this.open(name);
    for (const field of ["chosen", "label", "note"]) this.marks.set(field, marks.map(([number, mark]) => [number, mark[field]]));
  }

  /** Ask for a name, and hand it on. */
  name(suggested, answer) {
    const [dialog, input] = [this.control("name-dialog"), this.control("name-input")];
    input.value = suggested;
    dialog.returnValue = "cancel";
    dialog.showModal();
    input.select();
    dialog.addEventListener("close", () => { if (dialog.returnValue === "ok") answer(input.value); }, { once: true });
  }

  /** Take over what the viewer says of all selections. */
  async poll(selections) {
    this.names = new Map(selections.map((row) => [row.name, row]));
    if (!this.marks) {
      const last = sessionStorage.getItem("selection");
      await this.open(this.names.has(last) ? last : selections[0]?.name ?? "selection");
      return;
    }
    await this.marks.flush();
    const now = this.names.get(this.marks.name);
    if (now?.revision > this.marks.revision) await this.marks.load();
    else if (!now) this.names.set(this.marks.name, { name: this.marks.name, chosen: 0 });
    this.drawNames();
  }

  chosen() { return [...this.marks.all()].filter(([number, mark]) => mark.chosen && number <= this.gallery.count).map(([number]) => number); }

  chooseShown(value) {
    this.marks.set("chosen", this.gallery.shown.map((k) => [k + 1, value(this.marks.of(k + 1))]));
  }

  label(numbers, label) { this.marks.set("label", numbers.map((number) => [number, label])); }

  press(k, event) {
    if (!this.marks) return;
    if (event.detail > 1) return; // the second half of a double click, which opens the class
    const places = event.shiftKey && this.anchor !== null ? [this.gallery.shown.indexOf(this.anchor), this.gallery.shown.indexOf(k)] : [];
    if (places.length && places[0] >= 0) {
      const [from, to] = places.sort((a, b) => a - b);
      const value = this.marks.of(this.anchor + 1).chosen;
      this.marks.set("chosen", this.gallery.shown.slice(from, to + 1).map((one) => [one + 1, value]));
      getSelection().removeAllRanges();
    } else {
      this.marks.set("chosen", [[k + 1, !this.marks.of(k + 1).chosen]]);
      this.anchor = k;
    }
    this.gallery.rove(k);
  }

  key(event) {
    if (event.target.closest("input:not([type=checkbox]):not([type=range]), textarea, select") || !this.marks) return;
    const letter = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && letter === "z") {
      event.preventDefault();
      if (event.shiftKey) this.marks.redo();
      else this.marks.undo();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const tile = event.target.closest(".tile");
    const isOpen = this.page.dialog.open;
    if (!tile && !isOpen) return;
    const k = isOpen ? this.page.current : Number(tile.parentElement.dataset.index);
    if (event.key === "Enter" && tile) {
      event.preventDefault();
      this.page.open(k);
    } else if (letter in { g: 1, b: 1, j: 1, u: 1 }) {
      this.label([k + 1], { g: "good", b: "bad", j: "junk", u: "" }[letter]);
    }
  }

  passes(k) {
    if (!this.filter || !this.marks) return true;
    const mark = this.current?.get(k + 1) ?? UNMARKED;
    if (this.filter === "chosen") return mark.chosen;
    if (this.filter === "not chosen") return !mark.chosen;
    if (this.filter === "noted") return mark.note !== "";
    return mark.label === this.filter.slice("label ".length);
  }

  /** The part of a class's page where it is chosen, labelled and written about. */
  makeMarks(k) {
    if (!this.marks) return null;
    const box = element("input", { type: "checkbox" });
    const label = element("input", { type: "text", list: "labels", maxlength: 40, size: 12 });
    const note = element("textarea", { rows: 3, maxlength: 4000 });
    const set = (field, value) => this.marks.set(field, [[k + 1, value]]);
    box.addEventListener("change", () => set("chosen", box.checked));
    label.addEventListener("change", () => set("label", label.value.trim()));
    note.addEventListener("change", () => set("note", note.value));
    this.showMarks = () => {
      const mark = this.marks.of(k + 1);
      box.checked = mark.chosen;
      if (document.activeElement !== label) label.value = mark.label;
      if (document.activeElement !== note) note.value = mark.note;
    };
    this.showMarks();
    return element("div", { class: "marks-form" },
      element("label", { class: "check" }, box, " Chosen"),
      element("label", {}, "Label ", label),
      element("label", { class: "note-field" }, "Note ", note));
  }

  /** Show all marks as they are now. */
  draw() {
    const marks = this.marks.all();
    this.current = marks;
    this.gallery.tiles.forEach(({ item, button }, k) => {
      const mark = marks.get(k + 1) ?? UNMARKED;
      button.setAttribute("aria-pressed", String(mark.chosen));
      item.classList.toggle("chosen", mark.chosen);
      const label = button.querySelector(".label");
      if (label.textContent !== mark.label) label.textContent = mark.label;
      label.dataset.kind = mark.label;
      item.classList.toggle("noted", mark.note !== "");
      button.title = mark.note;
      const words = [this.gallery.describe(k), mark.label && `label ${mark.label}`, mark.note && `note ${mark.note}`];
      button.setAttribute("aria-label", words.filter(Boolean).join(", "));
    });
    const chosen = this.chosen();
    const particles = chosen.reduce((sum, number) => sum + this.report.classes.size[number - 1], 0);
    this.control("chosen-count").textContent = `${chosen.length} of ${this.gallery.count} classes chosen, ${particles.toLocaleString("en")} particles`;
    this.control("undo").disabled = !this.marks.done.length;
    this.control("redo").disabled = !this.marks.undone.length;
    this.showMarks?.();
    this.drawNames();
    this.drawFilter(marks);
  }

  drawNames() {
    const names = [...this.names.keys()];
    const select = this.control("selection-name");
    const rows = names.map((name) => (name === this.marks.name ? name : `${name} (${this.names.get(name).chosen ?? "?"})`));
    if (select.dataset.rows !== rows.join("\n")) {
      select.dataset.rows = rows.join("\n");
      select.replaceChildren(...names.map((name, i) => element("option", { value: name }, rows[i])));
    }
    select.value = this.marks.name;
  }

  drawFilter(marks) {
    const labels = [...new Set([...marks.values()].map((mark) => mark.label).filter(Boolean))].sort();
    const rows = [["", "all"], ["chosen", "chosen"], ["not chosen", "not chosen"], ["noted", "with a note"], ["label ", "without a label"], ...labels.map((label) => [`label ${label}`, label])];
    const select = this.control("marks-shown");
    if (select.dataset.rows === JSON.stringify(rows)) return;
    select.dataset.rows = JSON.stringify(rows);
    select.replaceChildren(...rows.map(([value, name]) => element("option", { value }, name)));
    select.value = this.filter;
    if (select.value !== this.filter) { select.value = ""; this.filter = ""; this.gallery.update(); }
  }

  tell(state, words = "") {
    const texts = { saving: "Saving…", saved: "Saved", unreachable: "Not saved: the viewer does not answer", refused: `Not saved: ${words}` };
    const place = this.control("saved");
    place.textContent = texts[state] ?? "";
    place.classList.toggle("wrong", state === "unreachable" || state === "refused");
  }

  async export(kind) {
    const place = this.control("exported");
    place.hidden = false;
    place.textContent = "Writing…";
    try {
      await this.marks.flush();
      const others = this.control("export-which").value === "others";
      const made = await ask(`export/${encodeURIComponent(this.marks.name)}`, { kind, others });
      const what = kind === "averages" ? `${made.classes} averages` : `${made.particles.toLocaleString("en")} particles of ${made.classes} classes`;
      const link = element("a", { href: `files/${encodeURIComponent(made.name)}`, download: made.name }, "Save elsewhere");
      place.replaceChildren(`${what}: `, element("code", {}, made.path), " ", link);
    } catch (error) {
      place.textContent = error.message;
    }
  }
}
