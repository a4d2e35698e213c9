// The page of a run that may go on, in a browser tab among others: asks the viewer what has changed.

const POLL_MILLISECONDS = 1500;

class Live {
  constructor(shown) {
    this.shown = shown;
    this.tag = document.body.dataset.tag;
    this.line = document.getElementById("live");
    this.picker = new Picker();
    this.picker.attach(shown);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.pollNow(); });
    this.pollNow();
  }

  pollNow() {
    clearTimeout(this.timer);
    this.polling ??= this.poll().finally(() => {
      this.polling = null;
      if (!document.hidden) this.timer = setTimeout(() => this.pollNow(), POLL_MILLISECONDS);
    });
  }

  async poll() {
    try {
      const state = await ask("poll");
      this.tell(state.run);
      if (state.tag !== this.tag && !this.shown.page.dialog.open) await this.update();
      await this.picker.poll(state.selections);
    } catch (error) {
      this.line.hidden = false;
      this.line.dataset.state = "lost";
      this.line.textContent = error.isRefused ? error.message : "The viewer does not answer: start isac2 view again. What is saved is saved.";
    }
  }

  /** Say how far the run is; nothing when it has finished. */
  tell(run) {
    this.line.dataset.state = run.state;
    this.line.hidden = run.state === "finished";
    if (run.state === "finished") return;
    const place = run.mainIteration ? `main iteration ${run.mainIteration}, generation ${run.generation}, ${run.rounds} rounds done` : run.phase;
    const pool = run.pools ? `${run.pools}, ` : "";
    const found = run.classes ? `; so far ${run.classes} classes of ${run.accounted.toLocaleString("en")} of ${run.images.toLocaleString("en")} particles` : "";
    const words = `${run.state === "running" ? "The run is going on" : "The run has stopped before its end"}: ${pool}${place}${found}.`;
    if (this.line.textContent !== words) this.line.textContent = words;
  }

  /** Put the run as it is now in the place of what is shown; filters, scroll and marks stay. */
  async update() {
    const answer = await fetch("./", { cache: "no-store" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (this.shown.page.dialog.open) return; // opened meanwhile: the next poll comes back to it
    for (const selector of [".opening", "#run", "#report-data"]) {
      const [here, there] = [document.querySelector(selector), page.querySelector(selector)];
      here.replaceChildren(...there.childNodes);
    }
    this.tag = page.body.dataset.tag;
    this.shown = show(this.shown);
    this.picker.attach(this.shown);
  }
}
