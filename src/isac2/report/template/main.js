// Put the page together.

function followTheme() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const name = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Show the page ${dark() ? "light" : "dark"}`); };
  button.hidden = false;
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();
}

function markInitialAverage(report) {
  const { initialAverage, radius, pixelSize } = report;
  if (!initialAverage) return;
  const marks = discMarks(initialAverage.box, radius, pixelSize, initialAverage.centre);
  document.getElementById("initial-marks").replaceWith(marks);
}

/** Groups of a generation that goes on: to look at only. */
function showForming(report) {
  const { forming } = report;
  document.getElementById("forming").hidden = !forming;
  if (!forming) return;
  const reader = new SheetReader(forming);
  const items = Array.from({ length: forming.count }, (_, i) => {
    const canvas = element("canvas", { width: forming.box, height: forming.box, role: "img", "aria-label": `Group ${i + 1}` });
    drawImage(canvas, reader, i);
    return element("li", {}, element("span", { class: "frame" }, canvas));
  });
  document.getElementById("forming-gallery").replaceChildren(...items);
}

/** Draw everything that comes from the page's data; again when the data have changed. */
function show(before = null) {
  const report = JSON.parse(document.getElementById("report-data").textContent);
  markInitialAverage(report);
  showForming(report);
  const shown = { report };
  shown.gallery = new Gallery(report, (k) => shown.page.open(k), before?.gallery);
  shown.page = new ClassPage(report, shown.gallery);
  return shown;
}

function start() {
  followTheme();
  const shown = show();
  const live = document.body.dataset.tag ? new Live(shown) : null;
  const current = () => live?.shown ?? shown;
  new Comparison(current);
  const follow = () => {
    const number = Number(/^#class-(\d+)$/.exec(location.hash)?.[1]);
    if (number >= 1 && number <= current().gallery.count) current().page.open(number - 1);
  };
  addEventListener("hashchange", follow);
  follow();
}

start();
