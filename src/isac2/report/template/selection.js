// Choosing classes: in the gallery, on the class page, and in the bar below them.

class Picker {
  constructor() {
    this.anchor = null;
    this.filter = "";
    this.names = new Map();
    this.marks = null;
    this.control("picker").inert = true; // until the first selection is there
    this.listen();
  }

  control(id) { return document.getElementById(id); }

  listen() {
    const click = (id, answer) => this.control(id).addEventListener("click", answer);
    const clickWhenReady = (id, answer) => click(id, () => this.whenReady(answer));
    clickWhenReady("choose-shown", () => this.chooseShown(() => true));
    clickWhenReady("drop-shown", () => this.chooseShown(() => false));
    clickWhenReady("invert-shown", () => this.chooseShown((mark) => !mark.chosen));
    clickWhenReady("undo", () => this.marks.undo());
    clickWhenReady("redo", () => this.marks.redo());
    clickWhenReady("selection-remove", () => this.remove());
    click("selection-new", () => this.name("", (name) => this.open(name)));
    clickWhenReady("selection-copy", () => this.name(`${this.marks.name} copy`, (name) => this.copy(name)));
    this.control("selection-name").addEventListener("input", (event) => this.open(event.target.value));
    this.control("marks-shown").addEventListener("input", (event) => { this.filter = event.target.value; this.gallery.update(); });
    for (const button of document.querySelectorAll("#picker [data-label]")) {
      button.addEventListener("click", () => this.whenReady(() => this.label(this.chosen(), button.dataset.label)));
    }
    for (const button of document.querySelectorAll("#picker [data-export]")) {
      button.addEventListener("click", () => this.whenReady(() => this.export(button.dataset.export)));
    }
    document.addEventListener("keydown", (event) => this.key(event));
    addEventListener("beforeunload", (event) => {
      document.activeElement?.closest(".marks-form input, .marks-form textarea")?.blur(); // keeps what is being written
      if (this.marks?.waiting.length) event.preventDefault();
    });
  }

  /** Do something with the marks: now, or when the selection that is being opened is there. */
  whenReady(answer) {
    if (this.opening) this.opening.then(answer);
    else if (this.marks) answer();
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
      button.addEventListener("dblclick", () => { this.whenReady(() => this.marks.undo()); page.open(k); }); // what its first click did
      item.append(magnifier);
      button.querySelector(".frame").append(element("span", { class: "tick", "aria-hidden": "true" }, "✓"), element("span", { class: "label" }));
    });
    if (this.marks) this.draw();
  }

  /** Show the selection of this name, one after another where several are asked for. */
  open(name, change = () => {}) {
    const opening = Promise.resolve(this.opening).then(() => this.openNow(name)).then(change).catch((error) => {
      this.tell(error.isRefused ? "refused" : "unreachable", error.message);
      if (this.marks) this.drawNames(); // back to the one that is still there
    }).finally(() => { if (this.opening === opening) this.opening = null; });
    this.opening = opening;
    return opening;
  }

  /** One that is new is saved with its first change. */
  async openNow(name) {
    await this.marks?.flush();
    const marks = new Marks(name, () => { if (this.marks === marks) this.draw(); }, (state, words) => this.tell(state, words));
    await marks.load();
    this.marks = marks;
    this.anchor = null;
    sessionStorage.setItem("selection", name);
    if (!this.names.has(name)) this.names.set(name, { name, chosen: 0 });
    this.control("picker").inert = false;
    this.tell("");
    this.draw();
    if (this.page.dialog.open) this.page.open(this.page.current); // it has no marks yet
  }

  copy(name) {
    const marks = [...this.marks.all()];
    return this.open(name, () => {
      for (const field of ["chosen", "label", "note"]) this.marks.set(field, marks.map(([number, mark]) => [number, mark[field]]));
    });
  }

  /** Put the selection away, and go on with another. */
  async remove() {
    const { name } = this.marks;
    try {
      await this.marks.flush();
      if (this.marks.revision) await ask(`remove/${encodeURIComponent(name)}`, {});
    } catch (error) {
      this.tell(error.isRefused ? "refused" : "unreachable", error.message);
      return;
    }
    const back = element("button", { type: "button", class: "quiet" }, "Bring it back");
    back.addEventListener("click", () => this.bringBack(name));
    this.say(`The selection “${name}” has been removed. `, ...(this.marks.revision ? [back] : []));
    await this.leave(name);
  }

  async bringBack(name) {
    try {
      await ask(`restore/${encodeURIComponent(name)}`, {});
      this.control("exported").hidden = true;
      await this.open(name);
    } catch (error) {
      this.say(error.message);
    }
  }

  /** Go on with another selection than this one, which is no more. */
  leave(name) {
    this.names.delete(name);
    sessionStorage.removeItem(`undo ${name}`);
    this.marks = null;
    return this.open(this.names.keys().next().value ?? "selection");
  }

  /** Say something in the line below the buttons. */
  say(...words) {
    const place = this.control("exported");
    place.hidden = false;
    place.replaceChildren(...words);
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
    if (!this.marks && !this.opening) {
      const last = sessionStorage.getItem("selection");
      await this.open(this.names.has(last) ? last : selections[0]?.name ?? "selection");
      return;
    }
    await this.opening;
    const { marks } = this;
    if (!marks) return;
    await marks.flush();
    const now = this.names.get(marks.name);
    const isOther = now ? now.revision > marks.revision : marks.revision > 0;
    if (isOther) await marks.load();
    if (marks !== this.marks) return; // another one was opened meanwhile
    if (isOther && !marks.revision) {
      this.say(`The selection “${marks.name}” has been removed elsewhere.`);
      await this.leave(marks.name);
    } else if (!now) this.names.set(marks.name, { name: marks.name, chosen: 0 });
    if (this.marks) this.drawNames();
  }

  chosen() { return [...this.marks.all()].filter(([number, mark]) => mark.chosen && number <= this.gallery.count).map(([number]) => number); }

  chooseShown(value) {
    this.marks.set("chosen", this.gallery.shown.map((k) => [k + 1, value(this.marks.of(k + 1))]));
  }

  label(numbers, label) { this.marks.set("label", numbers.map((number) => [number, label])); }

  press(k, event) { this.whenReady(() => this.pressNow(k, event)); }

  pressNow(k, event) {
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
    const set = (field, value) => this.whenReady(() => this.marks.set(field, [[k + 1, value]]));
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
    this.say("Writing…");
    try {
      await this.marks.flush();
      const others = this.control("export-which").value === "others";
      const made = await ask(`export/${encodeURIComponent(this.marks.name)}`, { kind, others });
      const what = kind === "averages" ? `${made.classes} averages` : `${made.particles.toLocaleString("en")} particles of ${made.classes} classes`;
      const link = element("a", { href: `files/${encodeURIComponent(made.name)}`, download: made.name }, "Save elsewhere");
      this.say(`${what}: `, element("code", {}, made.path), " ", link);
    } catch (error) {
      this.say(error.message);
    }
  }
}
