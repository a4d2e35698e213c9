// What was said of each class (chosen, label, note), kept in step with the file that the viewer writes.

const UNMARKED = { chosen: false, label: "", note: "" };

/** Ask the viewer; an answer that says what is wrong becomes an error with those words. */
async function ask(path, document) {
  const body = JSON.stringify(document);
  const keepalive = body?.length < 20_000; // is sent though the page goes; browsers take no more than 64 KiB
  const options = document === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body, keepalive };
  const answer = await fetch(path, { ...options, cache: "no-store" });
  const found = await answer.json().catch(() => ({ error: `the viewer answered ${answer.status}` }));
  if (!answer.ok) throw Object.assign(new Error(found.error), { isRefused: true });
  return found;
}

class Marks {
  /** `changed` is called whenever marks are other than before, `told` with the state of saving. */
  constructor(name, changed, told) {
    this.name = name;
    this.changed = changed;
    this.told = told;
    this.revision = 0;
    this.saved = new Map();
    this.waiting = [];
    this.done = JSON.parse(sessionStorage.getItem(`undo ${name}`) || "[]");
    this.undone = [];
  }

  address() { return `selections/${encodeURIComponent(this.name)}`; }

  async load() { this.adopt(await ask(this.address())); }

  /** Take over what the viewer has; changes not yet sent stay on top. */
  adopt(document) {
    this.revision = document.revision;
    this.saved = new Map(Object.entries(document.classes).map(([number, mark]) => [Number(number), mark]));
    this.changed();
  }

  of(number) {
    const mark = { ...UNMARKED, ...this.saved.get(number) };
    for (const { changes } of this.waiting) {
      for (const change of changes) if (change.class === number) mark[change.field] = change.value;
    }
    return mark;
  }

  /** All marks, as a map from class number. */
  all() {
    const numbers = new Set(this.saved.keys());
    for (const { changes } of this.waiting) for (const change of changes) numbers.add(change.class);
    const overlaid = new Map([...numbers].map((number) => [number, { ...UNMARKED, ...this.saved.get(number) }]));
    for (const { changes } of this.waiting) for (const change of changes) overlaid.get(change.class)[change.field] = change.value;
    return overlaid;
  }

  /** Set a field of some classes; `values` is a list of [number, value]. */
  set(field, values) {
    const marks = this.all();
    const steps = values
      .map(([number, value]) => ({ class: number, field, before: (marks.get(number) ?? UNMARKED)[field], value }))
      .filter((step) => step.before !== step.value);
    if (!steps.length) return;
    this.done.push(steps);
    this.undone = [];
    this.send(steps, false);
  }

  /** Take back the last change made here; what was changed elsewhere since stays. */
  undo() { this.turnBack(this.done, this.undone, ({ before, value }) => [value, before]); }

  redo() { this.turnBack(this.undone, this.done, ({ before, value }) => [before, value]); }

  turnBack(from, to, ends) {
    const steps = from.pop();
    if (!steps) return;
    to.push(steps);
    const marks = this.all();
    const changes = [];
    for (const step of steps) {
      const [expected, value] = ends(step);
      if ((marks.get(step.class) ?? UNMARKED)[step.field] === expected) changes.push({ class: step.class, field: step.field, value });
    }
    this.send(changes, true);
  }

  send(steps, strict) {
    sessionStorage.setItem(`undo ${this.name}`, JSON.stringify(this.done.slice(-100)));
    if (steps.length) this.waiting.push({ changes: steps.map(({ class: number, field, value }) => ({ class: number, field, value })), strict });
    this.changed();
    return this.flush();
  }

  /** Send what waits, in order; resolves when nothing waits or the viewer cannot be reached. */
  flush() {
    this.sending ??= this.sendAll().finally(() => { this.sending = null; });
    return this.sending;
  }

  async sendAll() {
    if (!this.waiting.length) return;
    while (this.waiting.length) {
      this.told("saving");
      const { changes, strict } = this.waiting[0];
      try {
        const document = await ask(this.address(), { changes, strict, base: this.revision });
        this.waiting.shift();
        this.adopt(document);
      } catch (error) {
        if (!error.isRefused) { this.told("unreachable"); return; }
        this.waiting.shift(); // it would be refused again
        this.told("refused", error.message);
        this.changed();
        return;
      }
    }
    this.told("saved");
  }
}
